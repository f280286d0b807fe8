#!/usr/bin/env python3
"""The tour of ./quickstart: one secret from a vault to a Kubernetes Secret, rotated, and kept while the vault is cut off.

Key Vault and Microsoft Entra are local servers (tests/world); the Kubernetes API is a local one too, or, by --kubeconfig,
that of a real cluster, which is asked through kubectl.
"""

import argparse
import base64
import contextlib
import json
import pathlib
import re
import secrets
import shutil
import signal
import ssl
import string
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MANIFESTS = ROOT / "deploy" / "manifests"
CRDS = {re.search(r"^  name: (\S+)", path.read_text(), re.MULTILINE).group(1): path
        for path in sorted(MANIFESTS.glob("*-crd-*.yaml"))}
# What a kvsync acts on, wherever it is.
ACTED_ON = {"secretsyncs.secret-sync.x-k8s.io": "SecretSync", "akvsyncs.secret-sync.x-k8s.io": "AKVSync"}
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from cluster import ClusterError, wait_for  # noqa: E402
from engine import Engine  # noqa: E402
from world import CLIENT, TENANT, World  # noqa: E402

INTERVAL = 3
VAULT = "my-kv"
SECRET = "my-secret"
SYNC = "secret-sync-name"
PATHS = {"Namespace": "/api/v1/namespaces/{name}",
         "ServiceAccount": "/api/v1/namespaces/{ns}/serviceaccounts/{name}",
         "Secret": "/api/v1/namespaces/{ns}/secrets/{name}",
         "SecretProviderClass": "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/{ns}/secretproviderclasses/{name}",
         "SecretSync": "/apis/secret-sync.x-k8s.io/v1alpha1/namespaces/{ns}/secretsyncs/{name}"}


def say(text):
    print(text, flush=True)


def heading(text):
    say(f"\n== {text}")


class LocalApi:
    """The local API server, asked over HTTPS."""

    name = "the local world"
    context = None

    def __init__(self, world):
        directory = pathlib.Path(world.facts["kubeconfig"]).parent
        context = ssl.create_default_context(cafile=world.facts["caFile"])
        context.load_cert_chain(directory / "admin.pem", directory / "admin-key.pem")
        self.base = world.facts["kubeUrl"]
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                                  urllib.request.HTTPSHandler(context=context))
        self.kubeconfig = world.facts["kubeconfig"]

    def request(self, method, path, body=None, content_type="application/json"):
        request = urllib.request.Request(self.base + path, method=method, data=body.encode() if body else None,
                                         headers={"Content-Type": content_type})
        try:
            with self.opener.open(request, timeout=10) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise ClusterError(f"{method} {path}: {error.code} {error.read().decode()[:300]}") from error

    def apply(self, text):
        kind = re.search(r"^kind: (\w+)", text, re.MULTILINE).group(1)
        name = re.search(r"^  name: ([\w-]+)", text, re.MULTILINE).group(1)
        ns = (re.search(r"^  namespace: ([\w-]+)", text, re.MULTILINE) or [None, ""])[1]
        self.request("PATCH", PATHS[kind].format(ns=ns, name=name) + "?fieldManager=quickstart", text,
                     "application/apply-patch+yaml")

    def get(self, kind, ns, name):
        try:
            return self.request("GET", PATHS[kind].format(ns=ns, name=name))
        except ClusterError as error:
            if ": 404 " in str(error):
                return None
            raise


class ClusterApi:
    """A real cluster, asked through kubectl."""

    def __init__(self, kubeconfig, context):
        self.name = f"the cluster of {kubeconfig}"
        self.kubeconfig = str(pathlib.Path(kubeconfig).resolve())
        self.context = context
        if not shutil.which("kubectl"):
            raise ClusterError("--kubeconfig needs kubectl on the PATH")

    def kubectl(self, *arguments, text=None, apart=False):
        """`apart`: Ctrl-C at the terminal does not reach it."""
        command = ["kubectl", "--kubeconfig", self.kubeconfig]
        if self.context:
            command += ["--context", self.context]
        done = subprocess.run([*command, *arguments], input=text, capture_output=True, text=True, start_new_session=apart)
        if done.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, text):
        self.kubectl("apply", "-f", "-", text=text)

    def get(self, kind, ns, name):
        try:
            return json.loads(self.kubectl("get", kind, name, "-n", ns, "-o", "json"))
        except ClusterError as error:
            if "NotFound" in str(error):
                return None
            raise

    def has_crd(self, name):
        try:
            self.kubectl("get", "crd", name)
        except ClusterError as error:
            if "NotFound" in str(error):
                return False
            raise
        return True


def substitute(name, ns):
    return string.Template((HERE / name).read_text()).substitute(
        KUBERNETES_NAMESPACE=ns, SERVICE_ACCOUNT_NAME="my-service-account", USER_ASSIGNED_CLIENT_ID=CLIENT,
        KEYVAULT_NAME=VAULT, KEYVAULT_SECRET_NAME=SECRET, AZURE_TENANT_ID=TENANT)


def show_secret(api, ns):
    secret = api.get("Secret", ns, SYNC)
    say(f"Secret {ns}/{SYNC}, type {secret['type']} (these are the example's values, so they are shown):")
    for key, value in sorted(secret["data"].items()):
        say(f"    {key:28} {base64.b64decode(value).decode()}")


def show_status(api, ns):
    status = api.get("SecretSync", ns, SYNC).get("status", {})
    say(f"SecretSync {ns}/{SYNC}:")
    for condition in status.get("conditions", []):
        say(f"    {condition['type']:14} {condition['status']:6} {condition['reason']}")
        if condition["status"] != "True":
            say(f"{'':19}{condition['message']}")
    for entry in status.get("objects", []):
        say(f"    {entry['name']:14} version {entry['version']}  updated {entry.get('updated', '?')}")
    say(f"    last successful sync {status.get('lastSuccessfulSyncTime', 'never')}, "
        f"Secret created {status.get('secretCreationTime', 'not yet')}")


def data(api, ns):
    secret = api.get("Secret", ns, SYNC)
    return {key: base64.b64decode(value).decode() for key, value in (secret or {}).get("data", {}).items()}


def reason(api, ns, kind="Ready"):
    status = (api.get("SecretSync", ns, SYNC) or {}).get("status", {})
    return next((one["reason"] for one in status.get("conditions", []) if one["type"] == kind), None)


def wait_values(api, ns, newest, before):
    keys = (f"{SECRET}-data-key0", f"{SECRET}-data-key1")
    started = time.monotonic()
    wait_for("the Secret to hold both versions", lambda: data(api, ns) == dict(zip(keys, (newest, before))), 60)
    say(f"arrived after {time.monotonic() - started:.1f} s")


def tour(api, world, ns):
    heading("a vault with one secret, set twice: Hello!, then Hello2")
    world.secret(VAULT, SECRET, "Hello!")
    world.secret(VAULT, SECRET, "Hello2")
    heading("the documented example: a ServiceAccount, a SecretProviderClass, a SecretSync (deploy/quickstart/*.yaml)")
    for name in ("sa.yaml", "spc.yaml", "ss.yaml"):
        api.apply(substitute(name, ns))
    wait_values(api, ns, "Hello2", "Hello!")
    show_secret(api, ns)
    wait_for("the next check to find nothing new", lambda: reason(api, ns) == "UpdateNoValueChangeSucceeded", 60)
    show_status(api, ns)
    heading(f"the secret is rotated in the vault (checked every {INTERVAL} s here, every hour by default)")
    world.secret(VAULT, SECRET, "Hello3")
    wait_values(api, ns, "Hello3", "Hello2")
    show_secret(api, ns)
    heading("vault and Entra are cut off")
    world.say("cut", how="refused", vault=VAULT)
    world.say("cut", how="refused", host="login")
    wait_for("the status to say so", lambda: reason(api, ns) == "UpdateFailedProviderError", 60)
    show_status(api, ns)
    say("and the Secret is as it was:")
    show_secret(api, ns)
    heading("the line is mended")
    world.say("heal")
    wait_for("recovery", lambda: reason(api, ns) == "UpdateNoValueChangeSucceeded", 60)
    show_status(api, ns)


def local_seed(issuers):
    return {"tenants": [{"id": TENANT}], "vaults": [{"name": VAULT, "tenant": TENANT}], "issuers": issuers,
            "identities": [{"clientId": CLIENT, "tenant": TENANT}],
            "grants": [{"vault": VAULT, "clientId": CLIENT, "role": "Key Vault Secrets User"}]}


def federate(world, issuer, ns):
    world.say("federated", clientId=CLIENT, issuer=issuer, subject=f"system:serviceaccount:{ns}:my-service-account")


@contextlib.contextmanager
def engine(directory, api, world):
    arguments = ["--context", api.context] if api.context else []
    with Engine(directory / "kvsync", api.kubeconfig, world.environment(),
                f"rotationPollIntervalInSeconds: {INTERVAL}\n", arguments=arguments) as process:
        process.wait_for_line("ready")
        yield process


def run_local(directory):
    heading("local Kubernetes API, Key Vault and Microsoft Entra")
    crds = [argument for path in CRDS.values() for argument in ("--crd", path)]
    issuer = "https://issuer.example/quickstart/"
    with World(directory / "world", seed=local_seed([]), arguments=["--issuer", issuer, *crds]) as world:
        api = LocalApi(world)
        ns = "my-namespace"
        api.request("POST", "/api/v1/namespaces", json.dumps(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns}}))
        federate(world, issuer, ns)
        with engine(directory, api, world):
            say("kvsync runs")
            tour(api, world, ns)
        heading("kvsync stopped; the Secret would stay in the cluster")


def ask(question, yes):
    if yes:
        return
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise ClusterError("nothing was done")


def check_cluster_is_free(api, present):
    """kvsync watches all namespaces: with objects of somebody's it would look for their secrets in the local vault."""
    for name, kind in ACTED_ON.items():
        if name not in present:
            continue
        others = json.loads(api.kubectl("get", name, "--all-namespaces", "-o", "json"))["items"]
        if others:
            raise ClusterError(f"this cluster has {len(others)} {kind} objects already; the tour would act on them with a "
                               "vault that is not theirs: choose another cluster")


@contextlib.contextmanager
def uninterrupted():
    """Ctrl-C waits until this is over."""
    asked = []
    before = signal.signal(signal.SIGINT, lambda *_: asked.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt


def create(api, created, kind, name, *arguments):
    """What the server has made and nobody has noted would be left behind."""
    with uninterrupted():
        api.kubectl("create", *arguments, apart=True)
        created.append((kind, name))
        say(f"created {kind} {name}")


def install(api, ns, present, created):
    """Each thing that was made is in `created` at once, so that it goes again whatever comes next."""
    for name, path in CRDS.items():
        if name in present:
            say(f"{name} is there: left as it is")
            continue
        create(api, created, "crd", name, "-f", str(path))
    api.kubectl("wait", "--for=condition=Established", "crd", *CRDS, "--timeout=30s")
    create(api, created, "namespace", ns, "namespace", ns)


def remove(api, created):
    """The last first. True when all of it is gone; what could not be removed is named."""
    heading("cleaning up what this tour created")
    good = True
    for kind, name in reversed(created):
        try:
            api.kubectl("delete", kind, name, "--ignore-not-found", "--wait=true", "--timeout=120s")
            say(f"removed {kind} {name}")
        except ClusterError as error:
            good = False
            say(f"NOT removed: {kind} {name}: {error}")
    return good


def run_cluster(directory, options):
    api = ClusterApi(options.kubeconfig, options.context)
    present = {name for name in CRDS if api.has_crd(name)}
    check_cluster_is_free(api, present)
    ns = f"kvsync-quickstart-{secrets.token_hex(3)}"
    missing = [name for name in CRDS if name not in present]
    heading(f"{api.name}: {api.kubectl('config', 'current-context').strip() if not options.context else options.context}")
    say(f"This creates the namespace {ns}" + (f" and the CRDs {', '.join(missing)}" if missing else "") +
        ", runs kvsync on this machine with your own credentials, and removes again what it created.")
    ask("Go on?", options.yes)
    configuration = json.loads(api.kubectl("get", "--raw", "/.well-known/openid-configuration"))
    jwks = json.loads(api.kubectl("get", "--raw", "/openid/v1/jwks"))
    created = []
    try:
        install(api, ns, present, created)
        with World(directory / "world", seed=local_seed([{"issuer": configuration["issuer"], "jwks": jwks}])) as world:
            federate(world, configuration["issuer"], ns)
            with engine(directory, api, world):
                say("kvsync runs")
                tour(api, world, ns)
    finally:
        gone = remove(api, created)
    if not gone:
        raise ClusterError("something that it created is left in the cluster, see above")


def main():
    parser = argparse.ArgumentParser(prog="quickstart", description=__doc__)
    parser.add_argument("--kubeconfig", metavar="FILE")
    parser.add_argument("--context", metavar="NAME")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="kvsync-quickstart-"))
    try:
        if options.kubeconfig:
            run_cluster(directory, options)
        else:
            run_local(directory)
    except (ClusterError, KeyboardInterrupt) as error:
        say(f"\nquickstart: stopped: {error or 'interrupted'}")
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

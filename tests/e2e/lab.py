"""A cluster, the local Azure and an engine together, and what scenarios ask of them."""

import base64
import contextlib
import json
import pathlib
import string
import time

from cluster import MANIFESTS, POLICIES, Cluster, ClusterError, wait_for
from engine import Engine
from world import CLIENT, TENANT, World, seed

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "deploy" / "quickstart"
MANAGED = "secrets-store.sync.x-k8s.io"
NAMESPACES = ("my-namespace", "other")
VAULTS = ("kv-one", "kv-two")
INTERVAL = 4
CONFIG = f"""\
rotationPollIntervalInSeconds: {INTERVAL}
workers: 2
requestTimeoutInSeconds: 5
"""


class Failed(AssertionError):
    """A scenario saw something that must not be."""


def check(condition, text):
    if not condition:
        raise Failed(text)


def example_variables():
    return {"KUBERNETES_NAMESPACE": "my-namespace", "SERVICE_ACCOUNT_NAME": "my-service-account",
            "USER_ASSIGNED_CLIENT_ID": CLIENT, "KEYVAULT_NAME": VAULTS[0], "KEYVAULT_SECRET_NAME": "my-secret",
            "AZURE_TENANT_ID": TENANT}


def spc(name, objects, vault=VAULTS[0], namespace="my-namespace", **parameters):
    """A SecretProviderClass; objects: {name: members}."""
    items = "".join("  - |\n" + "".join(f"    {key}: {value}\n" for key, value in
                                         {"objectName": object_name, "objectType": "secret", **members}.items())
                    for object_name, members in objects.items())
    return {"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"provider": "azure",
                     "parameters": {"clientID": CLIENT, "tenantID": TENANT, "keyvaultName": vault,
                                    "objects": "array:\n" + items, **parameters}}}


def sync(name, class_name, data, namespace="my-namespace", service_account="my-service-account", **spec):
    """A SecretSync; data: {targetKey: sourcePath}."""
    secret = {"type": spec.pop("type", "Opaque"), "data": [
        {"sourcePath": source, "targetKey": target} for target, source in data.items()]}
    for key in ("labels", "annotations"):
        if key in spec:
            secret[key] = spec.pop(key)
    return {"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "SecretSync",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"serviceAccountName": service_account, "secretProviderClassName": class_name,
                     "secretObject": secret, **spec}}


class Lab:
    """Everything that a scenario needs. One lab serves many scenarios; each uses names of its own."""

    def __init__(self, directory, crds=None, owner_enforcement=True, policies=True, install=None, oldest=False):
        """install(cluster): puts kvsync's account and rights there in another way than by the plain manifests."""
        self.directory = pathlib.Path(directory)
        self.crds = crds
        self.policies = policies
        self.oldest = oldest
        self.install = install or self._apply_manifests
        self.owner_enforcement = owner_enforcement
        self.runs = 0
        self.canaries = set()

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        with self.stack as stack:
            self.cluster = stack.enter_context(Cluster(
                self.directory / "cluster", crds=self.crds, audit=True, owner_enforcement=self.owner_enforcement,
                oldest=self.oldest))
            self.install(self.cluster)
            for namespace in NAMESPACES:
                self.cluster.kubectl("create", "namespace", namespace)
                self.cluster.kubectl("create", "serviceaccount", "my-service-account", "-n", namespace)
            jwks = self.directory / "jwks.json"
            jwks.write_bytes(self.cluster.get_anonymously("/openid/v1/jwks"))
            subjects = [f"system:serviceaccount:{ns}:my-service-account" for ns in NAMESPACES]
            self.world = stack.enter_context(World(
                self.directory / "world", seed=seed(self.cluster.issuer, jwks, subjects, VAULTS)))
            self.kubeconfig = self.cluster.kubeconfig_for_serviceaccount("azure-secret-store", "kvsync", as_file=True)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *arguments):
        return self.stack.__exit__(*arguments)

    def _apply_manifests(self, cluster):
        for path in sorted(MANIFESTS.glob("*.yaml")):
            if self.crds is None or "-crd-" not in path.name:
                cluster.apply(path)
        if self.policies:
            cluster.apply(POLICIES)

    def engine(self, config=CONFIG):
        self.runs += 1
        return Engine(self.directory / f"run-{self.runs}", self.kubeconfig, self.world.environment(), config)

    # ---- the vault

    def put(self, name, value, vault=VAULTS[0], **members):
        """A new version; its value is a canary that no log may ever show."""
        if len(value) >= 6:
            self.canaries.add(value)
        self.world.secret(vault, name, value, **members)

    # ---- the cluster

    def apply_example(self):
        for name in ("sa.yaml", "spc.yaml", "ss.yaml"):
            text = string.Template((EXAMPLE / name).read_text()).substitute(example_variables())
            self.cluster.apply_text(text)

    def apply(self, *objects):
        self.cluster.apply_text("\n---\n".join(json.dumps(one) for one in objects))

    def secret(self, name, namespace="my-namespace"):
        """The Secret, or None."""
        try:
            return self.cluster.get("secret", name, "-n", namespace)
        except ClusterError as error:
            if "NotFound" in str(error) or "not found" in str(error):
                return None
            raise

    def data(self, name, namespace="my-namespace"):
        """The Secret's data, decoded, as a dictionary of bytes; None when there is no Secret."""
        secret = self.secret(name, namespace)
        if secret is None:
            return None
        return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}

    def sync(self, name, namespace="my-namespace"):
        return self.cluster.get("secretsync", name, "-n", namespace)

    def condition(self, name, kind="Ready", namespace="my-namespace"):
        conditions = self.sync(name, namespace).get("status", {}).get("conditions", [])
        return next((one for one in conditions if one["type"] == kind), {})

    # ---- waiting

    def wait_data(self, name, wanted, timeout=30, namespace="my-namespace"):
        wanted = {key: value.encode() if isinstance(value, str) else value for key, value in wanted.items()}
        try:
            wait_for(f"Secret {name} to hold the keys {sorted(wanted)} with their values",
                     lambda: self.data(name, namespace) == wanted, timeout)
        except ClusterError as error:
            have = self.data(name, namespace)
            keys = None if have is None else sorted(have)
            raise Failed(f"{error}; it holds the keys {keys}; {self.describe(name, namespace)}") from None

    def wait_reason(self, name, reason, kind="Ready", timeout=30, namespace="my-namespace"):
        try:
            return wait_for(f"{kind} of {name} to say {reason}", lambda: (
                lambda one: one if one.get("reason") == reason else None)(self.condition(name, kind, namespace)), timeout)
        except ClusterError as error:
            raise Failed(f"{error}; {self.describe(name, namespace)}") from None

    def wait_rest(self, *names, timeout=45, namespace="my-namespace"):
        """Until a check of each has found nothing new, and has had nothing more to say for longer than an interval: a value that
        was read within seconds of its birth is read once more, and the status then says so."""
        seen = {}

        def rests(name):
            version = self.sync(name, namespace)["metadata"]["resourceVersion"]
            if seen.get(name, (None,))[0] != version:
                seen[name] = version, time.monotonic()
            reason = self.condition(name, "Ready", namespace).get("reason")
            return reason == "UpdateNoValueChangeSucceeded" and time.monotonic() > seen[name][1] + INTERVAL + 4
        try:
            wait_for(f"SecretSyncs {', '.join(names)} to rest", lambda: all([rests(name) for name in names]), timeout, interval=0.5)
        except ClusterError as error:
            raise Failed(f"{error}; {self.describe(names[0], namespace)}") from None

    def describe(self, name, namespace="my-namespace"):
        with contextlib.suppress(ClusterError):
            return "its status: " + json.dumps(self.sync(name, namespace).get("status"))
        return "there is no such SecretSync"

    # ---- what kvsync asked the API server

    def audit_of_kvsync(self, since=0):
        return [entry for entry in self.cluster.audit()[since:]
                if entry["user"]["username"] == "system:serviceaccount:azure-secret-store:kvsync"]

    def audit_mark(self):
        return len(self.cluster.audit())

    # ---- secrecy

    def check_no_leak(self, engine_log):
        """No value, nor its base64, in a log, a condition or an event."""
        syncs = json.dumps(self.cluster.get("secretsyncs", "--all-namespaces"))
        events = json.dumps(self.cluster.get("events", "--all-namespaces"))
        for canary in self.canaries:
            for form in (canary, base64.b64encode(canary.encode()).decode()):
                for place, text in (("kvsync's log", engine_log), ("a SecretSync", syncs), ("an event", events)):
                    check(form not in text, f"a secret value stands in {place}")
        check("eyJ" not in engine_log, "something that looks like a token stands in kvsync's log")

"""A fleet on a real API server: first sync, beside a plain client that does the same writes in the same run.

Key Vault and Entra are the local ones; they trust the issuer of the cluster's service account tokens.
"""

import base64
import contextlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse

from build import ROOT, PerfError
from local import UNLIMITED, config_text, free_port, known_keys
from process import StatusPort, cpu_seconds, engine_counts
from progress import Progress
import report

sys.path[:0] = [str(ROOT / "tests" / "e2e")]

from engine import Engine  # noqa: E402
from world import TENANT, World  # noqa: E402

NAMESPACE, PLAIN_NAMESPACE = "kvsync-perf", "kvsync-perf-plain"
CLASSES = f"/apis/secrets-store.csi.x-k8s.io/v1/namespaces/{NAMESPACE}/secretproviderclasses"
CHUNK, CONNECTIONS = 1000, 16


class Api:
    """curl with 16 connections: as plain as a client can be."""

    def __init__(self, kubeconfig, directory):
        self.kubeconfig = str(pathlib.Path(kubeconfig).resolve())
        self.directory = pathlib.Path(directory)
        view = json.loads(self.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        cluster, user = view["clusters"][0]["cluster"], view["users"][0]["user"]
        self.server = cluster["server"]
        self.options = [f'cacert = "{self.file("ca.pem", cluster["certificate-authority-data"])}"']
        if "client-certificate-data" in user:
            self.options += [f'cert = "{self.file("user.pem", user["client-certificate-data"])}"',
                             f'key = "{self.file("user-key.pem", user["client-key-data"])}"']
        elif "token" in user:
            self.options.append(f'header = "Authorization: Bearer {user["token"]}"')
        else:
            raise PerfError("--kubeconfig: a client certificate or a token is wanted")

    def file(self, name, data):
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_bytes(base64.b64decode(data))
        return path

    def kubectl(self, *arguments):
        done = subprocess.run(["kubectl", "--kubeconfig", self.kubeconfig, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise PerfError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def raw(self, path):
        return self.kubectl("get", "--raw", path)

    def send(self, requests):
        """[(method, path, content type, JSON)]; all have to be answered 2xx. In memory of the user alone: bodies hold values."""
        config = self.directory / "requests.curl"
        config.touch(mode=0o600)
        for start in range(0, len(requests), CHUNK):
            sections = ["\n".join([*self.options, f'url = "{self.server}{path}"', f"request = {method}", "silent", "http1.1",
                                   f'header = "Content-Type: {kind}"', f"data = {json.dumps(json.dumps(body))}",
                                   "output = /dev/null", 'write-out = "%{http_code} %{url}\\n"'])
                        for method, path, kind, body in requests[start:start + CHUNK]]
            config.write_text("\nnext\n".join(sections) + "\n")
            done = subprocess.run(["curl", "--no-progress-meter", "--parallel", "--parallel-max", str(CONNECTIONS), "--config", config],
                                  capture_output=True, text=True, check=False)
            bad = [line for line in done.stdout.splitlines() if not line.startswith("2")]
            if bad or done.returncode:
                raise PerfError(f"the API server refused {len(bad)} requests, such as {bad[:1]} {done.stderr[-300:]}")

    def create(self, path, objects):
        self.send([("POST", path, "application/json", body) for body in objects])


def syncs_of(namespace):
    return f"/apis/secret-sync.x-k8s.io/v1alpha1/namespaces/{namespace}/secretsyncs"


def client_of(identity):
    return f"0f1ee700-5d1e-4c8b-8f0a-{identity:012}"


def plain_secret(number, uid, value):
    name = f"sync-{number}"
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"k": value}, "metadata": {
        "name": name, "labels": {"secrets-store.sync.x-k8s.io": ""}, "annotations": {"secrets-store.sync.x-k8s.io/plain": name},
        "ownerReferences": [{"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "SecretSync", "name": name, "uid": uid}]}}


def plain_status(number, uid):
    at, message = "2026-01-01T00:00:00Z", f"The Secret sync-{number} was created with the values that the vault has."
    conditions = [{"type": kind, "status": "True", "reason": "CreateSucceeded", "lastTransitionTime": at, "observedGeneration": 1,
                   "message": message} for kind in ("PlainA", "PlainB", "PlainC")]
    return {"observedGeneration": 1, "syncHash": f"plain:{uid}:{number:064}", "lastSuccessfulSyncTime": at, "secretCreationTime": at,
            "conditions": conditions, "objects": [{"name": f"s-{number}", "type": "secret", "version": f"{number:032}", "updated": at,
                                                        "syncedAt": at}]}


class RealFleet:
    def __init__(self, options, directory):
        self.options = options
        self.directory = pathlib.Path(directory)
        self.binary = pathlib.Path(options.engine or ROOT / "build/release/kvsync")
        self.progress = Progress()
        self.api = Api(options.kubeconfig, directory)
        self.server_pid = self.find_server()

    def find_server(self):
        """The API server's process, where it runs on this machine."""
        port = urllib.parse.urlsplit(self.api.server).port
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if words[0].endswith(b"kube-apiserver") and any(word.endswith(str(port).encode()) for word in words[1:]):
                    return int(path.parent.name)
        return None

    def server_cpu(self):
        return cpu_seconds(self.server_pid) if self.server_pid else None

    def etcd_bytes(self):
        found = re.findall(r"^apiserver_storage_(?:size_bytes|db_total_size_in_bytes)\S* ([0-9.e+]+)", self.api.raw("/metrics"), re.MULTILINE)
        return float(found[0]) if found else None

    def seed(self):
        discovery = json.loads(self.api.raw("/.well-known/openid-configuration"))
        self.issuer = discovery["issuer"]
        vaults = [f"fleet-{number}" for number in range(self.options.vaults)]
        return {"tenants": [{"id": TENANT}],
                "issuers": [{"issuer": self.issuer, "jwks": json.loads(self.api.raw("/openid/v1/jwks"))}],
                "identities": [{"clientId": client_of(number), "tenant": TENANT, "federated": [
                    {"issuer": self.issuer, "subject": f"system:serviceaccount:{NAMESPACE}:account-{number}"}]}
                    for number in range(self.options.identities)],
                "subscriptions": [{"id": "perf", "callsPer10s": UNLIMITED}],
                "vaults": [{"name": vault, "tenant": TENANT, "subscription": "perf", "callsPer10s": UNLIMITED} for vault in vaults],
                "grants": [{"vault": vault, "clientId": client_of(number), "role": "Key Vault Secrets User"}
                           for vault in vaults for number in range(self.options.identities)]}

    def spc(self, name, objects, vault, identity):
        items = "".join(f"  - |\n    objectName: {item}\n    objectType: secret\n" for item in objects)
        return {"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass", "metadata": {"name": name},
                "spec": {"provider": "azure", "parameters": {"clientID": client_of(identity), "tenantID": TENANT,
                                                             "keyvaultName": vault, "objects": "array:\n" + items}}}

    def class_of(self, number):
        """Objects of one vault and identity share a class, 200 at most; as in the local world."""
        if self.options.classes == "1:1":
            return f"class-{number}"
        return f"class-{number % self.options.vaults}-{number % self.options.identities}-{number // (200 * self.options.identities)}"

    def fill(self, world):
        options, numbers = self.options, range(self.options.objects)
        self.progress.begin("filling vaults")
        for start in range(0, options.objects, CHUNK):
            world.say("apply", secrets=[{"vault": f"fleet-{number % options.vaults}", "name": f"s-{number}",
                                         "value": f"{number}.".ljust(options.values, "x")}
                                        for number in numbers[start:start + CHUNK]])
        self.progress.begin("filling the API server")
        self.api.create("/api/v1/namespaces", [{"metadata": {"name": NAMESPACE}}])
        self.api.create(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts",
                        [{"metadata": {"name": f"account-{number}"}} for number in range(options.identities)])
        members = {}
        for number in numbers:
            members.setdefault(self.class_of(number), []).append(number)
        self.classes = len(members)
        self.api.create(CLASSES, [self.spc(name, [f"s-{number}" for number in found], f"fleet-{found[0] % options.vaults}",
                                           found[0] % options.identities) for name, found in members.items()])
        self.create_syncs(NAMESPACE)

    def create_syncs(self, namespace):
        self.api.create(syncs_of(namespace), [
            {"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "SecretSync", "metadata": {"name": f"sync-{number}"},
             "spec": {"serviceAccountName": f"account-{number % self.options.identities}",
                      "secretProviderClassName": self.class_of(number),
                      "secretObject": {"type": "Opaque", "data": [{"sourcePath": f"s-{number}", "targetKey": "k"}]}}}
            for number in range(self.options.objects)])

    def plain(self):
        """The same writes by a plain client: a Secret and a status for each object, with the fields that kvsync's have. In a
        namespace of its own that is gone again afterwards, so that kvsync finds objects that nobody has written to before."""
        self.progress.begin("filling the API server for the plain client")
        self.api.create("/api/v1/namespaces", [{"metadata": {"name": PLAIN_NAMESPACE}}])
        self.create_syncs(PLAIN_NAMESPACE)
        uids = {item["metadata"]["name"]: item["metadata"]["uid"] for item in json.loads(self.api.raw(syncs_of(PLAIN_NAMESPACE)))["items"]}
        self.progress.begin("plain client, 16 connections")
        value = base64.b64encode(b"x" * self.options.values).decode()
        began, cpu = time.monotonic(), self.server_cpu()
        for start in range(0, self.options.objects, CHUNK):
            part = range(start, min(start + CHUNK, self.options.objects))
            self.api.create(f"/api/v1/namespaces/{PLAIN_NAMESPACE}/secrets?fieldManager=plain",
                            [plain_secret(number, uids[f"sync-{number}"], value) for number in part])
            self.api.send([("PATCH", f"{syncs_of(PLAIN_NAMESPACE)}/sync-{number}/status?fieldManager=plain", "application/json-patch+json",
                            [{"op": "test", "path": "/metadata/uid", "value": uids[f"sync-{number}"]},
                             {"op": "add", "path": "/status", "value": plain_status(number, uids[f"sync-{number}"])}])
                           for number in part])
            self.progress.show(start, self.options.objects)
        seconds, cpu = time.monotonic() - began, self.server_cpu() - cpu if self.server_pid else None
        self.progress.begin("removing what the plain client wrote")
        self.api.kubectl("delete", "namespace", PLAIN_NAMESPACE)
        return seconds, cpu

    def first_sync(self, world):
        port = StatusPort(number := free_port())
        config = config_text(self.options, number, known_keys(self.binary))
        began, objects = time.monotonic(), self.options.objects
        with Engine(self.directory / "kvsync", self.api.kubeconfig, world.environment(), config, binary=self.binary) as engine:
            self.progress.begin("first full sync")
            written = 0
            while written < objects:
                time.sleep(0.1)
                if engine.process.poll() is not None:
                    raise PerfError(f"kvsync ended:\n{engine.log()[-3000:]}")
                if time.monotonic() - began > 600 + objects / 20:
                    raise PerfError(f"only {written} of {objects} after {time.monotonic() - began:.0f} s:\n{engine.log()[-2000:]}")
                if port.is_alive():
                    metrics = port.metrics()
                    counts = engine_counts(metrics)
                    written = min(counts["secrets_created"], counts["status_writes"])
                self.progress.show(written, objects, f"{written:,} of {objects:,}")
            return time.monotonic() - began, metrics, counts


def measure(options):
    with tempfile.TemporaryDirectory(prefix="kvsync-perf-") as directory:
        fleet = RealFleet(options, directory)
        with World(pathlib.Path(directory) / "world", seed=fleet.seed()) as world:
            if options.latency:
                world.say("fault", fault="delay", number=options.latency)
            try:
                plain_s, plain_cpu = fleet.plain()
                fleet.fill(world)
                cpu = [fleet.server_cpu()]
                etcd = [fleet.etcd_bytes()]
                seconds, metrics, counts = fleet.first_sync(world)
                cpu.append(fleet.server_cpu())
                etcd.append(fleet.etcd_bytes())
                labels = report.requests_by_label(world.ask("stats"))
            finally:
                fleet.progress.begin("removing the namespace")
                fleet.api.kubectl("delete", "namespace", NAMESPACE, PLAIN_NAMESPACE, "--ignore-not-found", "--wait=false")
                fleet.progress.end()
    objects = options.objects
    return {"objects": objects, "vaults": options.vaults, "identities": options.identities, "classes": fleet.classes,
            "layout": options.classes, "value_bytes": options.values, "first_sync_s": round(seconds, 3), "bound_s": None,
            "syncs_per_s": round(objects / seconds), "plain_client_s": round(plain_s, 3), "throttled": counts["vault_throttled"],
            "cpu_us_per_sync": report.per(metrics["process_cpu_seconds_total"], objects), "world_cpu_us_per_sync": None,
            "rss_mib": round(metrics["process_resident_memory_bytes"] / 2**20, 1),
            "main_turn_max_ms": round(1000 * metrics["kvsync_turn_longest_seconds"]["main"], 1),
            "main_turn_cpu_max_ms": round(1000 * metrics.get("kvsync_turn_busiest_seconds", {}).get("main", 0), 1),
            "apiserver_cpu_us_per_sync": report.per(cpu[1] - cpu[0], objects) if fleet.server_pid else None,
            "apiserver_cpu_us_per_plain_write_pair": report.per(plain_cpu, objects) if fleet.server_pid else None,
            "etcd_bytes_per_sync": round((etcd[1] - etcd[0]) / objects) if None not in etcd else None,
            "requests": report.requests_of(labels, counts),
            "writes": {"secret": counts["secrets_created"] + counts["secrets_updated"], "status": counts["status_writes"],
                       "settle": counts["secrets_settled"]},
            "cpu_us_per_check": None, "new_object_p99_s": None, "rotation_p99_s": None, "restart": None, "samples": []}

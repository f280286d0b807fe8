"""AKVSync on a real API server: stories that join those of scenarios.py."""

import json
import string
import time

from certificates import blocks, guard, key_of_certificate, matches, may_read_all, new_certificate, public_of, wait_until
from cluster import ClusterError, wait_for
from lab import INTERVAL, ROOT, VAULTS, Failed, check, example_variables, spc, sync
from scenarios import scenario
from world import CLIENT, TENANT

NAMESPACE = "my-namespace"


def akv(name, *objects, **spec):
    return {"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "AKVSync",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"keyvaultName": VAULTS[0], "clientID": CLIENT, "tenantID": TENANT,
                     "serviceAccountName": "my-service-account", "objects": list(objects), **spec}}


def get(lab, kind, name):
    """The object, or None."""
    try:
        return lab.cluster.get(kind, name, "-n", NAMESPACE)
    except ClusterError as error:
        if "NotFound" in str(error) or "not found" in str(error):
            return None
        raise


def ready(lab, name):
    status = get(lab, "akvsync", name).get("status", {})
    return next((c for c in status.get("conditions", []) if c["type"] == "Ready"), {})


def wait_ready(lab, name, status="True", reason=None, timeout=30):
    def reached():
        one = ready(lab, name)
        generation = get(lab, "akvsync", name)["metadata"]["generation"]
        return (one if one.get("status") == status and one["observedGeneration"] == generation
                and reason in (None, one["reason"]) else None)
    try:
        return wait_for(f"AKVSync {name} to be Ready={status} {reason or ''}", reached, timeout)
    except ClusterError as error:
        raise Failed(f"{error}; its status: {json.dumps(get(lab, 'akvsync', name).get('status'))}") from None


def wait_gone(lab, kind, name, timeout=20):
    try:
        wait_for(f"{kind} {name} to be gone", lambda: get(lab, kind, name) is None, timeout)
    except ClusterError as error:
        raise Failed(f"{error}; it is {json.dumps(get(lab, kind, name))}") from None


def versions(lab, *names):
    """resourceVersions of derived objects and of the AKVSync."""
    return [get(lab, kind, name)["metadata"]["resourceVersion"] for kind, name in names]


@scenario
def akvsync_derives_and_silence_follows(lab, engine):
    """Secrets of several forms from one AKVSync, ownership, status, and then nothing is written."""
    lab.put("akv-plain", "plain value")
    for number in range(3):
        lab.put("akv-many", f"many value {number}")
        time.sleep(1.1)  # versions of one second have no order
    lab.put("akv-ssh", "an ssh key")
    lab.apply(akv("akv", {"secretInAKV": "akv-plain"},
                  {"secretInAKV": "akv-many", "kubernetesSecretName": "akv-renamed", "versionHistory": 3,
                   "labels": {"team": "blue"}, "annotations": {"note": "n"}},
                  {"kubernetesSecretName": "akv-compound", "mapping": [
                      {"dataKey": "password", "secretInAKV": "akv-plain"},
                      {"dataKey": "older", "secretInAKV": "akv-many", "version": 1}]},
                  {"secretInAKV": "akv-ssh", "kubernetesSecretType": "kubernetes.io/ssh-auth"}))
    lab.wait_data("akv-plain", {"v0": "plain value"})
    lab.wait_data("akv-renamed", {"v0": "many value 2", "v1": "many value 1", "v2": "many value 0"})
    lab.wait_data("akv-compound", {"password": "plain value", "older": "many value 1"})
    lab.wait_data("akv-ssh", {"v0": "an ssh key", "ssh-privatekey": "an ssh key"})
    renamed = lab.secret("akv-renamed")["metadata"]
    check(renamed["labels"].get("team") == "blue", f"labels are {renamed['labels']}")
    check(renamed["annotations"].get("note") == "n", f"annotations are {renamed['annotations']}")
    check(lab.secret("akv-ssh")["type"] == "kubernetes.io/ssh-auth", "the type is wrong")
    wait_ready(lab, "akv", reason="AllSecretsReady")
    uid = get(lab, "akvsync", "akv")["metadata"]["uid"]
    for kind, name in (("secretproviderclass", "akvsync-akv"), ("secretsync", "akv-plain")):
        owners = get(lab, kind, name)["metadata"]["ownerReferences"]
        check(owners == [{"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "AKVSync", "name": "akv",
                          "uid": uid, "controller": True}], f"owners of {name} are {owners}")
    row = lab.cluster.kubectl("get", "akvsync", "akv", "-n", NAMESPACE).splitlines()[1].split()
    check(row[:4] == ["akv", "True", "AllSecretsReady", "4/4"], f"kubectl get shows {row}")
    lab.wait_rest("akv-plain", "akv-renamed", "akv-compound", "akv-ssh")
    time.sleep(INTERVAL)
    objects = (("akvsync", "akv"), ("secretproviderclass", "akvsync-akv"), ("secretsync", "akv-plain"),
               ("secretsync", "akv-renamed"), ("secretsync", "akv-compound"), ("secretsync", "akv-ssh"))
    rested = [lab.secret(name)["metadata"]["resourceVersion"] for name in ("akv-plain", "akv-renamed", "akv-compound", "akv-ssh")]
    before, mark = versions(lab, *objects), lab.audit_mark()
    time.sleep(2 * INTERVAL)
    check(before == versions(lab, *objects), "something was written without need")
    tried = [entry["requestURI"] for entry in lab.audit_of_kvsync(mark)
             if entry["verb"] not in ("watch", "list") and "/akv" in entry["requestURI"]
             and not (entry["verb"] == "patch" and "/secrets/akv-" in entry["requestURI"])]  # a probe changes nothing
    secrets = [lab.secret(name)["metadata"]["resourceVersion"] for name in ("akv-plain", "akv-renamed", "akv-compound", "akv-ssh")]
    check(secrets == rested, "a Secret was written without need")
    check(not tried, f"kvsync asked without need: {tried}")


@scenario
def akvsync_keeps_what_is_derived_equal(lab, engine):
    """Edits of derived objects are taken back, deleted ones come back, removed entries go, an edit arrives."""
    lab.put("keep-a", "value of a")
    lab.put("keep-b", "value of b")
    lab.apply(akv("keep", {"secretInAKV": "keep-a"}, {"secretInAKV": "keep-b"}))
    lab.wait_data("keep-a", {"v0": "value of a"})
    wait_ready(lab, "keep")
    spec = get(lab, "secretsync", "keep-a")["spec"]

    def restored():
        return get(lab, "secretsync", "keep-a")["spec"] == spec
    lab.cluster.kubectl("patch", "secretsync", "keep-a", "-n", NAMESPACE, "--type=merge", "-p",
                        json.dumps({"spec": {"serviceAccountName": "another", "forceSynchronization": "x", "secretObject": {
                            "labels": {"added": "by-hand"}}}}))
    wait_for("the edit to be taken back", restored, 15)
    lab.cluster.kubectl("patch", "secretsync", "keep-a", "-n", NAMESPACE, "--type=json", "-p", json.dumps([
        {"op": "add", "path": "/spec/secretObject/data/-", "value": {"sourcePath": "keep-b", "targetKey": "added"}}]))
    wait_for("the added key to be taken out", restored, 15)
    lab.cluster.kubectl("label", "secretsync", "keep-a", "-n", NAMESPACE, "mine=stays")
    lab.cluster.kubectl("delete", "secretproviderclass", "akvsync-keep", "-n", NAMESPACE)
    wait_for("the class to come back", lambda: get(lab, "secretproviderclass", "akvsync-keep"), 15)
    lab.cluster.kubectl("delete", "secretsync", "keep-b", "-n", NAMESPACE)
    wait_for("the SecretSync to come back", lambda: get(lab, "secretsync", "keep-b"), 15)
    lab.wait_data("keep-b", {"v0": "value of b"})
    lab.put("keep-a", "newer value of a")
    lab.apply(akv("keep", {"secretInAKV": "keep-a", "versionHistory": 2}))
    lab.wait_data("keep-a", {"v0": "newer value of a", "v1": "value of a"})
    wait_gone(lab, "secretsync", "keep-b")
    wait_gone(lab, "secret", "keep-b")
    check(get(lab, "secretsync", "keep-a")["metadata"]["labels"] == {"mine": "stays"}, "a foreign label is gone")
    wait_ready(lab, "keep")
    lab.cluster.kubectl("delete", "akvsync", "keep", "-n", NAMESPACE)
    for kind, name in (("secretsync", "keep-a"), ("secret", "keep-a"), ("secretproviderclass", "akvsync-keep")):
        wait_gone(lab, kind, name)


@scenario
def akvsync_never_takes_what_is_not_its_own(lab, engine):
    """A SecretSync, a class or a Secret of somebody else with the same name stays, and the status says so."""
    lab.put("own-a", "value of a")
    lab.put("own-b", "value of b")
    lab.apply(spc("own", {"own-a": {}}), sync("own-a", "own", {"k": "own-a"}))
    lab.wait_data("own-a", {"k": "value of a"})
    lab.cluster.kubectl("create", "secret", "generic", "own-c", "-n", NAMESPACE, "--from-literal=k=mine")
    before = get(lab, "secretsync", "own-a")
    lab.apply(akv("own", {"secretInAKV": "own-a"}, {"secretInAKV": "own-b"},
                  {"secretInAKV": "own-b", "kubernetesSecretName": "own-c"}))
    one = wait_ready(lab, "own", "False", "OwnershipConflict")
    check("own-a" in one["message"] and "kubernetesSecretName" in one["message"], f"it says {one['message']}")
    lab.wait_data("own-b", {"v0": "value of b"})
    after = get(lab, "secretsync", "own-a")
    check(before["spec"] == after["spec"] and "ownerReferences" not in after["metadata"], "a foreign SecretSync was written")

    def told():
        rows = {row["name"]: row for row in get(lab, "akvsync", "own")["status"]["secretSyncs"]}
        return rows["own-c"]["reason"] == "CreateFailedInvalidLabel" and rows["own-b"]["ready"] == "True"
    wait_for("the status to speak of each Secret", told, 20)
    check(lab.data("own-c") == {"k": b"mine"}, "a foreign Secret was written")
    lab.cluster.kubectl("delete", "secretsync", "own-a", "-n", NAMESPACE)
    lab.wait_data("own-a", {"v0": "value of a"})
    lab.apply(akv("other", {"secretInAKV": "own-a"}))
    one = wait_ready(lab, "other", "False", "OwnershipConflict")
    check("AKVSync own" in one["message"], f"it says {one['message']}")
    lab.apply(spc("akvsync-late", {"own-b": {}}))
    lab.apply(akv("late", {"secretInAKV": "own-b", "kubernetesSecretName": "late"}))
    one = wait_ready(lab, "late", "False", "OwnershipConflict")
    check("akvsync-late" in one["message"] and "rename" in one["message"], f"it says {one['message']}")
    check(get(lab, "secretsync", "late") is None, "a SecretSync was made for a foreign class")


@scenario
def akvsync_reference_example(lab, engine):
    """deploy/akvsync/akvsync.yaml with its variables filled in: six entries, seven Secrets, and a renewed certificate arrives."""
    may_read_all(lab)
    lab.put("db-password", "the database's password")
    lab.put("deploy-key", "the deploy key")
    for number in range(3):
        lab.put("api-key", f"api key number {number}")
        for name in ("web", "signing"):
            new_certificate(lab, name)
        time.sleep(1.1)  # versions of one second have no order
    text = (ROOT / "deploy" / "akvsync" / "akvsync.yaml").read_text()
    lab.cluster.apply_text(string.Template(text).substitute(example_variables()))
    lab.wait_data("db-password", {"v0": "the database's password"})
    lab.wait_data("api-keys", {f"v{age}": f"api key number {2 - age}" for age in range(3)})
    lab.wait_data("deploy-key", {"v0": "the deploy key", "ssh-privatekey": "the deploy key"})
    signing = wait_until(lab, "signing", "three versions", lambda data: set(data) == {"v0", "v1", "v2"})
    settings = wait_until(lab, "app-settings", "three keys", lambda data: len(data) == 3)
    web = [wait_until(lab, f"web-v{age}", "both keys", lambda data: set(data) == {"tls.crt", "tls.key"}) for age in range(2)]
    for pem in (*signing.values(), settings["web.pem"], *(data["tls.key"] for data in web)):
        guard(lab, pem)
    for pem in (*signing.values(), settings["web.pem"]):
        check(blocks(pem) == ["PRIVATE KEY", "CERTIFICATE"] and key_of_certificate(pem) == public_of(pem),
              f"a certificate became {blocks(pem)}, or its key is another's")
    check(len(set(signing.values())) == 3, "two versions of signing are the same")
    check(settings["password"] == b"the database's password" and settings["previous-api-key"] == b"api key number 1",
          "app-settings holds other values")
    for age, data in enumerate(web):
        check(lab.secret(f"web-v{age}")["type"] == "kubernetes.io/tls", f"the type of web-v{age} is wrong")
        check(matches(data), f"the key of web-v{age} is not its certificate's")
    check(web[0] != web[1] and settings["web.pem"].endswith(web[0]["tls.crt"]), "web's newest version is not the first")
    wait_ready(lab, "example", reason="AllSecretsReady")
    new_certificate(lab, "web")
    newer = wait_until(lab, "web-v0", "the new certificate", lambda data: data["tls.crt"] != web[0]["tls.crt"], INTERVAL + 15)
    check(matches(newer), "the key of web-v0 is not its new certificate's")
    guard(lab, newer["tls.key"])
    wait_until(lab, "web-v1", "what web-v0 held", lambda data: data == web[0], INTERVAL + 15)
    wait_until(lab, "app-settings", "the new certificate", lambda data: data["web.pem"].endswith(newer["tls.crt"]), INTERVAL + 15)

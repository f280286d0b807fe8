"""AKVSync, and the writes of what is derived from one."""

from bodies import APPLY, JSON_PATCH, SYNC_API
from case import case
from normal import NO_UID

AKV_MANAGER = "kvsync-akvsync"
ENTRY = {"secretInAKV": "a"}
MAPPING = {"dataKey": "k", "secretInAKV": "a"}


def akv(name, *objects, **spec):
    return {"apiVersion": SYNC_API, "kind": "AKVSync", "metadata": {"name": name}, "spec": {
        "keyvaultName": "vault", "clientID": "client", "tenantID": "tenant",
        "serviceAccountName": "account", "objects": list(objects or [ENTRY]), **spec}}


def path(k):
    return f"/apis/{SYNC_API}/namespaces/{k.namespace}/akvsyncs"


@case(needs=["extended-crd"])
def akv_create(k):
    """POST takes all three forms, drops unknown fields with a warning, and refuses a second one."""
    k.send("create", "POST", path(k), akv("a"), expect=201)
    k.send("create again", "POST", path(k), akv("a"), expect=409)
    k.send("all forms", "POST", path(k), akv(
        "b", {**ENTRY, "versionHistory": 2, "labels": {"l": "1"}, "annotations": {"n": "1"}},
        {"certInAKV": "c", "kubernetesSecretType": "kubernetes.io/tls"},
        {"kubernetesSecretName": "d", "mapping": [{**MAPPING, "version": 1}]}), expect=201)
    k.send("with an unknown field", "POST", path(k), akv("c", unknown="x"), expect=201)


@case(needs=["schema", "extended-crd"])
def akv_invalid(k):
    """What the schema or a rule does not allow is a 422 that names the entry."""
    def bad(label, *objects, **spec):
        k.send(label, "POST", path(k), akv("bad", *objects, **spec), expect=422)
    bad("no form", {"kubernetesSecretName": "x"})
    bad("two forms", {**ENTRY, "certInAKV": "b"})
    bad("mapping without a name", {"mapping": [MAPPING]})
    bad("mapping with a history",
        {"kubernetesSecretName": "x", "mapping": [MAPPING], "versionHistory": 2})
    bad("a default name that is none", {"secretInAKV": "Upper"})
    bad("the same of a certificate", {"certInAKV": "end-"})
    bad("a token", {**ENTRY, "kubernetesSecretType": "kubernetes.io/service-account-token"})
    bad("a mapping from two", {"kubernetesSecretName": "x", "mapping": [
        {**MAPPING, "certInAKV": "b"}]})
    bad("a mapping from nothing", {"kubernetesSecretName": "x", "mapping": [{"dataKey": "k"}]})
    bad("a key twice", {"kubernetesSecretName": "x", "mapping": [MAPPING, MAPPING]})
    bad("a history of 0", {**ENTRY, "versionHistory": 0})
    bad("no vault", keyvaultName="")


@case(needs=["extended-crd"])
def akv_status(k):
    """A status patch that tests the uid writes that object alone."""
    uid = k.require(k.send(None, "POST", path(k), akv("a"), expect=201))["metadata"]["uid"]

    def status(label, uid, expect):
        value = {"observedGeneration": 1, "readySecrets": "0/1", "conditions": [],
                 "secretSyncs": [{"name": "a", "ready": "Unknown", "reason": "SyncStarting"}]}
        k.send(label, "PATCH", f"{path(k)}/a/status", [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/status", "value": value}], content=JSON_PATCH, expect=expect)
    status("first", uid, 200)
    status("same again", uid, 200)
    status("wrong uid", NO_UID, 422)


def derived(k, name, owner_uid, item="object", **metadata):
    controller = {"apiVersion": SYNC_API, "kind": "AKVSync", "name": "a", "uid": owner_uid,
                  "controller": True}
    return {"apiVersion": SYNC_API, "kind": "SecretSync",
            "metadata": {"name": name, "ownerReferences": [controller], **metadata},
            "spec": {"secretProviderClassName": "class", "serviceAccountName": "account",
                     "secretObject": {"type": "Opaque", "data": [
                         {"sourcePath": item, "targetKey": "v0"}]}}}


@case(needs=["extended-crd"])
def akv_derived(k):
    """A derived object: POST, an apply and a replacement held to uid and revision, a held delete."""
    owner = k.require(k.send(None, "POST", path(k), akv("a"), expect=201))["metadata"]["uid"]
    made = k.require(k.send("create", "POST", k.syncs, derived(k, "s", owner), expect=201,
                            fieldManager=AKV_MANAGER))["metadata"]
    k.send("create again", "POST", k.syncs, derived(k, "s", owner), expect=409,
           fieldManager=AKV_MANAGER)
    held = {"uid": made["uid"], "resourceVersion": made["resourceVersion"]}

    def apply(label, expect, item, **metadata):
        return k.send(label, "PATCH", f"{k.syncs}/{metadata.pop('name', 's')}",
                      derived(k, metadata.get("name", "s"), owner, item, **metadata), content=APPLY,
                      expect=expect, fieldManager=AKV_MANAGER, force="true")
    applied = k.require(apply("apply", 200, "other", **held))["metadata"]
    apply("apply with an old revision", 409, "third", **held)
    apply("apply with another uid", (409, 422), "third", uid=NO_UID,
          resourceVersion=applied["resourceVersion"])
    extra = k.require(k.send("somebody adds a key", "PATCH", f"{k.syncs}/s", [
        {"op": "add", "path": "/spec/secretObject/data/-", "value": {
            "sourcePath": "more", "targetKey": "more"}}], content=JSON_PATCH, expect=200))
    k.send("an apply leaves it", "PATCH", f"{k.syncs}/s", derived(
        k, "s", owner, "other", uid=made["uid"],
        resourceVersion=extra["metadata"]["resourceVersion"]),
        content=APPLY, expect=200, fieldManager=AKV_MANAGER, force="true")
    now = k.require(k.send("read", "GET", f"{k.syncs}/s", expect=200))["metadata"]

    def replace(label, version, expect):
        k.send(label, "PATCH", f"{k.syncs}/s", [
            {"op": "test", "path": "/metadata/uid", "value": made["uid"]},
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/spec", "value": derived(k, "s", owner)["spec"]}],
            content=JSON_PATCH, expect=expect, fieldManager=AKV_MANAGER)
    replace("a replacement does not", now["resourceVersion"], 200)
    replace("a replacement with an old revision", now["resourceVersion"], 422)

    def delete(label, uid, expect):
        k.send(label, "DELETE", f"{k.syncs}/s", {
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
            "preconditions": {"uid": uid}}, expect=expect)
    delete("delete with another uid", NO_UID, 409)
    delete("delete", made["uid"], 200)
    k.send("gone", "GET", f"{k.syncs}/s", expect=404)

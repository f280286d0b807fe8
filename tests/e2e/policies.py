#!/usr/bin/env python3
"""deploy/policies on a real API server, tried by acting as kvsync's own account: what each allows and
what it denies, with the words in which it denies."""

import copy
import json
import sys

from cluster import MANIFESTS, POLICIES, ROOT, Cluster, ClusterError, run_test, wait_for

sys.path.insert(0, str(ROOT / "tests" / "k8s"))

from bodies import APPLY, JSON, JSON_PATCH, MARK, MERGE, owner_reference, sync_body  # noqa: E402
from kube import Identity  # noqa: E402

SECRETS = "/api/v1/namespaces/default/secrets"
TOKENS = "/api/v1/namespaces/default/serviceaccounts/account/token"
MANAGER = "?fieldManager=secrets-store-sync-controller"
# Rights that kvsync never has: only so does a request get as far as a policy.
TOO_MUCH = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: too-much}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [get, list, delete, update, deletecollection]}
- {apiGroups: [secret-sync.x-k8s.io], resources: [akvsyncs], verbs: [create, patch, delete]}
- {apiGroups: [secrets-store.csi.x-k8s.io], resources: [secretproviderclasses], verbs: [delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: too-much}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: too-much}
subjects: [{kind: ServiceAccount, name: kvsync, namespace: azure-secret-store}]
"""


class Tries:
    """Requests as kvsync; each says whether it is to pass, or what the denial has to name."""

    def __init__(self, cluster):
        self.kvsync = Identity.from_kubeconfig(cluster.kubeconfig_for_serviceaccount("azure-secret-store", "kvsync"))
        self.failed = 0

    def send(self, method, path, body=None, content=JSON):
        status, _, raw = self.kvsync.request(method, path, {"Content-Type": content, "Accept": JSON},
                                             None if body is None else json.dumps(body))
        return status, json.loads(raw)

    def see(self, what, answer, denial):
        status, body = answer
        if denial is None:
            good = status < 300
        else:
            good = (status in (403, 422) and "ValidatingAdmissionPolicy" in body["message"]
                    and denial in body["message"])
        print(f"policies: {what}: {'ok' if good else 'WRONG'}", flush=True)
        if not good:
            print(f"  answered {status}: {body.get('message', 'done')}", flush=True)
            self.failed += 1

    def allowed(self, what, *request, **options):
        self.see(what, self.send(*request, **options), None)

    def denied(self, what, denial, *request, **options):
        self.see(what, self.send(*request, **options), denial)


def secret(name, uid, **changes):
    body = {"apiVersion": "v1", "kind": "Secret", "type": changes.pop("type", "Opaque"),
            "metadata": {"name": name, "labels": {MARK: ""}, "annotations": {MARK: ""},
                         "ownerReferences": [owner_reference(name, uid)]}, "data": {"k": "dg=="}}
    body["metadata"].update(changes)
    return body


def creation(tries, uid):
    good = secret("mine", uid)
    tries.allowed("the first write", "POST", SECRETS, good)
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "new", "uid": uid}
    wrong = {
        "a service account token": (secret("new", uid, type="kubernetes.io/service-account-token",
                                           annotations={"kubernetes.io/service-account.name": "account"}), "type"),
        "a type of somebody's own": (secret("new", uid, type="example.com/x"), "example.com/x"),
        "no owner": (secret("new", uid, ownerReferences=[]), "exactly one owner"),
        "two owners": (secret("new", uid, ownerReferences=[owner_reference("new", uid), other]), "exactly one owner"),
        "an owner of another kind": (secret("new", uid, ownerReferences=[other]), "exactly one owner"),
        "an owner of another name": (secret("new", uid, ownerReferences=[owner_reference("mine", uid)]),
                                     "exactly one owner"),
        "an owner of another group": (secret("new", uid, ownerReferences=[
            {**owner_reference("new", uid), "apiVersion": "example.com/v1"}]), "exactly one owner"),
        "no label": (secret("new", uid, labels={}), MARK),
        "a label with a value": (secret("new", uid, labels={MARK: "x"}), MARK),
    }
    for what, (body, denial) in wrong.items():
        tries.denied(f"a new Secret with {what}", denial, "POST", SECRETS, body)


def change_of_ones_own(tries, uid):
    path = f"{SECRETS}/mine{MANAGER}"
    applied = secret("mine", uid)
    applied["data"] = {"k": "dzI="}
    tries.allowed("a probe", "PATCH", path, {}, content=MERGE)
    tries.allowed("the complete write", "PATCH", path + "&force=true", applied, content=APPLY)
    tries.allowed("a partial write", "PATCH", path, {"data": {"k": "dzM="}}, content=MERGE)
    tries.allowed("a new label of the user", "PATCH", path, {"metadata": {"labels": {"team": "a"}}}, content=MERGE)
    _, now = tries.send("GET", f"{SECRETS}/mine")
    fields = copy.deepcopy(now["metadata"]["managedFields"])
    fields[0]["manager"] = "another-name"
    tries.allowed("a new owner of the managed fields", "PATCH", path, [
        {"op": "test", "path": "/metadata/resourceVersion", "value": now["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/metadata/managedFields", "value": fields}], content=JSON_PATCH)
    second = [owner_reference("mine", uid), {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": uid}]
    wrong = {
        "loses its label": ({"metadata": {"labels": {MARK: None}}}, MARK),
        "gets a second owner": ({"metadata": {"ownerReferences": second}}, "stays"),
        "loses its owner": ({"metadata": {"ownerReferences": None}}, "stays"),
        "gets an owner of another uid": ({"metadata": {"ownerReferences": [
            owner_reference("mine", "00000000-0000-4000-8000-000000000000")]}}, "stays"),
    }
    for what, (body, denial) in wrong.items():
        tries.denied(f"a Secret that {what}", denial, "PATCH", path, body, content=MERGE)


def foreign_secrets(cluster, tries, uid):
    cluster.apply_text(json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {
        "name": "theirs", "namespace": "default"}, "data": {"password": "aHVudGVyMg=="}}))
    path = f"{SECRETS}/theirs{MANAGER}"
    tries.allowed("a probe of somebody else's Secret", "PATCH", path, {}, content=MERGE)
    adopted = secret("theirs", uid)
    tries.denied("a new value for it", MARK, "PATCH", path, {"data": {"password": "eA=="}}, content=MERGE)
    tries.denied("a label for it", MARK, "PATCH", path, {"metadata": {"labels": {MARK: ""}}}, content=MERGE)
    tries.denied("its adoption", MARK, "PATCH", path + "&force=true", adopted, content=APPLY)
    cluster.kubectl("create", "secret", "generic", "labelled", "-n", "default")
    cluster.kubectl("label", "secret", "labelled", "-n", "default", f"{MARK}=")
    tries.denied("the adoption of one with the label", "stays", "PATCH", f"{SECRETS}/labelled{MANAGER}&force=true",
                 secret("labelled", uid), content=APPLY)
    tries.denied("its deletion", "may not delete", "DELETE", f"{SECRETS}/theirs")
    tries.denied("the deletion of all", "may not delete", "DELETE", SECRETS)
    held = cluster.get("secret", "theirs", "-n", "default")
    if held["data"] != {"password": "aHVudGVyMg=="} or "labels" in held["metadata"]:
        raise ClusterError(f"somebody else's Secret was changed: {held['metadata']}")


def token_requests(tries):
    def request(audiences, seconds=600):
        return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                "spec": {"audiences": audiences, "expirationSeconds": seconds}}
    for audience in ("", "USGov", "China"):
        tries.allowed(f"a token for api://AzureADTokenExchange{audience}", "POST", TOKENS,
                      request([f"api://AzureADTokenExchange{audience}"]))
    wrong = {
        "of an hour": request(["api://AzureADTokenExchange"], 3600),
        "for the API server": request(["https://kubernetes.default.svc"]),
        "for two audiences": request(["api://AzureADTokenExchange", "api://AzureADTokenExchangeChina"]),
        "for the server's own audience": request([]),
    }
    for what, body in wrong.items():
        tries.denied(f"a token {what}", "one audience", "POST", TOKENS, body)


def immutable_type(cluster, tries):
    """This one binds everybody, here the administrator."""
    def edit(kind):
        try:
            cluster.kubectl("patch", "secretsync", "typed", "-n", "default", "--type=merge", "-p",
                            json.dumps({"spec": {"secretObject": {"type": kind}}}))
            return 200, {}
        except ClusterError as error:
            return 403, {"message": str(error)}
    body = sync_body("typed", {"namespace": "default"})
    body["spec"]["secretObject"]["type"] = "Opaque"
    cluster.apply_text(json.dumps(body))
    tries.see("another type before the Secret exists", edit("kubernetes.io/basic-auth"), None)
    cluster.kubectl("patch", "secretsync", "typed", "-n", "default", "--subresource=status", "--type=merge", "-p",
                    json.dumps({"status": {"conditions": [{
                        "type": "SecretCreated", "status": "True", "reason": "CreateSucceeded", "message": "",
                        "lastTransitionTime": "2001-02-03T04:05:06Z"}]}}))
    tries.see("another type after that", edit("Opaque"), "cannot be changed")
    tries.see("the same type", edit("kubernetes.io/basic-auth"), None)
    cluster.kubectl("patch", "secretsync", "typed", "-n", "default", "--type=merge", "-p",
                    json.dumps({"spec": {"forceSynchronization": "now"}}))


def derived_objects(cluster, tries):
    """What an AKVSync controls may be written, everything else of those kinds may not."""
    akv_uid = "11111111-1111-4111-8111-111111111111"
    controller = {"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "AKVSync", "name": "akv", "uid": akv_uid,
                  "controller": True}
    syncs = "/apis/secret-sync.x-k8s.io/v1alpha1/namespaces/default/secretsyncs"
    classes = "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses"
    denial = "whose controller is, and stays, an AKVSync"
    spec_class = {"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
                  "metadata": {"name": "derived"}, "spec": {"provider": "azure"}}
    for what, path, body in (("SecretSync", syncs, sync_body("derived")), ("class", classes, spec_class)):
        def owned(*references):
            return {**body, "metadata": {"name": "derived", "ownerReferences": list(references)}}
        tries.denied(f"a new {what} of nobody", denial, "POST", path, body)
        tries.denied(f"a new {what} whose owner does not control it", denial, "POST", path,
                     owned({**controller, "controller": False}))
        tries.denied(f"a new {what} of another kind", denial, "POST", path, owned({**controller, "kind": "Other"}))
        tries.allowed(f"a new {what} that an AKVSync controls", "POST", path + "?dryRun=All", owned(controller))
        theirs = {**body, "metadata": {"name": "theirs", "namespace": "default"}}
        cluster.apply_text(json.dumps(theirs))
        tries.denied(f"a change of somebody else's {what}", denial, "PATCH", f"{path}/theirs",
                     {"metadata": {"labels": {"a": "b"}}}, content=MERGE)
        tries.denied(f"its adoption ({what})", denial, "PATCH", f"{path}/theirs",
                     {"metadata": {"ownerReferences": [controller]}}, content=MERGE)
        tries.denied(f"its deletion ({what})", denial, "DELETE", f"{path}/theirs")
    tries.denied("an AKVSync of its own", denial, "POST",
                 "/apis/secret-sync.x-k8s.io/v1alpha1/namespaces/default/akvsyncs",
                 {"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "AKVSync", "metadata": {"name": "akv"}, "spec": {
                     "keyvaultName": "vault", "clientID": "c", "tenantID": "t", "serviceAccountName": "account",
                     "objects": [{"secretInAKV": "s"}]}})


def in_force(cluster, tries, uid):
    """Waits until the server has taken up each of the policies; nothing is done for good meanwhile."""
    cluster.kubectl("create", "secret", "generic", "waiting", "-n", "default")
    nobodys = sync_body("waiting")
    harmless = [("POST", "/apis/secret-sync.x-k8s.io/v1alpha1/namespaces/default/secretsyncs?dryRun=All", nobodys),
                ("POST", f"{SECRETS}?dryRun=All", secret("waiting-too", uid, ownerReferences=[])),
                ("DELETE", f"{SECRETS}/waiting?dryRun=All", None),
                ("POST", f"{TOKENS}?dryRun=All", {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                                                  "spec": {"audiences": ["other"], "expirationSeconds": 600}})]
    wait_for("the policies to be in force", lambda: all(
        "ValidatingAdmissionPolicy" in tries.send(*request)[1].get("message", "") for request in harmless))


def main():
    # Without the admission plug-in that guards owners: here the policies are alone.
    with Cluster(owner_enforcement=False) as cluster:
        cluster.apply(MANIFESTS)
        cluster.apply(POLICIES)
        again = cluster.apply(POLICIES)
        if not all(line.endswith(" unchanged") for line in again.splitlines()):
            raise ClusterError(f"a second apply changes something: {again}")
        cluster.apply_text(TOO_MUCH)
        cluster.kubectl("create", "serviceaccount", "account", "-n", "default")
        cluster.apply_text(json.dumps(sync_body("mine", {"namespace": "default"})))
        uid = cluster.get("secretsync", "mine", "-n", "default")["metadata"]["uid"]
        tries = Tries(cluster)
        in_force(cluster, tries, uid)
        creation(tries, uid)
        change_of_ones_own(tries, uid)
        foreign_secrets(cluster, tries, uid)
        token_requests(tries)
        immutable_type(cluster, tries)
        derived_objects(cluster, tries)
        if tries.failed:
            raise ClusterError(f"{tries.failed} of the tries above went wrong")


if __name__ == "__main__":
    run_test("policies", main)

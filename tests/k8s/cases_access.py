"""Tokens of service accounts, missing rights, admission."""

from bodies import MERGE, METADATA, NAMESPACES, SYNC_API, owner_reference, token_request
from case import case
from normal import NO_UID

SECRETS = {"apiGroups": [""], "resources": ["secrets"]}


@case()
def token(k):
    """A token for ten minutes and one audience."""
    k.service_account()
    k.token("ten minutes", "account")
    k.token("less is refused", "account", seconds=599, expect=422)
    k.token("no such account", "none", expect=404)
    k.send("no such namespace", "POST",
           f"{NAMESPACES}/{k.namespace}-none/serviceaccounts/account/token", token_request(600),
           expect=404)


@case()
def unauthenticated(k):
    """A token that means nothing is a 401."""
    k.send("list", "GET", k.syncs, identity=k.identity.with_token("nothing"), expect=401)


@case(needs=["rbac"])
def forbidden(k):
    """Without rights: 403, and the text names user, verb and resource."""
    nobody = k.identity_of("nobody")
    s = k.secret("s")
    s.post("create", {"a": "1"}, identity=nobody, expect=403)
    s.probe("probe", identity=nobody, expect=403)
    s.apply("apply", {"a": "1"}, identity=nobody, expect=403)
    k.token("token", "nobody", identity=nobody, expect=403)
    k.send("list", "GET", k.syncs, identity=nobody, expect=403)
    k.send("list all", "GET", f"/apis/{SYNC_API}/secretsyncs", identity=nobody, expect=403)
    k.send("watch", "GET", k.syncs, identity=nobody, expect=403, watch="true")
    k.status("status", "s", "uid", {}, identity=nobody, expect=403)
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}}
    k.send("event", "POST", f"{NAMESPACES}/{k.namespace}/events", event, identity=nobody, expect=403)


@case(needs=["rbac"])
def right_to_patch_alone(k):
    """The right to patch is enough to probe and to write, not to create by apply or to read."""
    patcher = k.identity_of("patcher", [{**SECRETS, "verbs": ["patch"]}])
    s = k.secret("s")
    s.post("created by another", {"a": "1"})
    s.probe("probe", identity=patcher)
    s.fold("fold by another")
    s.apply("apply", {"a": "2"}, identity=patcher)
    k.send("read", "GET", s.path, identity=patcher, expect=403)
    k.send("a patch without that Accept answers with values", "PATCH", s.path, {}, content=MERGE,
           identity=patcher, expect=200)
    k.secret("t").apply("create by apply", {"a": "1"}, identity=patcher, expect=403)


@case(needs=["rbac", "owner-enforcement"])
def owner_change_needs_delete(k):
    """Owners of an existing Secret are changed only by somebody who may delete it."""
    writer = k.identity_of("writer", [{**SECRETS, "verbs": ["create", "patch"]}])
    s = k.secret("s")
    s.post("create with an owner", {"a": "1"}, identity=writer)
    s.apply("apply with the same owner", {"a": "2"}, identity=writer)
    anew = k.secret("s2").owners
    s.merge("drop the owner", {"metadata": {"ownerReferences": None}}, identity=writer, expect=403)
    s.owners = anew
    s.apply("apply with another owner", {"a": "3"}, identity=writer, expect=403)
    s.owners = [owner_reference("s", NO_UID)]
    s.apply("apply with an owner that is gone", {"a": "3"}, identity=writer, expect=403)


def denied(k, reason, status):
    writer = k.identity_of("writer", [{**SECRETS, "verbs": ["create", "patch"]}])
    s = k.secret("s")
    s.apply("create before the policy", {"a": "1"}, identity=writer, expect=201)
    k.setup.deny(k, "writer", writer, reason)
    s.apply("apply", {"a": "2"}, identity=writer, expect=status)
    s.merge("merge patch", {"data": {"a": "OQ=="}}, identity=writer, expect=status)
    s.probe("an empty patch is asked about, too", identity=writer, expect=status)
    s.apply("somebody else", {"a": "3"})
    k.secret("t").post("create", {"a": "1"}, identity=writer, expect=status)


@case(needs=["rbac", "policies"])
def policy_denies(k):
    """A policy that names no reason denies with 422, reason Invalid."""
    denied(k, None, 422)


@case(needs=["rbac", "policies"])
def policy_forbids(k):
    """A policy that names reason Forbidden denies with 403."""
    denied(k, "Forbidden", 403)


def event_about(k, name, uid, **members):
    about = {"apiVersion": SYNC_API, "kind": "SecretSync", "name": "s", "namespace": k.namespace, "uid": uid}
    return {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": k.namespace},
            "involvedObject": {**about, **members.pop("about", {})}, "reason": "CreateSucceeded",
            "message": "The Secret was created.", "type": "Normal", "count": 1,
            "firstTimestamp": "2027-01-15T08:00:00Z", "lastTimestamp": "2027-01-15T08:00:00Z",
            "source": {"component": "kvsync"}, "reportingComponent": "kvsync", **members}


@case()
def event_create(k):
    """An Event needs the right namespace and a name of its own; its message may be long, its object gone."""
    path = f"{NAMESPACES}/{k.namespace}/events"
    query = {"fieldManager": "secrets-store-sync-controller"}
    k.send("create", "POST", path, event_about(k, "s.1", NO_UID), accept=METADATA, expect=201, **query)
    k.send("as stored", "GET", path + "/s.1", expect=200)
    k.send("the same name again", "POST", path, event_about(k, "s.1", NO_UID), accept=METADATA, expect=409, **query)
    k.send("about another namespace", "POST", path, event_about(k, "s.2", NO_UID, about={"namespace": "other"}),
           accept=METADATA, expect=422, **query)
    k.send("about no namespace", "POST", path, event_about(k, "s.3", NO_UID, about={"namespace": ""}),
           accept=METADATA, expect=422, **query)
    k.send("a long message", "POST", path, event_about(k, "s.4", NO_UID, message="m" * 1025), accept=METADATA,
           expect=201, **query)
    k.send("a name that other objects may not have", "POST", path, event_about(k, "s-.5", NO_UID), accept=METADATA,
           expect=201, **query)


def lease_body(renewed):
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "leader"}, "spec": {
        "holderIdentity": "somebody", "leaseDurationSeconds": 15, "acquireTime": renewed, "renewTime": renewed}}


@case()
def lease(k):
    """The Lease of another controller: not there, held, renewed, gone."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{k.namespace}/leases"
    k.send("none", "GET", f"{path}/leader", expect=404)
    k.send("no namespace", "GET", f"/apis/coordination.k8s.io/v1/namespaces/{k.namespace}-none/leases/leader", expect=404)
    k.create(path, lease_body("2027-01-15T08:00:00.000000Z"))
    k.send("held", "GET", f"{path}/leader", expect=200)
    k.send(None, "PATCH", f"{path}/leader", {"spec": {"renewTime": "2027-01-15T08:00:10.123456Z"}}, content=MERGE,
           expect=200)
    k.send("renewed", "GET", f"{path}/leader", expect=200)
    k.send(None, "DELETE", f"{path}/leader", expect=200)
    k.send("gone", "GET", f"{path}/leader", expect=404)

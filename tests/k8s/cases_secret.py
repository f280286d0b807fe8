"""Secrets: create, probe, and the guards that a write carries."""

import base64

from bodies import APPLY, MARK, MERGE, METADATA, NAMESPACES, OURS
from case import case
from normal import NO_UID

MIB = 1 << 20


def zeros(count):
    return base64.b64encode(bytes(count)).decode()


@case()
def secret_create(k):
    """POST creates a Secret and answers with metadata alone; the second POST is refused."""
    s = k.secret("s")
    s.post("create", {"a": "1", "b": "2"})
    s.post("create again", {"a": "1"}, expect=409)
    s.keys("as stored")


@case()
def secret_create_without_namespace(k):
    """A POST into a namespace that does not exist is a 404 about the namespace."""
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    k.send("create", "POST", f"{NAMESPACES}/{k.namespace}-none/secrets", body, accept=METADATA,
           expect=404)


@case()
def secret_probe(k):
    """An empty merge patch changes nothing and answers with metadata; 404 when there is none."""
    s = k.secret("s")
    s.probe("absent", expect=404)
    s.post("create", {"a": "1"})
    s.probe("same resource version")
    s.delete()
    s.probe("gone", expect=404)


@case()
def secret_merge_guard(k):
    """A merge patch with uid and resourceVersion writes only that object in that version."""
    s = k.secret("s")
    s.post("create", {"a": "1"})
    seen = s.metadata
    both = {"uid": seen["uid"], "resourceVersion": seen["resourceVersion"]}
    s.merge("right", {"metadata": both, "data": {"b": "Mg=="}})
    s.merge("stale version", {"metadata": both, "data": {"b": "Mw=="}}, expect=409)
    s.merge("wrong uid", {"metadata": {"uid": NO_UID}, "data": {"b": "Mw=="}}, expect=422)
    s.merge("wrong uid and stale version", {"metadata": {**both, "uid": NO_UID}}, expect=(409, 422))
    s.delete()
    s.merge("gone", {"metadata": both, "data": {"b": "Mw=="}}, expect=404)


@case()
def secret_apply_guard(k):
    """A forced apply with uid and resourceVersion writes only that object in that version."""
    s = k.secret("s")
    s.post("create", {"a": "1"})
    seen = s.metadata
    both = {"uid": seen["uid"], "resourceVersion": seen["resourceVersion"]}
    s.apply("right", {"a": "2"}, guard=False, **both)
    s.apply("stale version", {"a": "3"}, guard=False, expect=409, **both)
    s.apply("wrong uid", {"a": "3"}, guard=False, expect=422, uid=NO_UID)
    s.apply("wrong uid and stale version", {"a": "3"}, guard=False, expect=(409, 422),
            uid=NO_UID, resourceVersion=seen["resourceVersion"])
    s.keys("only the right one wrote")
    s.delete()
    s.apply("gone, with uid", {"a": "3"}, guard=False, expect=409, uid=seen["uid"])
    s.apply("gone, with both", {"a": "3"}, guard=False, expect=409, **both)
    s.probe("still gone", expect=404)
    s.apply("gone, with version alone: it is created", {"a": "3"}, guard=False, expect=201,
            resourceVersion=seen["resourceVersion"])


@case()
def secret_apply_creates(k):
    """An apply without guards creates; the same once more writes nothing."""
    s = k.secret("s")
    s.apply("create", {"a": "1"}, expect=201)
    s.apply("same again", {"a": "1"})
    s.apply("same again without guards", {"a": "1"}, guard=False)
    s.apply("another value", {"a": "2"})


@case()
def secret_type_change(k):
    """A Secret's type cannot be changed."""
    s = k.secret("s")
    s.apply("create", {"a": "1"}, expect=201)
    s.apply("apply another type", {"a": "1"}, kind="example.com/other", expect=422)
    s.apply("apply a type that demands keys", {"a": "1"}, kind="kubernetes.io/tls", expect=422)
    s.merge("merge another type", {"type": "example.com/other"}, expect=422)


@case()
def secret_immutable(k):
    """The data of an immutable Secret cannot be changed, and the same data may be applied."""
    s = k.secret("s")
    s.apply("create", {"a": "1"}, expect=201)
    s.merge("made immutable", {"immutable": True}, manager="kubectl-edit")
    s.apply("another value", {"a": "2"}, expect=422)
    s.apply("same value", {"a": "1"})
    s.merge("merge another value", {"data": {"a": "Mg=="}}, expect=422)


@case()
def secret_types_that_demand_keys(k):
    """Some types demand keys."""
    s = k.secret("s")
    s.post("tls", {"a": "1"}, kind="kubernetes.io/tls", expect=422)
    s.post("tls with one of two", {"tls.crt": "1"}, kind="kubernetes.io/tls", expect=422)
    s.post("docker config", {"a": "1"}, kind="kubernetes.io/dockerconfigjson", expect=422)
    s.post("a type of one's own demands none", {"a": "1"}, kind="example.com/other")


@case()
def secret_bad_key(k):
    """A key with a slash is refused, and named."""
    s = k.secret("s")
    s.post("create", {"a/b": "1"}, expect=422)
    s.apply("apply", {"a/b": "1"}, expect=422)
    s.probe("nothing was made", expect=404)


@case()
def secret_bad_label(k):
    """A label that Kubernetes does not accept is refused."""
    s = k.secret("s")
    s.post("bad value", {"a": "1"}, labels={MARK: "", "team": "a b"}, expect=422)


@case()
def secret_size_limit(k):
    """One MiB of values is accepted, one byte more is not; a body over 3 MiB is not even read."""
    s = k.secret("s")
    s.post("too much", {"a": zeros(MIB + 1)}, encoded=True, expect=422)
    s.post("just enough", {"a": zeros(MIB)}, encoded=True)
    s.apply("apply too much", {"a": zeros(MIB), "b": "MQ=="}, encoded=True, expect=422)
    s.merge("merge too much", {"data": {"b": "MQ=="}}, expect=422)
    s.post("far too much", {"a": zeros(3 * MIB)}, encoded=True, expect=413)


@case()
def secret_empty_values(k):
    """An empty value is a value; null in a POST becomes an empty one; no data is accepted."""
    s = k.secret("s")
    s.post("empty and null", {"a": "", "b": None}, encoded=True)
    s.keys("both are there")
    s.apply("apply an empty one", {"a": ""}, encoded=True)
    k.secret("t").post("no data", {})


@case()
def secret_deleted_with_finalizer(k):
    """A Secret that waits for a finalizer can still be probed and written: its probe shows it."""
    s = k.secret("s")
    s.post("create", {"a": "1"}, finalizers=["example.com/hold"])
    s.delete()
    s.probe("with deletionTimestamp")
    s.apply("apply is accepted", {"a": "2"})
    s.post("create again", {"a": "1"}, expect=409)
    s.merge("let go", {"metadata": {"finalizers": None}}, manager="kubectl-edit")
    s.probe("gone", expect=404)


@case()
def secret_bad_requests(k):
    """Requests that are wrong in themselves."""
    s = k.secret("s")
    s.apply("create", {"a": "1"}, expect=201)
    k.send("apply without a manager", "PATCH", s.path, s.body({}), content=APPLY, accept=METADATA,
           expect=422, force="true")
    k.send("apply without a kind", "PATCH", s.path, {"metadata": {"name": "s"}}, content=APPLY,
           accept=METADATA, expect=400, fieldManager=OURS, force="true")
    k.send("unknown patch type", "PATCH", s.path, {}, content="application/example",
           accept=METADATA, expect=415, fieldManager=OURS)
    k.send("unknown answer type", "GET", s.path, accept="application/example", expect=406)
    answer = k.send("not JSON", "POST", k.secrets, '{"a":', accept=METADATA, expect=400)
    k.fact("its message repeats the body", '{"a":' in answer.body["message"])
    k.send("merge patch that is not JSON", "PATCH", s.path, "{", content=MERGE, accept=METADATA,
           expect=400)

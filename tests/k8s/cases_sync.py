"""SecretSync as an object: create, list in pages, status, generation, deletion."""

from bodies import ALL_SYNCS, MARK, MERGE, METADATA, SYNC_API, condition
from case import Unexpected, case
from normal import FIXED_TIME, NO_UID

STATUS = {
    "conditions": [condition("SecretCreated"), condition("Ready")],
    "syncHash": "kv1:x",
    "lastSuccessfulSyncTime": FIXED_TIME,
}
OBJECT = {"name": "object", "type": "secret", "version": "1", "updated": FIXED_TIME,
          "syncedAt": FIXED_TIME}
EXTENDED = {**STATUS, "observedGeneration": 1, "secretCreationTime": FIXED_TIME,
            "objects": [OBJECT]}


@case()
def sync_create(k):
    """POST fills in defaults, drops unknown fields with a warning, and refuses a second one."""
    k.sync("create", "s")
    k.sync("create again", "s", expect=409)
    k.sync("with an unknown field", "t", unknown="x")
    k.send("absent", "GET", f"{k.syncs}/none", expect=404)
    k.send("delete", "DELETE", f"{k.syncs}/s", expect=200)
    k.send("delete again", "DELETE", f"{k.syncs}/s", expect=404)


def require_empty_cluster(k):
    """A list over all namespaces is the same in every run only where nobody else has objects."""
    items = k.require(k.send(None, "GET", ALL_SYNCS, expect=200))["items"]
    if items:
        raise Unexpected(f"this server already holds {len(items)} SecretSyncs; use one without")


def next_page(k, label, page, limit, **options):
    return k.send(label, "GET", ALL_SYNCS, limit=limit,
                  **{"continue": page["metadata"]["continue"]}, **options)


@case()
def sync_list_pages(k):
    """A list in pages keeps its revision, counts what remains and ends with an empty token."""
    require_empty_cluster(k)
    for name in "abcde":
        k.require(k.sync(None, name))
    one = k.send("first page", "GET", ALL_SYNCS, limit=2, expect=200).body
    k.require(k.sync(None, "between"))
    two = next_page(k, "second page", one, 2, expect=200).body
    three = next_page(k, "last page, without what was created meanwhile", two, 2, expect=200).body
    k.fact("all pages have one revision", len({page["metadata"]["resourceVersion"]
                                               for page in (one, two, three)}) == 1)
    k.send("one page is enough", "GET", ALL_SYNCS, limit=10, expect=200)
    k.send("of the cache a limit is not heeded", "GET", ALL_SYNCS, limit=2, resourceVersion="0",
           expect=200)


@case()
def sync_list_empty(k):
    """An empty list is a list with a revision."""
    require_empty_cluster(k)
    k.send("no object", "GET", ALL_SYNCS, limit=500, expect=200)
    k.send("no namespace", "GET", f"/apis/{SYNC_API}/namespaces/{k.namespace}-none/secretsyncs",
           limit=500, expect=200)


@case()
def sync_list_bad_token(k):
    """A continue token that means nothing is a 400."""
    k.send("garbage", "GET", k.syncs, **{"continue": "garbage"}, limit=2, expect=400)


@case()
def sync_list_expired_token(k):
    """A continue token whose revision was compacted is a 410; its answer offers another token."""
    for name in "abcd":
        k.require(k.sync(None, name))
    page = k.send("first page", "GET", k.syncs, limit=2, expect=200).body
    token = {"continue": page["metadata"]["continue"]}

    def expired():
        for text in ("x", "y"):
            k.send(None, "PATCH", f"{k.syncs}/a", {"metadata": {"labels": {"label": text}}},
                   content=MERGE, expect=200)
        k.setup.forget_history()
        return k.send(None, "GET", k.syncs, limit=2, expect=(200, 410), **token).status == 410
    k.poll("the token to expire", expired, timeout=400, interval=0.3)
    k.send("second page", "GET", k.syncs, limit=2, expect=410, **token)


@case()
def sync_list_future(k):
    """A list at a revision that is yet to come waits 3 s and is then a 504: so a server says that it has not got that far."""
    k.send("list", "GET", k.syncs, resourceVersion="999999999", limit=1, expect=504)
    since = {"resourceVersionMatch": "NotOlderThan", "limit": 1}
    version = k.require(k.send(None, "GET", k.syncs, limit=1, expect=200))["metadata"]["resourceVersion"]
    k.send("got that far", "GET", k.syncs, resourceVersion=version, **since, expect=200)
    k.send("has not got that far", "GET", k.syncs, resourceVersion="999999999", **since, expect=504)


@case()
def sync_not_installed(k):
    """A kind that is not installed is a 404 in plain text, not a Status."""
    k.send("unknown group", "GET", "/apis/none.example.com/v1/things", expect=404)
    k.send("unknown kind", "GET", f"/apis/{SYNC_API}/things", expect=404)


@case()
def sync_generation(k):
    """generation counts changes of the spec, not of metadata or status."""
    uid = k.require(k.sync("create", "s"))["metadata"]["uid"]
    path = f"{k.syncs}/s"
    k.send("label", "PATCH", path, {"metadata": {"labels": {"x": "y"}}}, content=MERGE, expect=200)
    k.status("status", "s", uid, STATUS)
    for label in ("spec", "same spec"):
        k.send(label, "PATCH", path, {"spec": {"forceSynchronization": "1"}}, content=MERGE,
               expect=200)
    k.send("spec through the status", "PATCH", path + "/status",
           {"spec": {"forceSynchronization": "2"}}, content=MERGE, expect=200)


@case()
def sync_status(k):
    """A status patch that tests the uid writes that object alone."""
    uid = k.require(k.sync(None, "s"))["metadata"]["uid"]
    k.status("first", "s", uid, STATUS)
    k.status("same again", "s", uid, STATUS)
    k.status("answered as metadata", "s", uid, STATUS, accept=METADATA)
    k.status("shorter", "s", uid, {"conditions": [condition("Ready", "False", "Broken")]})
    k.status("wrong uid", "s", NO_UID, STATUS, expect=422)
    k.status("absent", "none", uid, STATUS, expect=404)
    k.send(None, "DELETE", f"{k.syncs}/s", expect=200)
    k.status("deleted", "s", uid, STATUS, expect=404)
    k.sync(None, "s")
    k.status("created anew", "s", uid, STATUS, expect=422)


@case()
def sync_status_beside_a_spec_change(k):
    """A status patch is not hindered by a change of the spec that it has not seen."""
    uid = k.require(k.sync(None, "s"))["metadata"]["uid"]
    k.send("spec", "PATCH", f"{k.syncs}/s", {"spec": {"forceSynchronization": "1"}}, content=MERGE,
           expect=200)
    k.status("status", "s", uid, STATUS)


@case(needs=["extended-crd"])
def sync_status_extended(k):
    """Every field of our status is stored."""
    uid = k.require(k.sync(None, "s", rotationPollIntervalInSeconds=60))["metadata"]["uid"]
    k.status("status", "s", uid, EXTENDED)
    k.status("and a field that nobody knows", "s", uid, {**EXTENDED, "unknown": "x"})


@case(needs=["upstream-crd"])
def sync_status_on_upstream(k):
    """On the upstream controller's CRD the fields that it lacks are dropped, with warnings."""
    uid = k.require(k.sync("an interval is dropped", "s", rotationPollIntervalInSeconds=60))[
        "metadata"]["uid"]
    k.status("status", "s", uid, EXTENDED)
    k.status("same again", "s", uid, EXTENDED)


@case(needs=["schema"])
def sync_invalid(k):
    """What the schema does not allow is a 422 that names the field."""
    item = {"sourcePath": "object", "targetKey": "key"}
    k.sync("bad name", "bad", serviceAccountName="A B", expect=422)
    k.sync("no data", "bad", secretObject={"data": []}, expect=422)
    k.sync("key twice", "bad", secretObject={"data": [item, item]}, expect=422)
    k.sync("reserved label", "bad", secretObject={"data": [item], "labels": {MARK: ""}}, expect=422)
    k.sync("reserved annotation", "bad", secretObject={"data": [item], "annotations": {MARK: ""}},
           expect=422)
    k.sync("path with a directory", "bad", expect=422, secretObject={
        "data": [{"sourcePath": "a/b", "targetKey": "key"}]})
    uid = k.require(k.sync(None, "s"))["metadata"]["uid"]
    k.status("bad condition", "s", uid, {"conditions": [condition("Ready", "Maybe")]}, expect=422)
    k.status("condition twice", "s", uid, {"conditions": [condition("Ready")] * 2}, expect=422)


@case(needs=["schema", "extended-crd"])
def sync_extended_schema(k):
    """The fields that our CRD adds are checked, and halves of certificates are valid paths."""
    for seconds in (1, 604800):
        k.sync(f"interval {seconds}", f"s{seconds}", rotationPollIntervalInSeconds=seconds)
    for seconds in (0, 604801):
        k.sync(f"interval {seconds}", "bad", rotationPollIntervalInSeconds=seconds, expect=422)
    k.sync("halves of a certificate", "tls", secretObject={"type": "kubernetes.io/tls", "data": [
        {"sourcePath": "cert/tls.crt", "targetKey": "tls.crt"},
        {"sourcePath": "cert/tls.key", "targetKey": "tls.key"}]})
    k.sync("a version of half a certificate", "old", secretObject={"data": [
        {"sourcePath": "cert/1/tls.crt", "targetKey": "tls.crt"}]})
    k.sync("half of something else", "bad", expect=422, secretObject={"data": [
        {"sourcePath": "cert/tls.pem", "targetKey": "tls.crt"}]})


@case()
def sync_deleted_with_finalizer(k):
    """While a finalizer holds it, a deleted SecretSync can be patched and not created anew."""
    metadata = {"finalizers": ["example.com/hold"]}
    uid = k.require(k.sync("create", "s", metadata=metadata))["metadata"]["uid"]
    k.send("delete: generation moves", "DELETE", f"{k.syncs}/s", expect=200)
    k.status("status", "s", uid, STATUS)
    k.sync("create again", "s", expect=409)
    k.send("let go", "PATCH", f"{k.syncs}/s", {"metadata": {"finalizers": None}}, content=MERGE,
           expect=200)
    k.send("gone", "GET", f"{k.syncs}/s", expect=404)
    k.sync("create again now", "s")

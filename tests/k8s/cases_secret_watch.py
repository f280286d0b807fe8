"""LIST and WATCH of Secrets as metadata alone, those with our label: what driftDetection: watch stands on."""

from bodies import MARK, MERGE, METADATA
from case import case

METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
SELECTION = {"labelSelector": MARK}


def foreign(k, name):
    k.create(k.secrets, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
                         "data": {"theirs": "eA=="}})


def merge(k, name, body):
    k.send(None, "PATCH", f"{k.secrets}/{name}", body, content=MERGE, expect=200,
           fieldManager="kubectl-edit")


def listed(k, label, expect=200, path=None, **query):
    return k.send(label, "GET", path or k.secrets, accept=METADATA_LIST, expect=expect, **SELECTION, **query)


@case()
def secret_metadata_list(k):
    """Pages of metadata: no value, no type; annotations and managedFields come along; Secrets without the label do not."""
    for name in ("a", "b", "c"):
        k.secret(name).post(f"create {name}", {"k": "value"})
    foreign(k, "between")
    merge(k, "c", {"metadata": {"annotations": {APPLIED: "values"}}})
    page = listed(k, "first page", limit=2).body
    listed(k, "last page", limit=2, **{"continue": page["metadata"]["continue"]})
    listed(k, "one page is enough", limit=500)
    k.send("none of that label", "GET", k.secrets, accept=METADATA_LIST, expect=200,
           labelSelector="example.com/none", limit=500)
    listed(k, "garbage", limit=2, expect=400, **{"continue": "garbage"})


@case(needs=["rbac"])
def secret_metadata_forbidden(k):
    """Without the right to list and watch: 403, also where one may patch; the text names verb and resource."""
    patcher = k.identity_of("patcher", [{"apiGroups": [""], "resources": ["secrets"],
                                         "verbs": ["create", "patch"]}])
    listed(k, "list", expect=403, identity=patcher, limit=500)
    listed(k, "list all", expect=403, path="/api/v1/secrets", identity=patcher, limit=500)
    k.send("watch all", "GET", "/api/v1/secrets", accept=METADATA, identity=patcher, expect=403,
           watch="true", allowWatchBookmarks="true", resourceVersion="1", **SELECTION)


@case(needs=["watch-list"])
def secret_metadata_watch_list(k):
    """A list of metadata as the beginning of a watch: those with the label, then the marked bookmark."""
    for name in ("a", "b"):
        k.secret(name).post(f"create {name}", {"k": "value"})
    foreign(k, "between")
    with k.watch("open", k.secrets, accept=METADATA, sendInitialEvents="true", resourceVersionMatch="NotOlderThan",
                 allowWatchBookmarks="true", timeoutSeconds=15, **SELECTION) as w:
        w.take("two, and a bookmark", 3)
        k.secret("c").post("create c", {"k": "value"})
        w.take("created", 1)


@case()
def secret_metadata_watch(k):
    """Each change of metadata or data is one event without a value. A Secret that loses the label is DELETED, and ADDED when it
    gets it back; one that never had it is not heard of."""
    s = k.secret("s")
    version = listed(k, None, limit=1).body["metadata"]["resourceVersion"]
    with k.watch("open", k.secrets, accept=METADATA, resourceVersion=version,
                 allowWatchBookmarks="true", timeoutSeconds=15, **SELECTION) as w:
        s.post("create", {"k": "value"})
        w.take("created", 1)
        foreign(k, "between")
        s.edit(None, {"k": "edited"})
        w.take("edited", 1)
        merge(k, "s", {"metadata": {"labels": {MARK: "other"}}})
        w.take("the label has another value", 1)
        merge(k, "s", {"metadata": {"labels": {MARK: None}}})
        w.take("the label is gone", 1)
        s.edit(None, {"k": "unseen"})
        merge(k, "s", {"metadata": {"labels": {MARK: ""}}})
        w.take("the label is back", 1)
        merge(k, "s", {"metadata": {"ownerReferences": None}})
        w.take("the owner is gone", 1)
        s.delete()
        w.take("deleted", 1)


@case()
def metadata_watch_too_old(k):
    """A revision that the server has forgotten: the object of the ERROR event is a Status, also where metadata was asked for.
    (The server forgets those of custom resources sooner.)"""
    k.sync(None, "s")
    with k.watch("open", k.syncs, accept=METADATA, resourceVersion="1", allowWatchBookmarks="true",
                 timeoutSeconds=15) as w:
        w.rest("one error")


@case()
def secret_metadata_watch_bookmark(k):
    """A bookmark of a watch of metadata is metadata, too."""
    s = k.secret("s")
    version = listed(k, None, limit=1).body["metadata"]["resourceVersion"]
    with k.watch("open", k.secrets, accept=METADATA, resourceVersion=version,
                 allowWatchBookmarks="true", timeoutSeconds=4, **SELECTION) as w:
        s.post("create", {"k": "value"})
        w.rest("created, and a bookmark")

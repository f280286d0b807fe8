"""Watches of SecretSyncs: events, bookmarks, and revisions that are too old or too new."""

from bodies import ALL_SYNCS, MERGE, SYNC_API
from case import case

CLASS_API = "secrets-store.csi.x-k8s.io/v1"


def revision(k):
    page = k.require(k.send(None, "GET", k.syncs, limit=1, expect=200))
    return page["metadata"]["resourceVersion"]


def change(k, name):
    k.send(None, "PATCH", f"{k.syncs}/{name}", {"spec": {"forceSynchronization": "1"}},
           content=MERGE, expect=200)


@case()
def watch_from_list(k):
    """From a list's revision on: each later change is one line, in order."""
    k.require(k.sync(None, "before"))
    with k.watch("open", k.syncs, resourceVersion=revision(k), allowWatchBookmarks="true",
                 timeoutSeconds=15) as w:
        uid = k.require(k.sync(None, "s"))["metadata"]["uid"]
        change(k, "s")
        k.status(None, "s", uid, {"syncHash": "kv1:x"})
        k.send(None, "DELETE", f"{k.syncs}/s", expect=200)
        k.sync(None, "s")
        w.take("created, changed, status, deleted, created", 5)


@case()
def watch_all_namespaces(k):
    """The same path without a namespace sees all of them."""
    with k.watch("open", ALL_SYNCS, resourceVersion=revision(k), timeoutSeconds=15) as w:
        k.sync(None, "s")
        w.take("created", 1)


@case()
def watch_resumes(k):
    """A second watch from the revision of an event goes on behind that event."""
    first = k.require(k.sync(None, "a"))["metadata"]["resourceVersion"]
    k.sync(None, "b")
    with k.watch("open", k.syncs, resourceVersion=first, timeoutSeconds=15) as w:
        w.take("b alone", 1)


@case()
def watch_finalizer(k):
    """A deletion that a finalizer holds up is a MODIFIED, then a DELETED."""
    k.require(k.sync(None, "s", metadata={"finalizers": ["example.com/hold"]}))
    with k.watch("open", k.syncs, resourceVersion=revision(k), timeoutSeconds=15) as w:
        k.send(None, "DELETE", f"{k.syncs}/s", expect=200)
        k.send(None, "PATCH", f"{k.syncs}/s", {"metadata": {"finalizers": None}}, content=MERGE,
               expect=200)
        w.take("marked, gone", 2)


@case()
def watch_bookmark(k):
    """A watch that is about to end says first how far it got, if that is beyond where it started;
    then it ends without an error. (A quiet watch may end without a bookmark.)"""
    with k.watch("open", k.syncs, resourceVersion=revision(k), allowWatchBookmarks="true",
                 timeoutSeconds=4) as w:
        k.sync(None, "s")
        w.rest("created, and a bookmark")


@case()
def watch_without_bookmarks(k):
    """Without being asked the server sends none."""
    k.sync(None, "s")
    with k.watch("open", k.syncs, resourceVersion=revision(k), timeoutSeconds=3) as w:
        w.rest("nothing")


@case()
def watch_initial_events(k):
    """A watch without a revision starts with what is there, and says when that is complete."""
    k.sync(None, "a")
    k.sync(None, "b")
    with k.watch("open", k.syncs, allowWatchBookmarks="true", timeoutSeconds=15) as w:
        w.take("two that are there, and a bookmark", 3)
        k.sync(None, "c")
        w.take("a new one", 1)


STREAM = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan",
          "allowWatchBookmarks": "true", "timeoutSeconds": 15}


@case(needs=["watch-list"])
def watch_list(k):
    """A list as the beginning of a watch: what is there as ADDED, one bookmark with a mark, then what happens."""
    for name in "abc":
        k.sync(None, name)
    k.send(None, "DELETE", f"{k.syncs}/b", expect=200)
    change(k, "a")
    with k.watch("open", k.syncs, **STREAM) as w:
        w.take("two that are there, as they are now, and a bookmark", 3)
        k.sync(None, "d")
        change(k, "c")
        k.send(None, "DELETE", f"{k.syncs}/a", expect=200)
        w.take("created, changed, deleted", 3)


@case(needs=["watch-list"])
def watch_list_empty(k):
    """Where nothing is there the bookmark comes alone."""
    with k.watch("open", k.syncs, **STREAM) as w:
        w.take("a bookmark", 1)
        k.sync(None, "s")
        w.take("created", 1)


@case(needs=["watch-list"])
def watch_list_goes_on(k):
    """A watch from the bookmark's revision on begins behind the list."""
    k.sync(None, "a")
    with k.watch("open", k.syncs, **STREAM) as w:
        w.take("one, and a bookmark", 2)
        version = w.last["object"]["metadata"]["resourceVersion"]
    k.sync(None, "b")
    with k.watch("resume", k.syncs, resourceVersion=version, timeoutSeconds=15) as w:
        w.take("what came after it", 1)


@case(needs=["watch-list"])
def watch_list_from_a_revision(k):
    """At least as new as a revision: an old one is no matter; one that is yet to come is waited for, and then
    an ERROR event."""
    k.sync(None, "s")
    with k.watch("old", k.syncs, **STREAM, resourceVersion="1") as w:
        w.take("one, and a bookmark", 2)
    with k.watch("any", k.syncs, **STREAM, resourceVersion="0") as w:
        w.take("one, and a bookmark", 2)
    with k.watch("of the future", k.syncs, **STREAM, resourceVersion="999999999") as w:
        w.rest("one error")


@case(needs=["watch-list"])
def watch_list_options(k):
    """sendInitialEvents goes with NotOlderThan and with a watch alone; without bookmarks its end is not told."""
    k.sync(None, "s")
    match = {"resourceVersionMatch": "NotOlderThan"}
    for label, query in (
            ("no match", {"sendInitialEvents": "true"}),
            ("another match", {"sendInitialEvents": "true", "resourceVersionMatch": "Exact"}),
            ("only a match", match),
            ("a continue token", {"sendInitialEvents": "true", "continue": "abc", **match})):
        with k.watch(label, k.syncs, **query, timeoutSeconds=3) as w:
            w.error(expect=422)
    k.send("a list", "GET", k.syncs, sendInitialEvents="true", **match, expect=422)
    k.send("a list with a match alone", "GET", k.syncs, **match, expect=422)
    with k.watch("no number", k.syncs, **STREAM, resourceVersion="x") as w:
        w.error(expect=500)
    with k.watch("without bookmarks", k.syncs, sendInitialEvents="true", timeoutSeconds=2, **match) as w:
        w.rest("one")
    with k.watch("no events", k.syncs, sendInitialEvents="false", timeoutSeconds=2, **match) as w:
        w.rest("nothing")


def class_body(name, text="array: []"):
    return {"apiVersion": CLASS_API, "kind": "SecretProviderClass", "metadata": {"name": name},
            "spec": {"provider": "azure", "parameters": {"keyvaultName": "vault", "tenantID": "tenant", "objects": text}}}


@case()
def class_lists(k):
    """SecretProviderClasses: created and changed, in pages, and by a watch."""
    path = f"/apis/{CLASS_API}/namespaces/{k.namespace}/secretproviderclasses"
    k.send("create", "POST", path, class_body("a"), expect=201)
    k.send("create again", "POST", path, class_body("a"), expect=409)
    for name in "bc":
        k.create(path, class_body(name))
    k.send("change", "PATCH", f"{path}/b", class_body("b", "array:\n- x"), content=MERGE, expect=200)
    page = k.send("first page", "GET", path, limit=2, expect=200).body
    k.send("last page", "GET", path, limit=2, **{"continue": page["metadata"]["continue"]}, expect=200)
    with k.watch("open", path, resourceVersion=page["metadata"]["resourceVersion"], timeoutSeconds=15) as w:
        k.send(None, "DELETE", f"{path}/a", expect=200)
        w.take("deleted", 1)


@case(needs=["watch-list", "extended-crd"])
def watch_list_of_other_kinds(k):
    """SecretProviderClasses and AKVSyncs are listed by a watch like SecretSyncs."""
    paths = {"classes": f"/apis/{CLASS_API}/namespaces/{k.namespace}/secretproviderclasses",
             "akvsyncs": f"/apis/{SYNC_API}/namespaces/{k.namespace}/akvsyncs"}
    k.create(paths["classes"], class_body("a"))
    k.create(paths["akvsyncs"], {
        "apiVersion": SYNC_API, "kind": "AKVSync", "metadata": {"name": "a"}, "spec": {
            "keyvaultName": "vault", "clientID": "client", "tenantID": "tenant", "serviceAccountName": "account",
            "objects": [{"secretInAKV": "a"}]}})
    for kind, path in paths.items():
        with k.watch(kind, path, **STREAM) as w:
            w.take("one, and a bookmark", 2)


@case(needs=["watch-list", "rbac"])
def watch_list_rights(k):
    """A list by a watch takes the right to watch; none to list."""
    def who(account, *verbs):
        return k.identity_of(account, [{"apiGroups": ["secret-sync.x-k8s.io"], "resources": ["secretsyncs"],
                                        "verbs": list(verbs)}])
    k.sync(None, "s")
    lister, watcher = who("lister", "list"), who("watcher", "watch")
    with k.watch("who may list", k.syncs, identity=lister, **STREAM) as w:
        w.error(expect=403)
    with k.watch("who may watch", k.syncs, identity=watcher, **STREAM) as w:
        w.take("one, and a bookmark", 2)


@case(needs=["paged-only"])
def watch_list_unknown(k):
    """A server without the feature refuses it by 422, whatever it is asked with; a watch without a revision still
    begins with what is there."""
    k.sync(None, "s")
    with k.watch("as kvsync asks", k.syncs, **STREAM) as w:
        w.error(expect=422)
    with k.watch("and without a match", k.syncs, sendInitialEvents="true", timeoutSeconds=3) as w:
        w.error(expect=422)
    with k.watch("and no events", k.syncs, sendInitialEvents="false", timeoutSeconds=3,
                 resourceVersionMatch="NotOlderThan") as w:
        w.error(expect=422)
    k.send("all pages are there", "GET", k.syncs, limit=500, expect=200)


@case()
def watch_too_old(k):
    """A revision that the server has forgotten: 200, one ERROR event with code 410, the end."""
    k.sync(None, "s")
    with k.watch("open", k.syncs, resourceVersion="1", allowWatchBookmarks="true",
                 timeoutSeconds=15) as w:
        w.rest("one error")


@case()
def watch_from_the_future(k):
    """A revision that is yet to come, as after a restored backup: 200 and silence, whatever
    happens. (A list at that revision says so: sync-list-future.)"""
    with k.watch("open", k.syncs, resourceVersion="999999999", allowWatchBookmarks="true",
                 timeoutSeconds=3) as w:
        k.sync(None, "s")
        w.rest("nothing")


@case()
def watch_bad_revision(k):
    """A revision that is no number."""
    with k.watch("open", k.syncs, resourceVersion="x", timeoutSeconds=3) as w:
        w.error(expect=500)

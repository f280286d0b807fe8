"""Watches of SecretSyncs: events, bookmarks, and revisions that are too old or too new."""

from bodies import ALL_SYNCS, MERGE
from case import case


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


@case()
def watch_send_initial_events(k):
    """The same by sendInitialEvents."""
    k.sync(None, "a")
    with k.watch("open", k.syncs, allowWatchBookmarks="true", timeoutSeconds=15,
                 sendInitialEvents="true", resourceVersionMatch="NotOlderThan") as w:
        w.take("one that is there, and a bookmark", 2)


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

"""Owners and their Secrets: garbage collection, deletion in the foreground, namespaces that end."""

from bodies import MERGE, METADATA, NAMESPACES, owner_reference
from case import case
from normal import NO_UID


def wait_until_gone(k, secret):
    def gone():
        return k.send(None, "PATCH", secret.path, {}, content=MERGE, accept=METADATA,
                      expect=(200, 404)).status == 404
    k.poll(f"garbage collection of {secret.name}", gone)


def wait_until_marked(k, secret):
    """Until a Secret that a finalizer holds has its deletionTimestamp."""
    k.poll(f"deletion of {secret.name}", lambda: "deletionTimestamp" in k.send(
        None, "GET", secret.path, expect=200).body["metadata"])


@case()
def collected_with_its_owner(k):
    """A Secret goes when its only owner goes."""
    s = k.secret("s")
    s.post("create", {"a": "1"})
    k.send("delete the owner", "DELETE", f"{k.syncs}/s", expect=200)
    wait_until_gone(k, s)
    s.probe("gone", expect=404)


@case()
def collected_without_an_owner(k):
    """A Secret whose owner never existed goes, too."""
    s = k.secret("s", owned=False)
    s.owners = [owner_reference("s", NO_UID)]
    s.post("create", {"a": "1"})
    wait_until_gone(k, s)


@case()
def orphaned(k):
    """With propagationPolicy Orphan the Secret stays and loses its owner."""
    s = k.secret("s")
    s.post("create", {"a": "1"})
    k.send("delete the owner", "DELETE", f"{k.syncs}/s", propagationPolicy="Orphan", expect=200)
    k.poll("the owner to go", lambda: k.send(
        None, "GET", f"{k.syncs}/s", expect=(200, 404)).status == 404)
    s.probe("without owner")


@case()
def deleted_in_the_foreground(k):
    """An owner that is deleted in the foreground does not wait for a Secret whose reference to it
    has no blockOwnerDeletion."""
    s = k.secret("s")
    s.post("create", {"a": "1"}, finalizers=["example.com/hold"])
    k.send("delete the owner", "DELETE", f"{k.syncs}/s", propagationPolicy="Foreground", expect=200)
    k.poll("the owner to go", lambda: k.send(
        None, "GET", f"{k.syncs}/s", expect=(200, 404)).status == 404)
    wait_until_marked(k, s)
    s.probe("the Secret waits for its finalizer")
    s.merge("let go", {"metadata": {"finalizers": None}}, manager="kubectl-edit")
    s.probe("gone", expect=404)


@case()
def created_anew(k):
    """A SecretSync that was deleted and created anew meets the old Secret until that is gone."""
    s = k.secret("s")
    s.post("create", {"a": "1"}, finalizers=["example.com/hold"])
    k.send(None, "DELETE", f"{k.syncs}/s", expect=200)
    wait_until_marked(k, s)
    old = s.owners
    s.owners = [k.owner("s")]
    k.fact("another owner", old != s.owners)
    s.post("the old one is in the way", {"a": "1"}, expect=409)
    s.probe("it shows whose it was")
    s.merge("it goes", {"metadata": {"finalizers": None}}, manager="kubectl-edit")
    s.post("now it is created", {"a": "1"})


@case()
def namespace_terminating(k):
    """In a namespace that ends nothing can be created; what is there can still be patched."""
    k.service_account()
    s = k.secret("s")
    s.post("create", {"a": "1"}, finalizers=["example.com/hold"])
    k.send("end the namespace", "DELETE", f"{NAMESPACES}/{k.namespace}", expect=200)
    t = k.secret("t", owned=False)
    t.post("create", {"a": "1"}, expect=403)
    t.apply("create by apply", {"a": "1"}, expect=403)
    k.sync("a SecretSync", "t", expect=403)
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "t.1"},
             "involvedObject": {"kind": "SecretSync", "name": "t", "namespace": k.namespace}}
    k.send("an Event", "POST", f"{NAMESPACES}/{k.namespace}/events", event, accept=METADATA, expect=403)
    wait_until_marked(k, s)
    s.probe("probe")
    s.apply("apply", {"a": "2"})
    s.merge("let go", {"metadata": {"finalizers": None}}, manager="kubectl-edit")
    k.poll("the namespace to go", lambda: k.send(
        None, "GET", f"{NAMESPACES}/{k.namespace}", expect=(200, 404)).status == 404)
    t.post("create in a namespace that is gone", {"a": "1"}, expect=404)

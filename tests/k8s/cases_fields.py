"""Who owns which field of a Secret, what an apply prunes, and how entries are folded into one."""

from bodies import OURS
from case import case
from normal import NO_UID

LEGACY = "v1-secrets-store-sync-controller"


@case()
def fields_post_hinders_pruning(k):
    """What a POST wrote is not pruned by the apply that leaves it out: the POST's entry owns it."""
    s = k.secret("s")
    s.post("create a and b", {"a": "1", "b": "2"})
    s.apply("apply a", {"a": "1"})
    s.keys("b is still there")
    s.apply("apply another a", {"a": "3"})
    s.keys("b is still there after a change")


@case()
def fields_apply_prunes(k):
    """What an apply wrote is pruned by the apply that leaves it out."""
    s = k.secret("s")
    s.apply("create a and b", {"a": "1", "b": "2"}, expect=201)
    s.apply("apply a", {"a": "1"})
    s.keys("b is gone")


@case()
def fields_fold_update_entry(k):
    """The POST's entry becomes the Apply entry by a JSON patch; the next apply prunes."""
    s = k.secret("s")
    s.post("create a and b", {"a": "1", "b": "2"})
    s.fold("fold")
    s.apply("apply a", {"a": "1"})
    s.keys("b is gone")


@case()
def fields_fold_both_entries(k):
    """With an Apply entry beside the Update entry, their union becomes the Apply entry."""
    s = k.secret("s")
    s.post("create a and b", {"a": "1", "b": "2"})
    s.apply("apply a and c", {"a": "1", "c": "3"})
    s.fold("fold")
    s.probe("the fold is stored")
    s.apply("apply a", {"a": "1"})
    s.keys("b and c are gone")


@case()
def fields_fold_keeps_foreign(k):
    """A fold leaves the entries of others alone, and so do their keys stay."""
    s = k.secret("s")
    s.post("create a and b", {"a": "1", "b": "2"})
    s.edit("somebody adds z and edits a", {"z": "9", "a": "8"})
    s.fold("fold")
    s.apply("apply a", {"a": "1"})
    s.keys("b is gone, z stays, a is ours")


@case()
def fields_fold_guard(k):
    """A fold that saw an older version, or another object, does nothing."""
    s = k.secret("s")
    s.post("create", {"a": "1", "b": "2"})
    old = s.metadata["resourceVersion"]
    s.edit("edited meanwhile", {"z": "9"})
    s.fold("stale version", version=old, expect=422)
    s.fold("wrong uid", uid=NO_UID, expect=422)
    s.probe("nothing changed")
    s.json_patch("test of a path that is not there",
                 [{"op": "test", "path": "/metadata/none", "value": "1"}], expect=422)
    s.delete()
    s.fold("gone", expect=404)


@case()
def fields_fold_malformed(k):
    """A list that the server cannot read is dropped without an error: the answer has to be read."""
    s = k.secret("s")
    s.post("create", {"a": "1"})
    s.json_patch("unknown operation", [{
        "op": "replace", "path": "/metadata/managedFields",
        "value": [{"manager": OURS, "operation": "Bogus", "apiVersion": "v1",
                   "fieldsType": "FieldsV1", "fieldsV1": {}}]}])
    s.json_patch("empty list: ownership is forgotten", [
        {"op": "replace", "path": "/metadata/managedFields", "value": [{}]}])


@case()
def fields_merge_patch_takes_over(k):
    """A merge patch of ours moves changed keys from the Apply entry to an Update entry of ours."""
    s = k.secret("s")
    s.apply("create a and b", {"a": "1", "b": "2"}, expect=201)
    s.merge("change a, add c", {"data": {"a": "OQ==", "b": "Mg==", "c": "Mw=="}})
    s.apply("apply b", {"b": "2"})
    s.keys("a and c are still there")
    s.fold("fold")
    s.apply("apply b again", {"b": "2"})
    s.keys("b alone")


@case()
def fields_foreign_edit(k):
    """An edited key belongs to the editor: an unforced apply is refused, a forced one wins."""
    s = k.secret("s")
    s.apply("create", {"a": "1", "b": "2"}, expect=201)
    s.edit("an edit that changes nothing", {"a": "1"})
    s.edit("an edit", {"a": "8", "z": "9"})
    s.apply("unforced", {"a": "1", "b": "2"}, force=False, expect=409)
    s.apply("forced", {"a": "1", "b": "2"})
    s.keys("a is ours again, z stays")


@case()
def fields_foreign_edit_of_two(k):
    """The refusal names each field. (With several managers their order is the server's whim.)"""
    s = k.secret("s")
    s.apply("create", {"a": "1", "b": "2"}, expect=201)
    s.merge("one edits a and the label", {"data": {"a": "OA=="}, "metadata": {"labels": {
        "secrets-store.sync.x-k8s.io": "x"}}}, manager="kubectl-edit")
    s.apply("unforced", {"a": "1", "b": "2"}, force=False, expect=409)
    s.merge("another edits b", {"data": {"b": "OA=="}}, manager="kubectl-patch")
    s.apply("forced", {"a": "1", "b": "2"})


@case()
def fields_foreign_delete_of_a_key(k):
    """A key that somebody removed comes back with the next apply, without a conflict."""
    s = k.secret("s")
    s.apply("create", {"a": "1", "b": "2"}, expect=201)
    s.edit("b is removed", {"b": None})
    s.apply("unforced", {"a": "1", "b": "2"}, force=False)
    s.keys("b is back")


@case()
def fields_post_edit_apply(k):
    """POST, merge patch, foreign edit, fold, forced apply with a key dropped: all in one life."""
    s = k.secret("s")
    s.post("create a, b, c", {"a": "1", "b": "2", "c": "3"})
    s.merge("partial write of a", {"data": {"a": "OQ=="}})
    s.edit("somebody edits c", {"c": "8"})
    s.probe("three entries")
    s.fold("fold")
    s.apply("apply a and c", {"a": "1", "c": "3"})
    s.keys("b is gone, c is ours")
    s.apply("same again", {"a": "1", "c": "3"})


@case()
def fields_legacy_manager(k):
    """What the upstream controller's older name applied is not pruned by an apply under ours."""
    s = k.secret("s")
    s.apply("older controller", {"a": "1", "old": "2"}, manager=LEGACY, expect=201)
    s.apply("ours", {"a": "3"})
    s.keys("old is still there")


@case()
def fields_labels_and_annotations(k):
    """Labels and annotations of ours that are left out go, those of others stay."""
    s = k.secret("s")
    mark = {"secrets-store.sync.x-k8s.io": ""}
    s.apply("create", {"a": "1"}, labels={**mark, "team": "x"}, annotations={**mark, "note": "y"},
            expect=201)
    s.merge("somebody adds one of each", {"metadata": {
        "labels": {"theirs": "1"}, "annotations": {"theirs": "1"}}}, manager="kubectl-label")
    s.apply("team and note are left out", {"a": "1"})

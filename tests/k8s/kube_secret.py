"""A Secret as kvsync handles it: created, probed, patched, applied, its ownership folded."""

import base64

from bodies import APPLY, JSON_PATCH, MARK, MERGE, METADATA, OURS


class Secret:
    """One Secret as kvsync handles it; remembers the metadata of the last answer about it."""

    def __init__(self, context, name, owned=True):
        self.k, self.name = context, name
        self.path = f"{context.secrets}/{name}"
        self.owners = [context.owner(name)] if owned else None
        self.metadata = {}

    def body(self, data, kind="Opaque", encoded=False, **metadata):
        """The complete Secret: data's values are texts, or base64 already when encoded."""
        marks = {"labels": {MARK: ""}, "annotations": {MARK: ""}}
        if self.owners:
            marks["ownerReferences"] = self.owners
        if not encoded:
            data = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
        return {"apiVersion": "v1", "kind": "Secret", "type": kind, "data": data, "metadata": {
            "name": self.name, "namespace": self.k.namespace, **marks, **metadata}}

    def _send(self, label, method, path, body, expect, manager=OURS, **options):
        answer = self.k.send(label, method, path, body, accept=METADATA, expect=expect,
                             fieldManager=manager, **options)
        if answer.status < 300 and "metadata" in answer.body:
            self.metadata = answer.body["metadata"]
        return answer

    def post(self, label, data, *, expect=201, manager=OURS, identity=None, **shape):
        return self._send(label, "POST", self.k.secrets, self.body(data, **shape), expect, manager,
                          identity=identity)

    def merge(self, label, body, *, expect=200, manager=OURS, identity=None):
        return self._send(label, "PATCH", self.path, body, expect, manager, content=MERGE,
                          identity=identity)

    def probe(self, label, *, expect=200, identity=None):
        return self.merge(label, {}, expect=expect, identity=identity)

    def edit(self, label, data, *, expect=200):
        """What kubectl edit does to data; None removes a key."""
        return self.merge(label, {"data": {
            key: text if text is None else base64.b64encode(text.encode()).decode()
            for key, text in data.items()}}, manager="kubectl-edit", expect=expect)

    def apply(self, label, data, *, force=True, expect=200, manager=OURS, identity=None, guard=True,
              **shape):
        """Server-side apply; guard: with uid and resourceVersion of the last answer."""
        if guard and self.metadata:
            shape = {"uid": self.metadata["uid"],
                     "resourceVersion": self.metadata["resourceVersion"], **shape}
        forced = {"force": "true"} if force else {}
        return self._send(label, "PATCH", self.path, self.body(data, **shape), expect, manager,
                          content=APPLY, identity=identity, **forced)

    def json_patch(self, label, operations, *, expect=200):
        return self._send(label, "PATCH", self.path, operations, expect, content=JSON_PATCH)

    def fold(self, label, *, expect=200, version=None, uid=None):
        """Merge our Update entry into our Apply entry, as kvsync does before it applies."""
        uid = uid or self.metadata["uid"]
        version = version or self.metadata["resourceVersion"]
        return self.json_patch(label, [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "replace", "path": "/metadata/managedFields",
             "value": folded(self.metadata["managedFields"])}], expect=expect)

    def keys(self, label):
        """Record which keys the Secret has, and their values."""
        answer = self.k.send(None, "GET", self.path, expect=200)
        self.k.fact(label, answer.body.get("data", {}))

    def delete(self, label=None, *, expect=200):
        return self.k.send(label, "DELETE", self.path, expect=expect)


def folded(entries):
    """The managedFields list with all entries of ours as one Apply entry."""
    ours = [entry for entry in entries if entry["manager"] == OURS]
    union = {}
    for entry in ours:
        union = merged(union, entry["fieldsV1"])
    return [{**ours[0], "operation": "Apply", "fieldsV1": union},
            *(entry for entry in entries if entry["manager"] != OURS)]


def merged(left, right):
    result = dict(left)
    for key, value in right.items():
        result[key] = merged(result[key], value) if key in result else value
    return result

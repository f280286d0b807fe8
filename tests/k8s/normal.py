"""Make answers comparable: whatever differs from run to run becomes a stable placeholder.

uids and resource versions are numbered in the order in which a case meets them, so that "the same
one as before" and "another one" stay visible: an empty patch that moves the resource version shows.
A list's or bookmark's own resource version depends on what else happens in the cluster and is not
numbered. Times become <time>; whether a managedFields entry has one at all stays visible.
"""

import base64
import json
import re

UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
REVISION_IN_TEXT = re.compile(r"(too old resource version: \d+ \(|current: )\d+")

# Made-up by the cases: these are the same in every run and stay as they are.
NO_UID = "00000000-0000-0000-0000-000000000000"
FIXED_TIME = "2001-02-03T04:05:06Z"


class Normaliser:
    """The placeholders of one case."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.uids, self.versions = {}, {}

    def _number(self, known, kind, value):
        return known.setdefault(value, f"<{kind}:{len(known) + 1}>")

    def text(self, text):
        text = text.replace(self.namespace, "<namespace>")
        text = UUID.sub(lambda m: m[0] if m[0] == NO_UID else self._number(self.uids, "uid", m[0]),
                        text)
        text = TIME.sub(lambda m: m[0] if m[0] == FIXED_TIME else "<time>", text)
        return REVISION_IN_TEXT.sub(r"\1<rv>", text)

    def value(self, value):
        """Any JSON value, recursively."""
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, str):
            return self.text(value)
        return value

    def _object(self, value):
        result = {self.text(key): self.value(item) for key, item in value.items()}
        if "metadata" in value and isinstance(value["metadata"], dict):
            result["metadata"] = self._metadata(value, result["metadata"])
        if value.get("kind") == "TokenRequest" and "token" in value.get("status", {}):
            result["status"]["token"] = self._token(value["status"]["token"])
        # What is wrong with a text is told in the words of the server's JSON library.
        if value.get("kind") == "Status" and value.get("code") in (400, 500):
            result["message"] = "<text>"
        if value.get("op") == "test" and value.get("path") == "/metadata/resourceVersion":
            result["value"] = self.version(value["value"])
        return result

    def _metadata(self, owner, metadata):
        """owner as it came; metadata is its metadata with uids and times replaced already."""
        metadata = dict(metadata)
        kind = owner.get("kind", "")
        version = metadata.get("resourceVersion")
        if version:
            collective = kind.endswith("List") or "name" not in metadata
            metadata["resourceVersion"] = "<rv>" if collective else self.version(version)
        if metadata.get("continue"):
            metadata["continue"] = "<continue>"
        # Who owns which field matters for Secrets alone. Their order follows the clock's seconds.
        fields = metadata.pop("managedFields", [])
        of_secret = kind in ("Secret", "PartialObjectMetadata")
        if of_secret and fields and fields[0]["apiVersion"] == "v1":
            metadata["managedFields"] = sorted(fields, key=lambda e: (e["operation"], e["manager"]))
        return metadata

    def version(self, version):
        """A resource version of one object. Those that a case made up are short and stay."""
        return version if len(version) < 2 else self._number(self.versions, "rv", version)

    def _token(self, token):
        """A token's parts, as far as they are promised."""
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "=="))
                          for part in token.split(".")[:2])
        return {"alg": header["alg"], "aud": claims["aud"], "sub": self.text(claims["sub"]),
                "seconds": claims["exp"] - claims["iat"]}

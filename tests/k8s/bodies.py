"""Names, media types and bodies that the requests are made of."""

from normal import FIXED_TIME

OURS = "secrets-store-sync-controller"
MARK = "secrets-store.sync.x-k8s.io"
AUDIENCE = "api://AzureADTokenExchange"

METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
JSON = "application/json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

SYNC_API = "secret-sync.x-k8s.io/v1alpha1"
ALL_SYNCS = f"/apis/{SYNC_API}/secretsyncs"
NAMESPACES = "/api/v1/namespaces"


def owner_reference(name, uid):
    return {"apiVersion": SYNC_API, "kind": "SecretSync", "name": name, "uid": uid}


def sync_body(name, metadata=None, **spec):
    item = {"sourcePath": "object", "targetKey": "key"}
    return {
        "apiVersion": SYNC_API, "kind": "SecretSync",
        "metadata": {"name": name, **(metadata or {})},
        "spec": {"secretProviderClassName": "class", "serviceAccountName": "account",
                 "secretObject": {"data": [item]}, **spec}}


def token_request(seconds):
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": [AUDIENCE], "expirationSeconds": seconds}}


def condition(kind, status="True", reason="CreateSucceeded", message="It works."):
    return {"type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": FIXED_TIME}

#!/usr/bin/env python3
"""Each rule of the CRDs of deploy/manifests on a real API server: a manifest that it refuses and with which words, and one
beside it that is taken. Nothing is stored (dryRun)."""

import copy
import json
import sys

from cluster import MANIFESTS, ROOT, UPSTREAM_CRD, Cluster, ClusterError, run_test

sys.path.insert(0, str(ROOT / "tests" / "k8s"))

from kube import Identity  # noqa: E402

API = "secret-sync.x-k8s.io/v1alpha1"
MARK = "secrets-store.sync.x-k8s.io"
ITEM = {"sourcePath": "object", "targetKey": "key"}
SYNC = {"secretProviderClassName": "class", "serviceAccountName": "account", "secretObject": {"data": [ITEM]}}
AKV = {"keyvaultName": "my-vault", "clientID": "client", "tenantID": "tenant", "serviceAccountName": "account",
       "objects": [{"secretInAKV": "a"}]}
GONE = object()


def changed(spec, changes):
    """A copy with "a.0.b" set to a value, or taken out."""
    spec = copy.deepcopy(spec)
    for path, value in changes.items():
        at = spec
        *way, last = [int(word) if word.isdigit() else word for word in path.split(".")]
        for word in way:
            at = at[word]
        if value is GONE:
            del at[last]
        else:
            at[last] = value
    return spec


def paths(*good):
    return [({"secretObject.data.0.sourcePath": path}, None) for path in good]


def bad_paths(*bad):
    return [({"secretObject.data.0.sourcePath": path}, "sourcePath") for path in bad]


# (changes of the good manifest, the words of the refusal; None: it is taken). Those of SecretSync that stand in UPSTREAM are
# refused, or taken, by the upstream controller's CRD as well.
UPSTREAM = [
    ({}, None),
    ({"secretProviderClassName": GONE}, "secretProviderClassName: Required value"),
    ({"serviceAccountName": GONE}, "serviceAccountName: Required value"),
    ({"secretObject": GONE}, "secretObject: Required value"),
    ({"secretObject.data": GONE}, "data: Required value"),
    ({"secretObject.data": []}, "at least 1 items"),
    ({"secretObject.data": [ITEM, ITEM]}, "Duplicate value"),
    ({"secretObject.data.0.sourcePath": GONE}, "sourcePath: Required value"),
    ({"secretObject.data.0.targetKey": GONE}, "targetKey: Required value"),
    ({"secretProviderClassName": ""}, "secretProviderClassName"),
    ({"secretProviderClassName": "A"}, "secretProviderClassName"),
    ({"secretProviderClassName": "a" * 253}, None),
    ({"secretProviderClassName": "a" * 254}, "secretProviderClassName"),
    ({"serviceAccountName": "a_b"}, "serviceAccountName"),
    ({"serviceAccountName": "a.b-c"}, None),
    ({"secretSyncControllerName": "any text, of any length: " + "x" * 300}, None),
    ({"forceSynchronization": "2026-01-01"}, None),
    ({"forceSynchronization": "v1.2"}, None),
    ({"forceSynchronization": ""}, "forceSynchronization"),
    ({"forceSynchronization": "2026-01-01T00:00:00Z"}, "forceSynchronization"),
    ({"forceSynchronization": "a b"}, "forceSynchronization"),
    ({"forceSynchronization": "a" * 254}, "forceSynchronization"),
    ({"secretObject.type": "example.com/any"}, None),
    ({"secretObject.type": "x" * 254}, "type"),
    *paths("a", "tls.crt", ".dockerconfigjson", "my_secret", "ab--c", ".", "foo/0", "foo/0/1"),
    *bad_paths("a.b", "-a", "..", "foo/", "foo/bar", "ab_", "foo._bar", "a" * 254),
    ({"secretObject.data.0.targetKey": "key.name"}, None),
    ({"secretObject.data.0.targetKey": "a/b"}, "targetKey"),
    ({"secretObject.labels": {"a" * 317: "v" * 63}}, None),
    ({"secretObject.labels": {"a" * 318: "v"}}, "Label keys must not exceed 317 characters"),
    ({"secretObject.labels": {"a": "v" * 64}}, "label values must not exceed 63 characters"),
    ({"secretObject.labels": {MARK: ""}}, "Labels should not contain secrets-store.sync.x-k8s.io"),
    ({"secretObject.labels": {MARK + "/x": ""}}, "Labels should not contain secrets-store.sync.x-k8s.io"),
    ({"secretObject.annotations": {"a" * 316: "v" * 262144}}, None),
    ({"secretObject.annotations": {"a" * 317: "v"}}, "Annotations keys must not exceed 317 characters"),
    ({"secretObject.annotations": {"a": "v" * 262145}}, "annotation values must not exceed 256 kB"),
    ({"secretObject.annotations": {MARK: ""}}, "Annotations should not contain secrets-store.sync.x-k8s.io"),
]
OURS = [
    *paths("foo/tls.crt", "foo/tls.key", "foo/1/tls.crt"),
    *bad_paths("foo/tls.pem", "foo/tls.crt/0", "/tls.crt"),
    ({"rotationPollIntervalInSeconds": 1}, None),
    ({"rotationPollIntervalInSeconds": 604800}, None),
    ({"rotationPollIntervalInSeconds": 0}, "rotationPollIntervalInSeconds"),
    ({"rotationPollIntervalInSeconds": 604801}, "rotationPollIntervalInSeconds"),
    ({"rotationPollIntervalInSeconds": "60"}, "rotationPollIntervalInSeconds"),
]
COMPOUND = {"kubernetesSecretName": "c", "mapping": [{"dataKey": "k", "secretInAKV": "a"}]}


def entries(*objects):
    return {"objects": list(objects)}


def mapping(**changes):
    return entries({**COMPOUND, "mapping": [{**COMPOUND["mapping"][0], **changes}]})


AKVS = [
    ({}, None),
    *[({field: GONE}, f"{field}: Required value") for field in AKV],
    ({"keyvaultName": "ab"}, "keyvaultName"),
    ({"keyvaultName": "a" * 25}, "keyvaultName"),
    ({"keyvaultName": "a.b"}, "keyvaultName"),
    ({"clientID": ""}, "clientID"),
    ({"tenantID": "a b"}, "tenantID"),
    ({"serviceAccountName": "A"}, "serviceAccountName"),
    ({"forceSynchronization": "a b"}, "forceSynchronization"),
    ({"rotationPollIntervalInSeconds": 0}, "rotationPollIntervalInSeconds"),
    ({"rotationPollIntervalInSeconds": 60, "forceSynchronization": "now"}, None),
    ({"objects": []}, "at least 1 items"),
    (entries(*[{"secretInAKV": f"a{n}"} for n in range(200)]), None),
    (entries(*[{"secretInAKV": f"a{n}"} for n in range(201)]), "at most 200 items"),
    (entries({}), "Exactly one of secretInAKV, certInAKV and mapping has to be set."),
    (entries({"secretInAKV": "a", "certInAKV": "b"}), "Exactly one of secretInAKV, certInAKV and mapping"),
    (entries({**COMPOUND, "secretInAKV": "a"}), "Exactly one of secretInAKV, certInAKV and mapping"),
    (entries(COMPOUND), None),
    (entries({"mapping": COMPOUND["mapping"]}), "An entry with mapping needs kubernetesSecretName"),
    (entries({**COMPOUND, "versionHistory": 2}), "versionHistory is not for an entry with mapping"),
    (entries({"secretInAKV": "Upper"}), "secretInAKV is no name of a Kubernetes Secret"),
    (entries({"secretInAKV": "Upper", "kubernetesSecretName": "lower.name"}), None),
    (entries({"certInAKV": "end-"}), "certInAKV is no name of a Kubernetes Secret"),
    (entries({"certInAKV": "end-", "kubernetesSecretName": "end"}), None),
    (entries({"secretInAKV": "a_b"}), "secretInAKV"),
    (entries({"secretInAKV": "a" * 128, "kubernetesSecretName": "a"}), "secretInAKV"),
    (entries({"secretInAKV": "a", "kubernetesSecretName": "A"}), "kubernetesSecretName"),
    (entries({"secretInAKV": "a", "kubernetesSecretType": "kubernetes.io/tls"}), None),
    (entries({"secretInAKV": "a", "kubernetesSecretType": "kubernetes.io/service-account-token"}),
     "cannot be made from a vault"),
    (entries({"secretInAKV": "a", "versionHistory": 100}), None),
    (entries({"secretInAKV": "a", "versionHistory": 0}), "versionHistory"),
    (entries({"secretInAKV": "a", "versionHistory": 101}), "versionHistory"),
    (entries({"secretInAKV": "a", "labels": {"team": "v" * 63}, "annotations": {"a": "b"}}), None),
    (entries({"secretInAKV": "a", "labels": {"team": "v" * 64}}), "label values must not exceed 63 characters"),
    (entries({"secretInAKV": "a", "labels": {MARK: ""}}), "Labels should not contain"),
    (entries({"secretInAKV": "a", "annotations": {"a" * 317: ""}}), "Annotations keys must not exceed"),
    (entries({"secretInAKV": "a", "annotations": {MARK: ""}}), "Annotations should not contain"),
    (entries({**COMPOUND, "mapping": []}), "at least 1 items"),
    (entries({**COMPOUND, "mapping": COMPOUND["mapping"] * 2}), "Duplicate value"),
    (mapping(version=99), None),
    (mapping(version=100), "version"),
    (mapping(version=-1), "version"),
    (mapping(dataKey="a/0"), "dataKey"),
    (mapping(certInAKV="b"), "Exactly one of secretInAKV and certInAKV has to be set."),
    (entries({**COMPOUND, "mapping": [{"dataKey": "k"}]}), "Exactly one of secretInAKV and certInAKV has to be set."),
    (entries({**COMPOUND, "mapping": [{"secretInAKV": "a"}]}), "dataKey: Required value"),
]
# The CSI driver's kind checks types alone, and so do we.
CLASSES = [
    ({}, None),
    ({"provider": "another", "parameters": {"anything": "goes"}}, None),
    ({"secretObjects": [{"secretName": "s", "type": "Opaque", "labels": {"a": "b"}, "annotations": {"c": "d"},
                         "data": [{"objectName": "o", "key": "k"}]}]}, None),
    ({"parameters": {"a": 1}}, "must be of type string"),
    ({"provider": 1}, "must be of type string"),
    ({"secretObjects": "x"}, "must be of type array"),
]


class Rules:
    def __init__(self, cluster, name):
        self.identity = Identity.from_kubeconfig(cluster.kubeconfig)
        self.name, self.rows, self.wrong = name, 0, []

    def see(self, kind, api, spec, denial):
        plural = {"SecretSync": "secretsyncs", "AKVSync": "akvsyncs", "SecretProviderClass": "secretproviderclasses"}
        body = {"apiVersion": api, "kind": kind, "metadata": {"name": "rule"}, "spec": spec}
        status, _, raw = self.identity.request(
            "POST", f"/apis/{api}/namespaces/default/{plural[kind]}?dryRun=All&fieldValidation=Strict",
            {"Content-Type": "application/json", "Accept": "application/json"}, json.dumps(body))
        message = json.loads(raw).get("message", "")
        good = status == 201 if denial is None else status == 422 and denial in message
        self.rows += 1
        if not good:
            self.wrong.append(f"{kind} {json.dumps(spec)[:300]}: wanted {denial or 'it to be taken'}, got {status} {message[:400]}")

    def run(self, kind, api, spec, table):
        for changes, denial in table:
            self.see(kind, api, changed(spec, changes), denial)

    def end(self):
        print(f"rules: {self.name}: {self.rows - len(self.wrong)} of {self.rows} as they have to be", flush=True)
        if self.wrong:
            raise ClusterError("\n".join(self.wrong))


def main():
    with Cluster() as cluster:
        rules = Rules(cluster, "deploy/manifests")
        rules.run("SecretSync", API, SYNC, UPSTREAM + OURS)
        rules.run("AKVSync", API, AKV, AKVS)
        for version in ("v1", "v1alpha1"):
            rules.run("SecretProviderClass", f"secrets-store.csi.x-k8s.io/{version}", {"provider": "azure"}, CLASSES)
        rules.end()
    with Cluster(crds=[*MANIFESTS.glob("*-crd-secretproviderclasses.yaml"), UPSTREAM_CRD]) as cluster:
        rules = Rules(cluster, "the upstream controller's CRD")
        rules.run("SecretSync", API, SYNC, UPSTREAM)
        rules.end()


if __name__ == "__main__":
    run_test("rules", main)

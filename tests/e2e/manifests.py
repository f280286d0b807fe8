#!/usr/bin/env python3
"""deploy/manifests on a real API server: it installs, grants what it promises and no more, explains
every field, and takes over a cluster that has the upstream controller's CRD."""

import json

from cluster import DRIFT_WATCH, MANIFESTS, UPSTREAM_CRD, Cluster, ClusterError, run_test, wait_for

ACCOUNT = "system:serviceaccount:azure-secret-store:kvsync"
NAMESPACE = "azure-secret-store"

# What kvsync may do: verbs by resource, in each namespace. Anything that every
# service account may do is left out of the comparison.
RIGHTS = {
    "secrets": {"create", "patch"},
    "serviceaccounts/token": {"create"},
    "secretproviderclasses.secrets-store.csi.x-k8s.io": {"get", "list", "watch", "create", "patch"},
    "secretsyncs.secret-sync.x-k8s.io": {"get", "list", "watch", "create", "patch", "delete"},
    "secretsyncs.secret-sync.x-k8s.io/status": {"patch"},
    "akvsyncs.secret-sync.x-k8s.io": {"list", "watch"},
    "akvsyncs.secret-sync.x-k8s.io/status": {"patch"},
    "events": {"create"},
    "leases.coordination.k8s.io": {"get"},
}

SYNC = {
    "apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "SecretSync",
    "metadata": {"name": "example", "namespace": "default"},
    "spec": {"secretProviderClassName": "class", "serviceAccountName": "account", "secretObject": {
        "type": "Opaque", "data": [{"sourcePath": "object/0", "targetKey": "key"}]}},
}


def check(what, good, detail=""):
    if not good:
        raise ClusterError(f"{what}: {detail}")
    print(f"manifests: {what}: ok", flush=True)


def rights(cluster, user, namespace):
    """Verbs by resource, as the API server itself lists them."""
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
              "spec": {"namespace": namespace}}
    answer = json.loads(cluster.kubectl("create", "--as", user, "--validate=false", "-o", "json",
                                        "-f", "-", input=json.dumps(review)))
    found = {}
    for rule in answer["status"]["resourceRules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                name, slash, subresource = resource.partition("/")
                key = name + ("." + group if group else "") + slash + subresource
                found.setdefault(key, set()).update(rule["verbs"])
    return found


def granted(cluster, namespace):
    common = rights(cluster, "system:serviceaccount:default:default", namespace)
    mine = rights(cluster, ACCOUNT, namespace)
    return {key: verbs for key, verbs in mine.items() if common.get(key) != verbs}


def unexplained(schema, path):
    """Paths of the fields below schema that have no description."""
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        if not field.get("description") and here != ".metadata":
            yield here
        yield from unexplained(field, here)
    if "items" in schema:
        yield from unexplained(schema["items"], path + "[]")


def check_descriptions(cluster):
    for kind in ("secretproviderclasses.secrets-store.csi.x-k8s.io",
                 "secretsyncs.secret-sync.x-k8s.io", "akvsyncs.secret-sync.x-k8s.io"):
        for version in cluster.get("crd", kind)["spec"]["versions"]:
            missing = list(unexplained(version["schema"]["openAPIV3Schema"], ""))
            check(f"every field of {kind} {version['name']} is explained", not missing, missing)


def check_takeover(cluster):
    """A SecretSync that was stored under upstream's CRD stays, and may use ours from then on."""
    before = cluster.get("secretsync", "example", "-n", "default")
    first = cluster.apply(MANIFESTS)
    check("the upstream CRD becomes ours", "secretsyncs.secret-sync.x-k8s.io configured" in first, first)
    again = cluster.apply(MANIFESTS)
    check("a second apply changes nothing",
          all(line.endswith(" unchanged") for line in again.splitlines()), again)
    after = cluster.get("secretsync", "example", "-n", "default")
    check("a SecretSync of before is as it was", before == after, after)
    longer = {**SYNC, "spec": {**SYNC["spec"], "rotationPollIntervalInSeconds": 60}}

    def interval_is_kept():
        cluster.apply_text(json.dumps(longer))
        return cluster.get("secretsync", "example", "-n", "default")["spec"].get(
            "rotationPollIntervalInSeconds") == 60
    wait_for("the interval of one's own", interval_is_kept)
    check("it may have an interval of its own", True)


def check_columns(cluster):
    status = {"status": {"lastSuccessfulSyncTime": "2001-02-03T04:05:06Z", "conditions": [{
        "type": "Ready", "status": "True", "reason": "CreateSucceeded", "message": "It works.",
        "lastTransitionTime": "2001-02-03T04:05:06Z"}]}}
    cluster.kubectl("patch", "secretsync", "example", "-n", "default", "--subresource=status",
                    "--type=merge", "-p", json.dumps(status))
    header, row = cluster.kubectl("get", "secretsync", "-n", "default").splitlines()
    check("kubectl get shows readiness",
          header.split() == ["NAME", "READY", "REASON", "SYNCED", "AGE"]
          and row.split()[:3] == ["example", "True", "CreateSucceeded"], header + "\n" + row)


def main():
    with Cluster(crds=[UPSTREAM_CRD]) as cluster:
        cluster.apply_text(json.dumps(SYNC))
        check_takeover(cluster)
        check_descriptions(cluster)
        check_columns(cluster)
        for namespace in (NAMESPACE, "default"):
            found = granted(cluster, namespace)
            check(f"rights in {namespace}", found == RIGHTS, found)
        cluster.apply(DRIFT_WATCH)
        more = {**RIGHTS, "secrets": RIGHTS["secrets"] | {"list", "watch"}}
        found = granted(cluster, "default")
        check("deploy/drift-watch adds list and watch of Secrets, and nothing else", found == more, found)


if __name__ == "__main__":
    run_test("manifests", main)

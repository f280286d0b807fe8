#!/usr/bin/env python3
"""The real server's answers to tests/k8s/requests.py.

    tests/k8s/real.py check     ask a real server and compare with the recorded answers
    tests/k8s/real.py record    ask a real server and record its answers

Asks three servers one after the other: one with the CRDs of deploy/manifests, one with SecretSync as
the upstream controller defines it, and one without streaming lists. Takes about a minute.
"""

import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from cluster import MANIFESTS, UPSTREAM_CRD, Cluster, ClusterError, run_test  # noqa: E402

PAGED_CASES = ["watch-list-unknown", "watch-from-list", "watch-initial-events", "sync-list-pages"]

# What a file of answers holds: how the server is started, what it lacks, the cases (all, if none is named).
SERVERS = {
    "real-v1.36.json": ({}, "upstream-crd,paged-only", []),
    "real-v1.36-upstream-crd.json": (
        {"crds": [*MANIFESTS.glob("*-crd-secretproviderclasses.yaml"), UPSTREAM_CRD]},
        "extended-crd,paged-only",
        ["sync-create", "sync-generation", "sync-invalid", "sync-status",
         "sync-status-on-upstream"]),
    "real-v1.36-paged.json": ({"feature_gates": "WatchList=false"}, "upstream-crd,watch-list", PAGED_CASES),
}


def requests(*arguments):
    return subprocess.run([sys.executable, HERE / "requests.py", *arguments]).returncode


def ask(name, out, **options):
    """The answers of one server; false if one was not as expected."""
    options, without, cases = {**SERVERS[name][0], **options}, *SERVERS[name][1:]
    print(f"real.py: {name}: a server without {without}", flush=True)
    with Cluster(**options) as cluster:
        return requests("run", "--kubeconfig", cluster.kubeconfig, "--out", out,
                        "--without", without, *(f"--case={case}" for case in cases)) == 0


def main():
    if sys.argv[1:] not in (["check"], ["record"]):
        sys.exit(__doc__.strip())
    good = True
    with tempfile.TemporaryDirectory(prefix="kvsync-real-") as scratch:
        for name in SERVERS:
            recorded, out = HERE / name, pathlib.Path(scratch) / name
            if sys.argv[1] == "record":
                good &= ask(name, recorded)
            else:
                good &= ask(name, out) and requests("compare", recorded, out) == 0
    if not good:
        raise ClusterError("an answer is not as recorded or expected, see above")


if __name__ == "__main__":
    run_test("real.py", main)

#!/usr/bin/env python3
"""./quickstart --kubeconfig on a real API server: it passes with the CRDs absent and present, takes away what it made, however it
ends, and touches no cluster where somebody's objects are."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from cluster import MANIFESTS, ROOT, Cluster, ClusterError, die_with_parent, run_test

TOUR = ROOT / "deploy" / "quickstart" / "tour.py"
SOMEBODYS = """\
apiVersion: secret-sync.x-k8s.io/v1alpha1
kind: AKVSync
metadata: {name: somebodys, namespace: default}
spec:
  keyvaultName: my-kv
  tenantID: 11111111-2222-3333-4444-555555555555
  clientID: 11111111-2222-3333-4444-555555555555
  serviceAccountName: default
  objects: [{secretInAKV: one}]
"""


def check(what, good, detail=""):
    if not good:
        raise ClusterError(f"{what}: {detail}")
    print(f"quickstart: {what}: ok", flush=True)


def command(cluster, *options):
    environment = {**os.environ, "PATH": f"{cluster.binaries}:{os.environ['PATH']}"}
    return ([sys.executable, "-u", str(TOUR), "--kubeconfig", str(cluster.kubeconfig), *options],
            {"env": environment, "cwd": ROOT, "text": True, "stdin": subprocess.DEVNULL})


def tour(cluster, *options):
    words, how = command(cluster, *options)
    return subprocess.run(words, capture_output=True, timeout=300, check=False, **how)


def here(cluster):
    """CRDs by uid, and namespaces of the tour."""
    crds = {one["metadata"]["name"]: one["metadata"]["uid"] for one in cluster.get("crd")["items"]}
    spaces = [one["metadata"]["name"] for one in cluster.get("namespace")["items"]]
    return crds, [name for name in spaces if name.startswith("kvsync-quickstart-")]


def interrupted(cluster):
    words, how = command(cluster, "--yes")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_with_parent, **how)
    for line in process.stdout:
        if line.startswith("created "):
            process.send_signal(signal.SIGINT)
            break
    text = process.communicate(timeout=120)[0]
    return process.returncode, text


def main():
    with tempfile.TemporaryDirectory(prefix="kvsync-quickstart-") as directory:
        with Cluster(pathlib.Path(directory) / "cluster", crds=[]) as cluster:
            run = tour(cluster)
            check("without an answer nothing is done", run.returncode == 1 and "nothing was done" in run.stdout
                  and here(cluster) == ({}, []), f"{run.stdout}{run.stderr}{here(cluster)}")
            run = tour(cluster, "--yes")
            check("it passes without the CRDs", run.returncode == 0, f"{run.stdout[-3000:]}{run.stderr[-3000:]}")
            check("what it created is gone, and was named", here(cluster) == ({}, [])
                  and run.stdout.count("removed crd ") == 3, f"{here(cluster)}{run.stdout}")
            code, text = interrupted(cluster)
            check("interrupted after the first thing it created, it leaves nothing", code == 1
                  and here(cluster) == ({}, []), f"{code} {here(cluster)}{text}")
            for path in sorted(MANIFESTS.glob("*-crd-*.yaml")):
                cluster.apply(path)
            cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
            crds, _ = here(cluster)
            run = tour(cluster, "--yes", "--context", "kvsync-e2e")
            check("it passes with the CRDs, by a context that is named", run.returncode == 0,
                  f"{run.stdout[-3000:]}{run.stderr[-3000:]}")
            check("the CRDs that were there stay", here(cluster) == (crds, []) and len(crds) == 3, here(cluster))
            cluster.apply_text(SOMEBODYS)
            run = tour(cluster, "--yes")
            check("a cluster with somebody's objects is refused", run.returncode == 1
                  and "1 AKVSync objects already" in run.stdout and here(cluster) == (crds, []), run.stdout + run.stderr)


if __name__ == "__main__":
    run_test("quickstart", main)

#!/usr/bin/env python3
"""tests/e2e/oldest.py [--build]: kvsync on the oldest API server that it is tried on (oldest/go.mod names the release).

That server has no ValidatingAdmissionPolicies that are on by default, so none are installed: least rights alone. Needs its
program in the cache; without it this is skipped (77), unless --build asks for the minutes that it takes
(`tests/e2e/build-cluster --oldest` does the same).
"""

import base64
import json
import pathlib
import subprocess
import sys
import tempfile

from cluster import HERE, ClusterError, NoGo, find_oldest, run_test, wait_for
from lab import INTERVAL, Failed, Lab, check, spc, sync
from legs import tell_of_an_older_etcd
from scenarios import patch_secret, wait_looked_at

REQUESTS = HERE.parent / "k8s" / "requests.py"
PAGE = 500  # of a list, see engine/informer.h
# Cases of tests/k8s that a server of that age does not know; a list at a revision of the future is a 500 there, but where
# resourceVersionMatch says NotOlderThan, as kvsync does.
LATER = {"policy-denies", "policy-forbids", "sync-list-future"}


def life_of_a_secret(lab):
    """First sync, rotation, a dropped key, drift, a Secret that is deleted, one that is somebody else's, the end."""
    lab.put("old-a", "first value of a")
    lab.put("old-b", "only value of b")
    lab.cluster.kubectl("create", "secret", "generic", "old-foreign", "-n", "my-namespace", "--from-literal=k=theirs")
    lab.apply(spc("old", {"old-a": {}, "old-b": {}}), sync("old", "old", {"a": "old-a", "b": "old-b"}),
              sync("old-foreign", "old", {"k": "old-a"}))
    lab.wait_data("old", {"a": "first value of a", "b": "only value of b"})
    lab.wait_reason("old-foreign", "CreateFailedInvalidLabel")
    lab.put("old-a", "second value of a")
    lab.wait_data("old", {"a": "second value of a", "b": "only value of b"})
    lab.apply(sync("old", "old", {"a": "old-a"}))
    lab.wait_data("old", {"a": "second value of a"})
    wait_looked_at(lab, "old")
    patch_secret(lab, "old", {"data": {"a": base64.b64encode(b"edited").decode()}})
    lab.wait_data("old", {"a": "second value of a"}, timeout=INTERVAL + 10)
    lab.cluster.kubectl("delete", "secret", "old", "-n", "my-namespace")
    lab.wait_data("old", {"a": "second value of a"}, timeout=INTERVAL + 10)
    lab.wait_rest("old")
    lab.cluster.kubectl("delete", "secretsync", "old", "old-foreign", "-n", "my-namespace")
    wait_for("its Secret to be collected", lambda: lab.secret("old") is None, 60)
    check(lab.data("old-foreign") == {"k": b"theirs"}, "a foreign Secret was touched")


def lists_come_in_pages(lab):
    """More SecretSyncs than a page holds: a start finds all of them, and reads the list page by page, since that server has no
    streaming lists and says so. It is asked for those once per kind at most."""
    lab.apply({"apiVersion": "v1", "kind": "List", "items": [
        sync(f"page-{number}", "no-such-class", {"k": "none"}) for number in range(PAGE + 10)]})
    mark = len(lab.cluster.audit())
    with lab.engine() as engine:
        engine.wait_for_line(f"ready secretsyncs={PAGE + 10}", 60)
        lab.wait_reason(f"page-{PAGE + 9}", "ControllerSpcError", timeout=60)
    pages = [entry for entry in lab.cluster.audit()[mark:] if entry["verb"] == "list" and "kvsync" in entry["user"]["username"]
             and f"/secretsyncs?limit={PAGE}" in entry["requestURI"]]
    check(len(pages) == 2 and "continue=" in pages[1]["requestURI"], f"{[entry['requestURI'] for entry in pages]}")
    streams = [entry for entry in lab.cluster.audit()[mark:]
               if "sendInitialEvents" in entry["requestURI"] and entry["stage"] == "ResponseComplete"]
    check({entry["responseStatus"]["code"] for entry in streams} == {422} and len(streams) <= 3,
          f"{[(entry['requestURI'], entry['responseStatus']) for entry in streams]}")
    lab.cluster.kubectl("delete", "secretsync", "--all", "-n", "my-namespace", "--wait=false")


def answers_are_those_that_kvsync_relies_on(lab):
    """The requests of tests/k8s, watches with bookmarks and continue tokens among them, are answered as on newer servers."""
    listed = subprocess.run([sys.executable, REQUESTS, "list"], capture_output=True, text=True, check=True).stdout
    names = {line.split(":")[0] for line in listed.splitlines()} - LATER
    with tempfile.TemporaryDirectory(prefix="kvsync-oldest-") as folder:
        run = subprocess.run(
            [sys.executable, REQUESTS, "run", "--kubeconfig", lab.cluster.kubeconfig, "--out", pathlib.Path(folder) / "a.json",
             "--without", "upstream-crd,watch-list", *(f"--case={name}" for name in sorted(names))], capture_output=True, text=True)
    check(run.returncode == 0, "\n".join(line for line in run.stdout.splitlines() if ": ok" not in line))


def stories(folder):
    with tempfile.TemporaryDirectory(prefix="kvsync-oldest-") as directory:
        with Lab(pathlib.Path(directory) / "lab", policies=False, oldest=True) as lab:
            version = json.loads(lab.cluster.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
            check(version == folder.name.removeprefix("k8s-"), f"the server is {version}")
            with lab.engine() as engine:
                life_of_a_secret(lab)
                tell_of_an_older_etcd(lab, engine)
                lab.check_no_leak(engine.log())
            lab.cluster.kubectl("delete", "secretsync", "--all", "-n", "my-namespace")
            lists_come_in_pages(lab)
            answers_are_those_that_kvsync_relies_on(lab)
            print(f"oldest.py: kvsync works on Kubernetes {version}")


def main():
    folder = find_oldest(build=sys.argv[1:] == ["--build"])
    if not folder:
        raise NoGo("the oldest API server is not in the cache; tests/e2e/build-cluster --oldest puts it there")
    try:
        stories(folder)
    except Failed as error:
        raise ClusterError(str(error)) from error


if __name__ == "__main__":
    run_test("oldest.py", main)

"""driftDetection: watch on a real API server: what others do to a Secret is undone at once, whatever the poll interval is."""

import contextlib
import json
import os
import pathlib
import socket
import tempfile
import time
import urllib.request

from cluster import DRIFT_WATCH, ClusterError, wait_for
from lab import INTERVAL, MANAGED, check, spc, sync
from legs import leg
from memory import stray

SOON = 10  # seconds, on a busy machine; the polls of these stories are an hour apart
NAMES = ("watch-a", "watch-b", "watch-c", "watch-d")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def configuration(drift, port, interval=3600):
    return (f"rotationPollIntervalInSeconds: {interval}\nworkers: 2\ndriftDetection: {drift}\n"
            f"statusPort: {port}\nstatusAddress: 127.0.0.1\n")


def metric(port, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
    raise ClusterError(f"no metric {name}")


def wait_watched(port, wanted, timeout=SOON):
    wait_for(f"kvsync_secrets_watched to be {wanted}", lambda: metric(port, "kvsync_secrets_watched") == wanted, timeout)


def edit(lab, name, sed):
    """kubectl edit, with an editor that types the sed script."""
    with tempfile.TemporaryDirectory() as folder:
        editor = pathlib.Path(folder) / "editor"
        editor.write_text(f"#!/bin/sh\nexec sed -i -e '{sed}' \"$1\"\n")
        editor.chmod(0o755)
        os.environ["KUBE_EDITOR"] = str(editor)
        try:
            lab.cluster.kubectl("edit", "secret", name, "-n", "my-namespace")
        finally:
            del os.environ["KUBE_EDITOR"]


def patch(lab, name, body):
    lab.cluster.kubectl("patch", "secret", name, "-n", "my-namespace", "--type=merge", "-p", json.dumps(body))


def writes_of_kvsync(lab, since):
    """What it asked to be written, but for status and Events: of Secrets, by name and verb."""
    return [(entry["verb"], entry["objectRef"].get("name"), entry["requestURI"]) for entry in lab.audit_of_kvsync(since)
            if entry["objectRef"]["resource"] == "secrets" and entry["verb"] in ("create", "patch", "update")]


@contextlib.contextmanager
def right_to_watch(lab):
    lab.cluster.apply(DRIFT_WATCH)
    try:
        yield
    finally:
        lab.cluster.kubectl("delete", "-f", str(DRIFT_WATCH))


def everything_is_undone(lab):
    wanted = {name: {"k": f"the value of {name}"} for name in NAMES}
    edit(lab, "watch-a", "s/^  k: .*/  k: ZWRpdGVk/")
    lab.cluster.kubectl("delete", "secret", "watch-b", "-n", "my-namespace")
    patch(lab, "watch-c", {"metadata": {"labels": {"team": None}, "annotations": {"note": "theirs"}}})
    for name in NAMES[:2]:
        lab.wait_data(name, wanted[name], timeout=SOON)

    def is_marked():
        metadata = lab.secret("watch-c")["metadata"]
        return metadata["labels"].get("team") == "blue" and metadata["annotations"].get("note") == "ours"
    wait_for("the label and the annotation of watch-c", is_marked, SOON)
    # Another owner beside the SecretSync: said at once, and not repaired.
    other = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "my-service-account",
             "uid": lab.cluster.get("serviceaccount", "my-service-account", "-n", "my-namespace")["metadata"]["uid"]}
    owners = lab.secret("watch-d")["metadata"]["ownerReferences"]
    patch(lab, "watch-d", {"metadata": {"ownerReferences": [*owners, other]}})
    lab.wait_reason("watch-d", "UpdateFailedInvalidLabel", timeout=SOON)


@leg
def watched_secrets_are_repaired_at_once(lab):
    """kubectl edit, a deletion, a taken label, another owner: acted on within seconds while polls are an hour apart, and then nothing."""
    port = free_port()
    for name in NAMES:
        lab.put(name, f"the value of {name}")
    with right_to_watch(lab), lab.engine(configuration("watch", port)) as engine:
        engine.wait_for_line("ready")
        wait_watched(port, 1)
        lab.apply(spc("watching", {name: {} for name in NAMES}),
                  *(sync(name, "watching", {"k": name}, labels={"team": "blue"}, annotations={"note": "ours"})
                    for name in NAMES))
        lab.wait_rest(*NAMES)
        everything_is_undone(lab)
        # What it wrote itself is no news to it.
        time.sleep(2)
        mark = lab.audit_mark()
        time.sleep(8)
        written = [one for one in writes_of_kvsync(lab, mark) if one[1] in NAMES and one[1] != "watch-d"]
        check(not written, f"nobody did anything, and kvsync wrote {written}")
        # Strangers' additions are none of its business.
        patch(lab, "watch-a", {"metadata": {"labels": {"strange": "label"}}, "data": {"strange": "eA=="}})
        time.sleep(3)
        written = [one for one in writes_of_kvsync(lab, mark) if one[1] == "watch-a"]
        check(not written, f"a foreign key made kvsync write {written}")
        check(metric(port, "kvsync_drift_repairs_total") == 2, "watch-a and watch-c were not repaired once each")
        asked = [entry["requestURI"] for entry in lab.audit_of_kvsync() if entry["verb"] in ("list", "watch")
                 and entry["objectRef"]["resource"] == "secrets"]
        check(asked and all(f"labelSelector={MANAGED}" in uri for uri in asked), f"it asked for others' Secrets: {asked}")
    restarted_it_finds_what_was_done_meanwhile(lab, port)


def restarted_it_finds_what_was_done_meanwhile(lab, port):
    edit(lab, "watch-a", "s/^  k: .*/  k: ZWRpdGVk/")
    lab.cluster.kubectl("delete", "secret", "watch-b", "-n", "my-namespace")
    with right_to_watch(lab), lab.engine(configuration("watch", port)) as engine:
        engine.wait_for_line("ready")
        lab.wait_data("watch-b", {"k": "the value of watch-b"}, timeout=SOON)
        wait_for("watch-a to be repaired", lambda: lab.data("watch-a").get("k") == b"the value of watch-a", SOON)


def annotation_is_nowhere(engine):
    check("dromedary" not in engine.log(), "the annotation stands in the log")
    if os.geteuid() == 0:
        wait_for("the annotation to be gone from ordinary memory",
                 lambda: not stray(engine.process.pid, (b"dromedary 7731 saffron",)), 2)


@leg
def what_a_watch_sees_stays_in_secret_memory(lab):
    """kubectl apply keeps whole objects, values and all, in an annotation: it comes with every list and watch, and is left nowhere."""
    port = free_port()
    lab.put("annotated", "the annotated value")
    value = "Okapi dromedary 7731 saffron, " * 4
    with right_to_watch(lab), lab.engine(configuration("watch", port)) as engine:
        engine.wait_for_line("ready")
        wait_watched(port, 1)
        lab.apply(spc("annotated", {"annotated": {}}), sync("annotated", "annotated", {"k": "annotated"}))
        lab.wait_data("annotated", {"k": "the annotated value"})
        for number in range(20):
            patch(lab, "annotated", {"metadata": {"annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"n": number, "stringData": {"k": value}})}}})
        # Nothing of that is kvsync's business, so that nothing but the watch has seen it.
        annotation_is_nowhere(engine)
    # The list of another engine brings it as well.
    with right_to_watch(lab), lab.engine(configuration("watch", port)) as engine:
        engine.wait_for_line("ready")
        wait_watched(port, 1)
        annotation_is_nowhere(engine)


@leg
def without_the_right_polls_look(lab):
    """driftDetection: watch without its right is probe, and says so; each of the three values can be had without a restart."""
    port = free_port()
    lab.put("fallback", "the value to fall back to")
    wanted = {"k": "the value to fall back to"}
    with lab.engine(configuration("watch", port, INTERVAL)) as engine:
        engine.wait_for_line("driftDetection: watch works as probe")
        check(any("deploy/drift-watch" in line for line in engine.lines), "the log does not say what to grant")
        check(metric(port, "kvsync_secrets_watched") == 0, "it believes that it watches")
        lab.apply(spc("fallback", {"fallback": {}}), sync("fallback", "fallback", {"k": "fallback"}))
        lab.wait_data("fallback", wanted)
        lab.wait_reason("fallback", "UpdateNoValueChangeSucceeded")
        patch(lab, "fallback", {"data": {"k": "ZWRpdGVk"}})
        lab.wait_data("fallback", wanted, timeout=INTERVAL + 10)
        with right_to_watch(lab):
            def reload(drift, interval):
                (engine.directory / "config.yaml").write_text(configuration(drift, port, interval))
            reload("off", 3600)
            time.sleep(4)
            patch(lab, "fallback", {"data": {"k": "ZWRpdGVk"}})
            time.sleep(4)
            check(lab.data("fallback") == {"k": b"edited"}, "off, and yet it was repaired")
            reload("watch", 3600)
            wait_watched(port, 1)
            lab.wait_data("fallback", wanted, timeout=SOON)
            reload("probe", 3600)
            wait_watched(port, 0)
            patch(lab, "fallback", {"data": {"k": "ZWRpdGVk"}})
            time.sleep(4)
            check(lab.data("fallback") == {"k": b"edited"}, "no poll was due, and yet it was repaired")
            reload("probe", INTERVAL)
            lab.wait_data("fallback", wanted, timeout=INTERVAL + 10)

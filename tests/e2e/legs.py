"""Stories that need an engine, or a cluster, of their own."""

import base64
import json
import os
import signal
import time

from cluster import MANIFESTS, UPSTREAM_CRD, wait_for
from lab import CONFIG, INTERVAL, MANAGED, Lab, check, spc, sync

LONG_INTERVAL = 15
LEGS = []
CLUSTER_LEGS = []


def leg(function):
    LEGS.append(function)
    return function


def cluster_leg(function):
    CLUSTER_LEGS.append(function)
    return function


@leg
def a_restart_writes_nothing(lab):
    """A new engine finds everything as it left it, and writes neither Secret nor status."""
    lab.put("restart", "the same before and after")
    lab.apply(spc("restart", {"restart": {}}), sync("restart", "restart", {"k": "restart"}))
    with lab.engine() as engine:
        engine.wait_for_line("ready")
        lab.wait_rest("restart")
    version = lab.secret("restart")["metadata"]["resourceVersion"]
    mark = lab.audit_mark()
    with lab.engine() as engine:
        engine.wait_for_line("ready")
        time.sleep(2 * INTERVAL)
    check(lab.secret("restart")["metadata"]["resourceVersion"] == version, "the restarted engine wrote the Secret")
    # What is asked of the Secret is a probe, which changes nothing.
    writes = [entry["requestURI"] for entry in lab.audit_of_kvsync(mark) if entry["verb"] in ("create", "patch")
              and "/restart" in entry["requestURI"] and "/secrets/restart?" not in entry["requestURI"]]
    check(not writes, f"the restarted engine wrote: {writes}")


@leg
def a_restart_while_offline_changes_nothing(lab):
    """Cut from vault and Entra, a new engine leaves every Secret as it is, and catches up afterwards."""
    lab.put("dark", "before the cut")
    lab.apply(spc("dark", {"dark": {}}), sync("dark", "dark", {"k": "dark"}))
    with lab.engine() as engine:
        engine.wait_for_line("ready")
        lab.wait_data("dark", {"k": "before the cut"})
    version = lab.secret("dark")["metadata"]["resourceVersion"]
    lab.world.say("cut", how="refused")
    lab.put("dark", "during the cut")
    with lab.engine() as engine:
        engine.wait_for_line("ready")
        lab.wait_reason("dark", "UpdateFailedProviderError", timeout=40)
        time.sleep(INTERVAL)
        check(lab.secret("dark")["metadata"]["resourceVersion"] == version, "the Secret moved while offline")
        lab.world.say("heal")
        lab.wait_data("dark", {"k": "during the cut"}, timeout=40)
        lab.wait_rest("dark")


def upstream_applies(lab, name, manager, data, annotations=None):
    """What upstream's controller applies: one owner, its label, before v0.0.5 an annotation; never forced."""
    owner = {"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "SecretSync", "name": name,
             "uid": lab.sync(name)["metadata"]["uid"]}
    metadata = {"name": name, "namespace": "my-namespace", "labels": {MANAGED: ""}, "ownerReferences": [owner]}
    if annotations:
        metadata["annotations"] = annotations
    body = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata,
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}}
    lab.cluster.kubectl("apply", "--server-side", f"--field-manager={manager}", "-f", "-", input=json.dumps(body))


def upstream_status(lab, name, reason):
    """The status that it leaves behind."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    conditions = [{"type": kind, "status": "True", "reason": why, "message": "x", "lastTransitionTime": now}
                  for kind, why in (("SecretCreated", "CreateSuccessful"), ("SecretUpdated", reason))]
    status = {"syncHash": "v1:" + 64 * "0", "lastSuccessfulSyncTime": now, "conditions": conditions}
    lab.cluster.kubectl("patch", "secretsync", name, "-n", "my-namespace", "--subresource=status", "--type=merge",
                        "-p", json.dumps({"status": status}))


def managers(lab, name):
    return [(entry["manager"], entry["operation"]) for entry in lab.cluster.get(
        "secret", name, "-n", "my-namespace", "--show-managed-fields")["metadata"]["managedFields"]]


OUR_APPLY = ("secrets-store-sync-controller", "Apply")


@leg
def takeover_and_rollback(lab):
    """Upstream's Secrets become ours without an outage, keys dropped later go, and upstream carries on where we stopped."""
    old = {"take-new": "secrets-store-sync-controller", "take-old": "v1-secrets-store-sync-controller",
           "take-oldest": "v1-secret-sync-controller"}
    values = {"a": "value of take a", "b": "value of take b"}
    for key, value in values.items():
        lab.put(f"take-{key}", value)
    data = {"a": "take-a", "b": "take-b"}
    lab.apply(spc("take", {"take-a": {}, "take-b": {}}), *(sync(name, "take", data) for name in old))
    for name, manager in old.items():
        upstream_applies(lab, name, manager, values, {MANAGED: ""} if name != "take-new" else None)
        upstream_status(lab, name, "SecretUpToDate")
    uids = {name: lab.secret(name)["metadata"]["uid"] for name in old}
    lab.apply(sync("take-once", "take", data))
    with lab.engine() as engine:
        engine.wait_for_line("ready")
        for name in [*old, "take-once"]:
            wait_for(f"the managers of {name} to be merged",
                     lambda: lab.secret(name) and managers(lab, name) == [OUR_APPLY], 30)
        for name in old:
            lab.apply(sync(name, "take", {"a": "take-a"}))
        for name in old:
            lab.wait_data(name, {"a": values["a"]})
        check(uids == {name: lab.secret(name)["metadata"]["uid"] for name in old}, "a Secret was created anew")
    # Unforced applies: a conflict is an error of kubectl.
    for name in ("take-new", "take-old"):
        upstream_applies(lab, name, "secrets-store-sync-controller", {"a": "upstream goes on"})
        check(lab.data(name) == {"a": b"upstream goes on"}, f"{name}: the rollback did not take")
    upstream_applies(lab, "take-once", "secrets-store-sync-controller", {"a": "upstream goes on"})
    check(lab.data("take-once") == {"a": b"upstream goes on"}, "take-once: the rollback did not take, or left b behind")


@leg
def a_restored_backup(lab):
    """SecretSync, status and Secret come back from a backup: the uid is another, so the status is not believed and the Secret is made anew."""
    lab.put("backup", "value after the restore")
    lab.apply(spc("backup", {"backup": {}}), sync("backup", "backup", {"k": "backup"}))
    with lab.engine() as engine:
        engine.wait_for_line("ready")
        wait_for("backup to be ready", lambda: lab.condition("backup").get("status") == "True", 30)
    secret, status = lab.secret("backup"), lab.sync("backup")["status"]
    lab.cluster.kubectl("delete", "secretsync", "backup", "-n", "my-namespace")
    wait_for("the Secret to be collected", lambda: lab.secret("backup") is None, 20)
    lab.apply(sync("backup", "backup", {"k": "backup"}))
    lab.cluster.kubectl("patch", "secretsync", "backup", "-n", "my-namespace", "--subresource=status", "--type=merge",
                        "-p", json.dumps({"status": status}))
    for member in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        secret["metadata"].pop(member, None)
    secret["data"]["k"] = base64.b64encode(b"value of the backup").decode()
    lab.apply(secret)
    with lab.engine() as engine:
        engine.wait_for_line("ready")
        lab.wait_data("backup", {"k": "value after the restore"}, timeout=30)
        uid = lab.sync("backup")["metadata"]["uid"]
        check([one["uid"] for one in lab.secret("backup")["metadata"]["ownerReferences"]] == [uid], "it has another owner")
        wait_for("backup to be ready", lambda: lab.condition("backup").get("status") == "True", 30)
        check(lab.sync("backup")["status"]["syncHash"].startswith(f"kv1:{uid}:"), "the status still speaks of the old uid")


@leg
def upstream_runs(lab):
    """While upstream's Lease is renewed kvsync writes nothing and says so; when it is not any more, kvsync goes on."""
    lab.put("lease", "after upstream")
    lab.apply(spc("lease", {"lease": {}}), sync("lease", "lease", {"k": "lease"}))
    name = ("29f1d54e.secret-sync.x-k8s.io", "-n", "azure-secret-store")

    def renew(how="patch"):
        spec = {"holderIdentity": "upstream-0", "leaseDurationSeconds": 5,
                "renewTime": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())}
        if how == "create":
            lab.apply({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec,
                       "metadata": {"name": name[0], "namespace": name[2]}})
        else:
            lab.cluster.kubectl("patch", "lease", *name, "--type=merge", "-p", json.dumps({"spec": spec}))
    renew("create")
    mark = lab.audit_mark()
    with lab.engine() as engine:
        engine.wait_for_line("the upstream controller runs")
        for _ in range(10):
            renew()
            time.sleep(2)
        writes = [entry["requestURI"] for entry in lab.audit_of_kvsync(mark)
                  if entry["verb"] in ("create", "patch") and "/my-namespace/" in entry["requestURI"]]
        check(not writes, f"kvsync wrote beside upstream: {writes}")
        engine.wait_for_line("the upstream controller has stopped", timeout=60)
        lab.wait_data("lease", {"k": "after upstream"}, timeout=60)
    lab.cluster.kubectl("delete", "lease", *name)


@leg
def stopped_in_the_middle(lab):
    """SIGTERM during work ends with code 0; a kill loses nothing that the next engine does not mend."""
    names = [f"middle-{number}" for number in range(30)]
    for name in names:
        lab.put(name, f"in the middle of {name}")
    objects = [spc("middle", {name: {} for name in names}), *(sync(name, "middle", {"k": name}) for name in names)]
    lab.world.say("fault", fault="delay", vault="kv-one", number=300, seconds=6)
    with lab.engine() as engine:
        engine.wait_for_line("ready")
        lab.apply(*objects)
        time.sleep(0.5)
        code = engine.stop(signal.SIGTERM)
        check(code == 0, f"SIGTERM in the middle ended with {code}")
    with lab.engine() as engine:
        engine.wait_for_line("ready")
        time.sleep(0.3)
        engine.kill()
        engine.process.returncode = 0
    with lab.engine() as engine:
        engine.wait_for_line("ready")
        for name in names:
            lab.wait_data(name, {"k": f"in the middle of {name}"}, timeout=40)


@leg
def a_watch_that_breaks_resumes(lab):
    """The API server goes away and comes back: what happened meanwhile is seen, without a relist where that can be."""
    lab.put("broken-watch", "first of the watch")
    lab.apply(spc("broken-watch", {"broken-watch": {}}), sync("broken-watch", "broken-watch", {"k": "broken-watch"}))
    with lab.engine() as engine:
        engine.wait_for_line("ready")
        lab.wait_data("broken-watch", {"k": "first of the watch"})
        server = next(process for name, process in lab.cluster.processes if name == "kube-apiserver")
        os.kill(server.pid, signal.SIGSTOP)
        time.sleep(12)
        os.kill(server.pid, signal.SIGCONT)
        lab.put("broken-watch-2", "second of the watch")
        lab.apply(spc("broken-watch", {"broken-watch-2": {}}),
                  sync("broken-watch", "broken-watch", {"k": "broken-watch-2"}))
        lab.wait_data("broken-watch", {"k": "second of the watch"}, timeout=60)


@leg
def lists_come_as_streams(lab):
    """One watch per kind brings the list and goes on behind it: no page is asked for, and more than one would hold is found."""
    names = [f"stream-{number}" for number in range(600)]
    lab.apply({"apiVersion": "v1", "kind": "List", "items": [sync(name, "no-such-class", {"k": "none"}) for name in names]})
    others = len(lab.cluster.get("secretsyncs", "--all-namespaces")["items"]) - len(names)
    mark = lab.audit_mark()
    with lab.engine() as engine:
        engine.wait_for_line(f"ready secretsyncs={len(names) + others}", 60)
        lab.wait_reason(names[-1], "ControllerSpcError", timeout=60)
        lab.apply(sync("stream-late", "no-such-class", {"k": "none"}))
        lab.wait_reason("stream-late", "ControllerSpcError", timeout=20)
    asked = [entry["requestURI"] for entry in lab.audit_of_kvsync(mark) if entry["verb"] in ("list", "watch")]
    streams = [uri for uri in asked if "sendInitialEvents=true" in uri]
    for kind in ("secretproviderclasses", "secretsyncs", "akvsyncs"):
        check(sum(f"/{kind}?" in uri for uri in streams) >= 1, f"no stream of {kind}: {asked}")
    check(not [uri for uri in asked if "limit=500" in uri], f"pages were asked for: {asked}")
    lab.cluster.kubectl("delete", "secretsync", *names[:300], "-n", "my-namespace", "--wait=false")
    with lab.engine() as engine:
        engine.wait_for_line(f"ready secretsyncs={len(names) - 300 + others + 1}", 60)
    lab.cluster.kubectl("delete", "secretsync", *names[300:], "stream-late", "-n", "my-namespace", "--wait=false")


def a_restart_is_silent(lab, names):
    """A new engine, one interval long: the vault is asked for pages of lists and no value, and nothing is written."""
    versions = {name: (lab.secret(name)["metadata"]["resourceVersion"], lab.sync(name)["metadata"]["resourceVersion"]) for name in names}
    lab.world.say("reset-stats")
    mark = lab.audit_mark()
    long = CONFIG.replace(f"InSeconds: {INTERVAL}", f"InSeconds: {LONG_INTERVAL}")
    # Safety re-reads, which are counted apart, do not fall into so short a time by chance.
    with lab.engine(long + "safetyRereadPolls: 10000\n") as engine:
        engine.wait_for_line("changes are detected by listing")
        time.sleep(LONG_INTERVAL - 1)
    counts = lab.world.ask("stats")["requests"]["kv-one.vault.azure.net"]
    check("get secrets" not in counts, f"values were read after a restart: {counts}")
    check(sum(counts["list secrets"].values()) <= 2, f"one walk, and perhaps one more, was expected: {counts}")
    after = {name: (lab.secret(name)["metadata"]["resourceVersion"], lab.sync(name)["metadata"]["resourceVersion"]) for name in names}
    check(after == versions, f"a restart wrote something: {versions}, {after}")
    writes = [entry["requestURI"] for entry in lab.audit_of_kvsync(mark) if "/status" in entry["requestURI"]]
    check(not writes, f"a restart tried to write: {writes}")
    return counts


@cluster_leg
def upstream_crd(directory):
    """On the CRD as upstream ships it, which prunes our extra status fields, without any admission policy or plug-in,
    and without the AKVSync kind, everything works."""
    crds = [*MANIFESTS.glob("*-crd-secretproviderclasses.yaml"), UPSTREAM_CRD]
    with Lab(directory, crds=crds, owner_enforcement=False, policies=False) as lab, lab.engine(CONFIG) as engine:
        engine.wait_for_line("ready")
        lab.put("up", "through upstream's CRD")
        time.sleep(1.1)  # of two versions of one second a GET has to tell which is the current one
        lab.put("up", "newer through upstream's CRD")
        lab.apply(spc("up", {"up": {"objectVersionHistory": 2}}), sync("up", "up", {"new": "up/0", "old": "up/1"}))
        lab.wait_data("up", {"new": "newer through upstream's CRD", "old": "through upstream's CRD"})
        lab.wait_reason("up", "UpdateNoValueChangeSucceeded")
        check("objects" not in lab.sync("up")["status"], "this CRD was expected to prune status.objects")
        version = lab.secret("up")["metadata"]["resourceVersion"]
        time.sleep(3 * INTERVAL)
        check(lab.secret("up")["metadata"]["resourceVersion"] == version, "the Secret moved without a change")
        time.sleep(1.1)
        lab.put("up", "newest through upstream's CRD")
        lab.wait_data("up", {"new": "newest through upstream's CRD", "old": "newer through upstream's CRD"},
                      timeout=INTERVAL + 15)
        told = sum("resource=AKVSyncs" in line for line in engine.lines)
        check(told == 1, f"that there is no AKVSync kind is said {told} times")
        wait_for("silence", lambda: lab.condition("up").get("reason") == "UpdateNoValueChangeSucceeded", 30)
        names = [f"up-{number}" for number in range(4)]
        for name in names:
            lab.put(name, f"one of four, {name}")
        lab.apply(spc("ups", {name: {} for name in names}), *(sync(name, "ups", {"k": name}) for name in names))
        lab.wait_rest("up", *names)
        lab.check_no_leak(engine.log())
        engine.stop()
        counts = a_restart_is_silent(lab, ["up", *names])
        lists = sum(counts.get("list versions of secrets", {}).values())
        check(lists <= 1, f"one list of versions of the one object that has a history was expected: {counts}")


@cluster_leg
def an_older_etcd_comes_back(directory):
    """etcd is restored from a backup under the running engine: all is listed again, and Secrets are what the vault and the specs say."""
    with Lab(directory) as lab, lab.engine() as engine:
        tell_of_an_older_etcd(lab, engine)
        lab.check_no_leak(engine.log())


def tell_of_an_older_etcd(lab, engine):
    """What went back with the backup is found out, and what should be there then is there."""
    names = ("older-rotated", "older-edited", "older-deleted")
    for name in (*names, "older-late"):
        lab.put(name, f"first value of {name}")
    lab.apply(spc("older", {name: {} for name in (*names, "older-late")}),
              *(sync(name, "older", {"k": name}) for name in names))
    for name in names:
        lab.wait_data(name, {"k": f"first value of {name}"})
    lab.cluster.back_up()
    # What the backup does not have: other values, a second generation, a deletion, a birth.
    lab.put("older-rotated", "second value of older-rotated")
    lab.apply(sync("older-edited", "older", {"old": "older-edited"}), sync("older-late", "older", {"k": "older-late"}))
    lab.cluster.kubectl("delete", "secretsync", "older-deleted", "-n", "my-namespace")
    lab.wait_data("older-rotated", {"k": "second value of older-rotated"}, timeout=60)
    lab.wait_data("older-edited", {"old": "first value of older-edited"})
    lab.wait_data("older-late", {"k": "first value of older-late"})
    wait_for("the deleted one's Secret to be collected", lambda: lab.secret("older-deleted") is None, 60)
    lab.put("older-deleted", "second value of older-deleted")
    lab.cluster.restore()
    names_now = [one["metadata"]["name"] for one in lab.cluster.get("secretsyncs", "-n", "my-namespace")["items"]]
    check("older-late" not in names_now and "older-deleted" in names_now, f"the backup is not older: {names_now}")
    # A second generation once more, which is not the one that the engine has seen.
    lab.apply(sync("older-edited", "older", {"new": "older-edited"}))
    check(lab.sync("older-edited")["metadata"]["generation"] == 2, "it is no second generation")
    engine.wait_for_line("the API server went back to an older state", 60)
    lab.wait_data("older-rotated", {"k": "second value of older-rotated"}, timeout=30)
    lab.wait_data("older-edited", {"new": "first value of older-edited"})
    lab.wait_data("older-deleted", {"k": "second value of older-deleted"})
    # A poll between the two may have made it anew; it belongs to nobody, and is collected.
    wait_for("the Secret of a SecretSync that is not there to be gone", lambda: lab.secret("older-late") is None, 60)
    lab.apply(sync("older-late", "older", {"k": "older-late"}))
    lab.wait_data("older-late", {"k": "first value of older-late"})
    lab.wait_rest(*names, "older-late", timeout=60)

"""Stories that need an engine, or a cluster, of their own."""

import os
import signal
import time

from cluster import MANIFESTS, UPSTREAM_CRD, wait_for
from lab import CONFIG, INTERVAL, Lab, check, spc, sync

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
        lab.wait_reason("restart", "UpdateNoValueChangeSucceeded")
    mark = lab.audit_mark()
    with lab.engine() as engine:
        engine.wait_for_line("ready")
        time.sleep(2 * INTERVAL)
    writes = [entry["requestURI"] for entry in lab.audit_of_kvsync(mark)
              if entry["verb"] in ("create", "patch") and "/restart" in entry["requestURI"]]
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
        lab.wait_reason("dark", "UpdateNoValueChangeSucceeded", timeout=30)


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


@cluster_leg
def upstream_crd(directory):
    """On the CRD as upstream ships it, which prunes our extra status fields, without any admission policy or plug-in,
    everything works."""
    crds = [*MANIFESTS.glob("*-crd-secretproviderclasses.yaml"), UPSTREAM_CRD]
    with Lab(directory, crds=crds, owner_enforcement=False, policies=False) as lab, lab.engine(CONFIG) as engine:
        engine.wait_for_line("ready")
        lab.put("up", "through upstream's CRD")
        lab.put("up", "newer through upstream's CRD")
        lab.apply(spc("up", {"up": {"objectVersionHistory": 2}}), sync("up", "up", {"new": "up/0", "old": "up/1"}))
        lab.wait_data("up", {"new": "newer through upstream's CRD", "old": "through upstream's CRD"})
        lab.wait_reason("up", "UpdateNoValueChangeSucceeded")
        check("objects" not in lab.sync("up")["status"], "this CRD was expected to prune status.objects")
        version = lab.secret("up")["metadata"]["resourceVersion"]
        time.sleep(3 * INTERVAL)
        check(lab.secret("up")["metadata"]["resourceVersion"] == version, "the Secret moved without a change")
        lab.put("up", "newest through upstream's CRD")
        lab.wait_data("up", {"new": "newest through upstream's CRD", "old": "newer through upstream's CRD"},
                      timeout=INTERVAL + 15)
        wait_for("silence", lambda: lab.condition("up").get("reason") == "UpdateNoValueChangeSucceeded", 30)
        lab.check_no_leak(engine.log())

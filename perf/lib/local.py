"""A fleet in the local world: Kubernetes API, Key Vault and Entra behind TLS, one process of its own."""

import json
import math
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

from build import ROOT, PerfError
from process import StatusPort, cpu_seconds, engine_counts, rss_mib
from progress import Progress
import report

sys.path[:0] = [str(ROOT / "tests" / "e2e")]

from engine import Engine  # noqa: E402
from world import TENANT, World  # noqa: E402

ISSUER = "https://issuer.example/perf/"
CHUNK = 2000
SETTLE_S = 8  # a version that was read within 3 s of its `updated` is read again 4 to 5 s later
PER_CLASS = {"shared": 200, "1:1": 1, "seed": 10000}
UNLIMITED = 1000000
OBJECT_BYTES, COPIES_OF_A_VALUE = 7000, 2.5  # what the world needs for an object, and how often it has its value
TURN_BOUNDS_MS = (5, 10, 20)
CUT_VAULT = "fleet-0"  # by --outage

# Options that are lifted when they are not what is measured; those that this engine does not know are left out.
LIFTED = {"kubeWritesPerSecond": 0, "statusWritesPerSecond": 0}

# Until each Secret of a new fleet was probed once, which makes its managedFields what an apply can prune: at the default of 30 a
# second that takes an hour for 100,000.
FIRST_PROBES = {"driftProbesPerSecond": 10000}

# Left out, too, where an older engine that is compared does not know them.
OPTIONAL = {"driftDetection", *LIFTED}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def known_keys(binary):
    text = subprocess.run([binary, "config"], capture_output=True, text=True, check=True).stdout
    return {line.lstrip("# ").split(":")[0] for line in text.splitlines() if ":" in line}


def groups_of(options):
    """The vaults of each subscription, which keep 70 % of what it bears together."""
    names = [f"fleet-{vault}" for vault in range(options.vaults)]
    each = options.per_subscription
    return {"vaultGroups": json.dumps([names[start:start + each] for start in range(0, len(names), each)]),
            "vaultGroupRequestsPer10Seconds": round(10 * report.pace_of_subscription(options.rate))}


def config_text(options, port, keys, first_probes=False):
    settings = {"workers": options.workers, "statusPort": port, "statusAddress": "127.0.0.1",
                "rotationPollIntervalInSeconds": options.interval,
                "vaultRequestsPer10Seconds": 10 * options.rate or UNLIMITED, "driftDetection": options.drift}
    if options.rate and options.per_subscription > report.USUAL_PER_SUBSCRIPTION:
        settings.update(groups_of(options))
    if not options.default_limits:
        settings.update(LIFTED)
    if first_probes:
        settings.update(FIRST_PROBES)
    settings.update(pair.split("=", 1) for pair in options.set)
    unknown = [key for key in settings if key not in keys and key not in OPTIONAL]
    if unknown:
        raise PerfError(f"this engine does not know the option {', '.join(unknown)}")
    return "".join(f"{key}: {value}\n" for key, value in settings.items() if key in keys)


def longest_of_workers(metrics, name):
    return max((seconds for thread, seconds in metrics.get(name, {}).items() if thread != "main"), default=0)


class LocalFleet:
    """World, fleet and engine; by `with`."""

    def __init__(self, options, directory):
        self.options = options
        self.extra = min(1000, max(20, options.objects // 100)) if "new" in options.phases else 0
        self.imported = options.objects if "import" in options.phases else 0
        self.progress = Progress()
        self.directory = pathlib.Path(directory)
        self.binary = pathlib.Path(options.engine or ROOT / "build/release/kvsync")
        self.engine = None
        self.probed = options.drift != "probe"
        self.next_new = options.objects

    def __enter__(self):
        crds = [argument for path in sorted((ROOT / "deploy/manifests").glob("*-crd-*.yaml")) for argument in ("--crd", path)]
        self.world = World(self.directory / "world", seed={"tenants": []}, arguments=["--issuer", ISSUER, *crds])
        self.world.__enter__()
        try:
            self.fill()
        except BaseException:
            self.world.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        if self.engine:
            self.engine.stop()
        self.world.__exit__(None, None, None)
        self.progress.end()

    # --- the world ---

    def fill(self):
        options = self.options
        quota = report.quota_of(options.rate) or UNLIMITED
        self.total = options.objects + self.extra + self.imported
        reserve = self.total * (OBJECT_BYTES + COPIES_OF_A_VALUE * options.values)
        self.progress.begin("filling the world")
        self.world.say("fleet", total=self.total, vaults=options.vaults, identities=options.identities,
                       perClass=PER_CLASS[options.classes], readers=options.readers, bytes=options.values, tenant=TENANT,
                       issuer=ISSUER, callsPer10s=quota, perSubscription=options.per_subscription,
                       reserveMiB=int(reserve / 2**20), patience=600)
        if options.latency:
            self.world.say("fault", fault="delay", number=options.latency)
        for number, (what, count) in enumerate((("values", self.total), ("classes", self.total), ("syncs", options.objects))):
            for start in range(0, count, CHUNK):
                self.world.say("fleet-fill", what=what, **{"from": start}, count=min(CHUNK, count - start),
                               **({"ageSeconds": options.age} if what == "values" else {}))
                self.progress.show(number + start / count, 3)

    def bound_seconds(self, reads):
        options = self.options
        return report.bound_seconds(reads, options.vaults, options.rate, options.per_subscription)

    def classes(self):
        return self.kube_count("secretproviderclasses")

    def kube_count(self, kind):
        return int(self.metrics()[f"kvsync_{kind}"])

    def world_cpu(self):
        return cpu_seconds(self.world.process.pid)

    def times(self):
        return self.world.ask("fleet")

    # --- the engine ---

    def config_text(self, first_probes):
        return config_text(self.options, self.port.number, known_keys(self.binary), first_probes)

    def start_engine(self):
        self.port = StatusPort(free_port())
        config = self.config_text(first_probes=not self.probed)
        self.engine = Engine(self.directory / "kvsync", self.world.facts["kubeconfig"], self.world.environment(), config,
                             binary=self.binary)
        self.engine.__enter__()
        self.started = time.clock_gettime(time.CLOCK_BOOTTIME)

    def check_engine(self):
        if self.engine.process.poll() is not None:
            raise PerfError(f"kvsync ended with code {self.engine.process.returncode}:\n{self.engine.log()[-3000:]}")

    def metrics(self):
        return self.port.metrics()

    def snapshot(self):
        """Everything that is counted, now."""
        metrics = self.metrics()
        stats = self.world.ask("stats")
        return {"at": time.monotonic(), "cpu": metrics["process_cpu_seconds_total"], "world_cpu": self.world_cpu(),
                "counts": engine_counts(metrics), "labels": report.requests_by_label(stats),
                "throttled": report.throttled_of(stats), "rss": metrics["process_resident_memory_bytes"] / 2**20,
                "world_rss": rss_mib(self.world.process.pid),
                "turns": metrics.get("kvsync_turn_seconds_bucket", {}).get("main", {}),
                "turns_cpu": metrics.get("kvsync_turn_cpu_seconds_bucket", {}).get("main", {}),
                "main_turn": metrics["kvsync_turn_longest_seconds"]["main"],
                "main_turn_cpu": metrics.get("kvsync_turn_busiest_seconds", {}).get("main", 0),
                "worker_turn": longest_of_workers(metrics, "kvsync_turn_longest_seconds"),
                "worker_turn_cpu": longest_of_workers(metrics, "kvsync_turn_busiest_seconds")}

    def wait(self, phase, done, total, limit, pause=0.1):
        """Until done() reaches total, showing how far it is."""
        self.progress.begin(phase)
        until = time.monotonic() + limit
        while (now_done := done()) < total:
            self.check_engine()
            if time.monotonic() > until:
                raise PerfError(f"{phase}: only {now_done} of {total} after {limit:.0f} s")
            self.progress.show(now_done, total, f"{now_done:,} of {total:,}")
            time.sleep(pause)

    def pass_time(self, phase, seconds):
        began = time.monotonic()
        self.wait(phase, lambda: time.monotonic() - began, seconds, seconds + 10, 0.2)

    # --- phases ---

    def first_sync(self, outage=0):
        """From the start of a cold engine until every object is synced: Secret and status written."""
        objects, samples, half_done, cut = self.options.objects, [], [], {}
        self.world.say("reset-stats")
        before = self.world_cpu()
        self.start_engine()
        limit = 600 + 3 * objects / 100 + 3 * (self.bound_seconds(self.sources()) or 0)

        def done():
            times = self.times()
            synced, pid = times["synced"], self.engine.process.pid
            at = time.clock_gettime(time.CLOCK_BOOTTIME) - self.started
            samples.append((at, synced, rss_mib(pid), cpu_seconds(pid), self.world_cpu() - before))
            # Statuses stay behind Secrets, so that neither alone tells how far it has got.
            half_done.append((at, (times["written"] + synced) / 2))
            if outage:
                self.turn_outage(cut, outage, synced / objects)
            return synced

        self.wait("first full sync", done, objects, limit + outage, max(0.05, min(0.5, objects / 200000)))
        if outage:
            self.wait("all Ready again", lambda: self.times()["ready"], objects, limit)
            cut["ready"] = time.clock_gettime(time.CLOCK_BOOTTIME) - self.started
        end = self.snapshot()
        seconds = self.times()["lastSynced"] - self.started
        rss = max(sample[2] for sample in samples)
        found = {"first_sync_s": round(seconds, 3), "syncs_per_s": round(objects / seconds), "throttled": end["throttled"],
                 "bound_s": self.bound_seconds(self.sources()),
                 "rss_mib": round(max(rss, end["rss"]), 1), "cpu_us_per_sync": report.per(end["cpu"], objects),
                 "world_cpu_us_per_sync": report.per(end["world_cpu"] - before, objects),
                 "rss_after_mib": round(end["rss"], 1), "world_rss_mib": round(end["world_rss"], 1),
                 "syncs_per_s_by_tenth": report.rates_by_part(half_done, objects, 10),
                 "main_turns": report.turns_over(end["turns"], {}, TURN_BOUNDS_MS),
                 "main_turns_cpu": report.turns_over(end["turns_cpu"], {}, TURN_BOUNDS_MS),
                 "main_turn_max_ms": round(1000 * end["main_turn"], 1),
                 "main_turn_cpu_max_ms": round(1000 * end["main_turn_cpu"], 1), "worker_turn_max_ms": round(1000 * end["worker_turn"], 1),
                 "worker_turn_cpu_max_ms": round(1000 * end["worker_turn_cpu"], 1),
                 "requests": report.requests_of(end["labels"], end["counts"]),
                 "writes": report.writes_of(end["labels"], end["counts"]),
                 "samples": [tuple(round(value, 3) for value in sample) for sample in samples]}
        found["gets_per_version"] = report.share(found["requests"]["get"], self.sources())
        if outage:
            found["outage"] = self.judge_outage(cut, outage, samples, seconds)
        return found

    def sources(self):
        """Objects that are read."""
        pairs = math.lcm(self.options.vaults, self.options.identities)
        return sum(number // pairs % self.options.readers == 0 for number in range(self.options.objects))

    def turn_outage(self, cut, outage, share):
        now = time.clock_gettime(time.CLOCK_BOOTTIME) - self.started
        if "from" not in cut and share >= 0.25:
            cut.update({"from": now, "trials": [(now, self.trials())]})
            self.world.say("cut", vault=CUT_VAULT, how="refused", seconds=outage)
        elif "from" in cut and "until" not in cut:
            cut["trials"].append((now, self.trials()))
            if now >= cut["from"] + outage:
                cut.update({"until": now, "asked": self.asked_of_cut()})

    def trials(self):
        return engine_counts(self.metrics())["breaker_trials"]

    def asked_of_cut(self):
        return report.requests_by_label(self.world.ask("stats"), CUT_VAULT + ".")

    def judge_outage(self, cut, outage, samples, seconds):
        """Healthy objects per second: all of them, less the share of the vault that is cut off."""
        vaults = self.options.vaults
        if "until" not in cut:
            raise PerfError(f"the first sync was over before the outage of {outage} s was: take more objects, or a lower rate")
        line = [(sample[0], sample[1]) for sample in samples]
        before = report.mean_rate(line, cut["from"] / 3, cut["from"])
        healthy_done = self.options.objects * (vaults - 1) / vaults
        during = [sample for sample in line if sample[0] >= cut["from"] + 1 and sample[1] < healthy_done]
        rate = report.mean_rate(line, cut["from"] + 1, min(cut["until"], during[-1][0] if during else cut["until"]))
        at_cut = max(done for at, done in line if at <= cut["from"])
        left = (self.options.objects - at_cut) / vaults
        # Whoever's moment came meanwhile says so in his status, and has to be found well again.
        told = at_cut / vaults * min(1, outage / self.options.interval)
        asked = report.difference(self.asked_of_cut(), cut["asked"])
        return {"seconds": outage, "trials": cut["trials"][-1][1] - cut["trials"][0][1],
                "trials_per_10s": report.most_in_window(cut["trials"], 10),
                "recovery_s": round(seconds - cut["until"], 1), "ready_again_s": round(cut["ready"] - cut["until"], 1),
                "left": round(left), "told": round(told),
                "requests": {kind: number for kind, number in report.requests_of(asked, {}).items() if kind in ("get", "list", "versions")},
                "recovery_bound_s": report.recovery_seconds(left, self.options.rate),
                "ready_again_bound_s": report.recovery_seconds(left + told, self.options.rate),
                "healthy_pace": round((vaults - 1) * report.pace_of(self.options.rate), 1) if self.options.rate else None,
                "healthy_rate_before": round(before * (vaults - 1) / vaults, 1) if before else None,
                "healthy_rate_during": round(rate, 1) if rate else None,
                "from_s": round(cut["from"], 2), "until_s": round(cut["until"], 2)}

    def first_probes(self):
        """Until each Secret was probed once; then the engine goes on with the number of probes that is measured."""
        if self.probed:
            return
        settled = lambda: self.snapshot()["counts"]["secrets_settled"]  # noqa: E731
        self.wait("first probes", settled, self.options.objects, 6 * self.options.interval + 120, min(0.5, self.options.interval / 4))
        self.probed = True
        self.engine.change_config(self.config_text(first_probes=False))

    def silence(self):
        """Until a whole interval has passed without a write, and time enough to read once more what was as young as its read."""
        interval = self.options.interval
        enough = max(interval + 1, SETTLE_S)
        limit, quiet, last = time.monotonic() + 6 * interval + 60, time.monotonic(), None
        self.progress.begin("until it is silent")
        while time.monotonic() - quiet < enough:
            self.check_engine()
            counts = self.snapshot()["counts"]
            writes = sum(counts[name] for name in ("secrets_created", "secrets_updated", "secrets_settled", "status_writes"))
            if writes != last:
                quiet, last = time.monotonic(), writes
            self.progress.show(time.monotonic() - quiet, enough, f"{writes:,} writes so far")
            if time.monotonic() > limit:
                raise PerfError("the fleet does not become silent: it writes again and again")
            time.sleep(min(0.5, interval / 4))

    def steady(self):
        """One interval in which nothing changes."""
        before = self.snapshot()
        self.pass_time("steady state", self.options.interval)
        after = self.snapshot()
        labels = report.difference(after["labels"], before["labels"])
        counts = report.difference(after["counts"], before["counts"])
        return {"cpu_us_per_check": report.per(after["cpu"] - before["cpu"], self.options.objects),
                "steady": {"seconds": round(after["at"] - before["at"], 1), "rss_mib": round(after["rss"], 1),
                           "requests": report.requests_of(labels, counts), "writes": report.writes_of(labels, counts),
                           "throttled": after["throttled"] - before["throttled"],
                           "world_cpu_us_per_check": report.per(after["world_cpu"] - before["world_cpu"], self.options.objects)}}

    def finish_times(self, phase, limit):
        expected = self.times()["pending"] + self.times()["count"]
        until = time.monotonic() + limit
        self.progress.begin(phase)
        while (times := self.times())["pending"] and time.monotonic() < until:
            self.check_engine()
            self.progress.show(times["count"], expected, f"{times['count']:,} of {expected:,}")
            time.sleep(0.2)
        found = {name: times[name] for name in ("count", "pending", "p50", "p99", "max")}
        self.world.say("fleet-forget")
        return found

    def step_of(self, percent):
        """Every which secret is rotated for about that share of them: such that all vaults have some, of which they take turns."""
        return report.spread_step(percent, self.options.vaults)

    def rotation(self, percent):
        """A share of all secrets gets a new version at once."""
        objects = self.options.objects
        step = self.step_of(percent)
        before = self.snapshot()
        self.world.say("fleet-fill", what="rotations", count=objects // step, step=step)
        versions = self.times()["pending"]
        found = self.finish_times("rotation", 3 * self.options.interval + 120)
        after = self.snapshot()
        requests = report.requests_of(report.difference(after["labels"], before["labels"]),
                                      report.difference(after["counts"], before["counts"]))
        return {**found, "gets_per_version": report.share(requests["get"], versions)}

    def new_objects(self):
        """SecretSyncs come one by one while everything else is due, because all its secrets have changed."""
        for start in range(0, self.options.objects, CHUNK):
            self.world.say("fleet-fill", what="rotations", **{"from": start}, count=min(CHUNK, self.options.objects - start))
        self.pass_time("all secrets changed", self.options.interval / 2)
        self.world.say("fleet-forget")
        pause = min(5.0, self.options.interval / 2) / self.extra
        self.progress.begin("new SecretSyncs")
        for number in range(self.extra):
            self.world.say("fleet-fill", what="syncs", **{"from": self.next_new + number}, count=1, timed=True)
            self.progress.show(number, self.extra)
            time.sleep(pause)
        return self.finish_times("new SecretSyncs", 3 * self.options.interval + 120)

    def import_rotation(self, percent):
        """As many SecretSyncs again are imported, of secrets that nobody has read yet, and meanwhile a share of those that are in
        use gets a new version: from there, and from the list that shows it, to its Secret."""
        objects, first = self.options.objects, self.options.objects + self.extra
        step = self.step_of(percent)
        done_before, before = self.times()["synced"], self.snapshot()
        self.progress.begin("import")
        for start in range(0, self.imported, CHUNK):
            self.world.say("fleet-fill", what="syncs", **{"from": first + start}, count=min(CHUNK, self.imported - start))
            self.progress.show(start, self.imported)
        began = time.monotonic()
        at_rotation = self.times()["synced"] - done_before
        self.world.say("fleet-fill", what="rotations", count=objects // step, step=step)
        expected, until = self.times()["pending"], time.monotonic() + 3 * self.options.interval + 120
        self.progress.begin("rotation during the import")
        while (times := self.times())["pending"] and time.monotonic() < until:
            self.check_engine()
            self.progress.show(times["count"], expected, f"{times['count']:,} of {expected:,}")
            time.sleep(0.2)
        left = self.imported - (times["synced"] - done_before)
        self.world.say("fleet-forget")
        self.wait("the rest of the import", lambda: self.times()["synced"] - done_before, self.imported,
                  600 + 3 * (self.bound_seconds(self.imported) or 0))
        after = self.snapshot()
        return {"imported": self.imported, "imported_before": at_rotation, "imported_after": self.imported - left,
                "seconds": round(time.monotonic() - began, 1), "throttled": after["throttled"] - before["throttled"],
                "bound_s": self.bound_seconds(self.imported),
                **{name: times[name] for name in ("count", "pending", "p50", "p99", "max")},
                "since_shown": times.get("sinceShown"),
                "requests": report.requests_of(report.difference(after["labels"], before["labels"]),
                                               report.difference(after["counts"], before["counts"]))}

    def relist(self):
        """The watch of SecretSyncs expires: all of them are listed again, while somebody asks /livez."""
        before, asked, slowest, dead = self.snapshot(), 0, 0.0, 0
        self.world.say("kube-fault", fault="expired", verb="watch", resource="secretsyncs", count=1)
        began = time.monotonic()
        self.world.say("kube-break-watches", resource="secretsyncs")
        # A watch begins where its list is complete: the one that is refused, and the one after the list.
        until = before["counts"]["watch_restarts"] + 2
        self.progress.begin("list after an expired watch")
        while (counts := engine_counts(self.metrics()))["watch_restarts"] < until or counts["relists"] == before["counts"]["relists"]:
            self.check_engine()
            if time.monotonic() - began > 600:
                raise PerfError("the list after an expired watch does not end")
            asking = time.monotonic()
            dead += not self.port.is_alive()
            asked, slowest = asked + 1, max(slowest, time.monotonic() - asking)
            time.sleep(0.05)
        after = self.snapshot()
        return {"seconds": round(time.monotonic() - began, 3), "livez_asked": asked, "livez_failed": dead,
                "livez_max_ms": round(1000 * slowest, 1), "rss_mib": round(after["rss"], 1),
                "main_turns": report.turns_over(after["turns"], before["turns"], TURN_BOUNDS_MS),
                "main_turns_cpu": report.turns_over(after["turns_cpu"], before["turns_cpu"], TURN_BOUNDS_MS),
                "main_turn_max_before_ms": round(1000 * before["main_turn"], 1),
                "main_turn_max_ms": round(1000 * after["main_turn"], 1), "main_turn_cpu_max_ms": round(1000 * after["main_turn_cpu"], 1)}

    def restart(self):
        """The engine starts again on a fleet that is as it should be."""
        self.engine.stop()
        before = report.requests_by_label(self.world.ask("stats"))
        self.start_engine()
        self.wait("restart", self.port.is_ready, True, 300, 0.02)
        ready = time.clock_gettime(time.CLOCK_BOOTTIME) - self.started
        self.pass_time("silence after the restart", self.options.interval)
        after = self.snapshot()
        labels = report.difference(after["labels"], before)
        requests, writes = report.requests_of(labels, after["counts"]), report.writes_of(labels, after["counts"])
        return {"ready_s": round(ready, 3), "gets": requests["get"], "safety": requests["safety"], "requests": requests,
                "writes": writes["secret"] + writes["status"] + writes["settle"], "watched_s": self.options.interval,
                "main_turn_max_ms": round(1000 * after["main_turn"], 1),
                "main_turn_cpu_max_ms": round(1000 * after["main_turn_cpu"], 1)}


PHASES = ("first", "steady", "rotation", "new", "import", "restart", "relist")
USUAL_PHASES = tuple(phase for phase in PHASES if phase != "import")


def measure(options):
    with tempfile.TemporaryDirectory(prefix="kvsync-perf-") as directory, LocalFleet(options, directory) as fleet:
        result = {"objects": options.objects, "vaults": options.vaults, "identities": options.identities,
                  "layout": options.classes, "readers": options.readers, "value_bytes": options.values, "rate": options.rate,
                  "latency_ms": options.latency, "secret_age_s": options.age, "interval_s": options.interval, "workers": options.workers}
        result.update(fleet.first_sync(options.outage))
        result["classes"] = fleet.classes()
        phases = options.phases
        # A list is a list, whoever is at work meanwhile; the others are measured on a fleet at rest.
        if set(phases) - {"first", "relist"}:
            fleet.first_probes()
            fleet.silence()
        if "steady" in phases:
            result.update(fleet.steady())
        if "rotation" in phases:
            result["rotation"] = fleet.rotation(options.rotate)
        if "new" in phases:
            result["new_object"] = fleet.new_objects()
        if "import" in phases:
            result["import_rotation"] = fleet.import_rotation(options.rotate)
        if "restart" in phases:
            if {"rotation", "new", "import"} & set(phases):
                fleet.silence()
            result["restart"] = fleet.restart()
        if "relist" in phases:
            result["relist"] = fleet.relist()
        for name in ("rotation", "new_object", "import_rotation"):
            result[f"{name}_p99_s"] = round(result[name]["p99"], 3) if name in result else None
        for name in ("cpu_us_per_check", "restart", "relist"):
            result.setdefault(name, None)
        return result

"""What perf/run measures: of each part the runs of perf/fleet, a column or a row each, and the figures that are told of it."""

import dataclasses
import typing


@dataclasses.dataclass(frozen=True)
class Part:
    """`runs` gives [(name, arguments of perf/fleet)] for the options of perf/run; `rows` are (title, function of a result, unit)."""
    name: str
    title: str
    runs: typing.Callable
    rows: tuple
    across: bool = False  # a run is a row of the table, not a column


def fleet(objects, rate, phases, *more):
    return ["--objects", str(objects), "--rate", str(rate), "--phases", phases, *(str(argument) for argument in more)]


def speed(options):
    runs = [(f"{size:,}, classes of 200", fleet(size, 0, "first")) for size in options.sizes]
    return runs + [(f"{options.objects:,}, a class each", fleet(options.objects, 0, "first", "--classes", "1:1"))]


def quota(options):
    whole = "first,steady,rotation,new,restart,relist"
    return [("classes of 200", fleet(options.objects, 280, whole, "--latency", 10)),
            ("a class each", fleet(options.objects, 280, "first,steady,restart", "--latency", 10, "--classes", "1:1"))]


def rest(options):
    return [(f"driftDetection: {drift}", fleet(options.objects, 280, "first,steady", "--drift", drift)) for drift in ("off", "probe")]


def imports(options):
    return [("", fleet(options.objects, 280, "first,import", "--latency", 10))]


def limits(options):
    return [("", fleet(options.objects // 10, 280, "first", "--default-limits"))]


def outage(options):
    return [("", fleet(options.objects, 40, "first", "--outage", options.outage))]


def seed(options):
    short = ("--interval", 10, "--rotate", 10)
    return [("a class of 200, 200 SecretSyncs", fleet(200, 280, "first,steady,rotation", "--layout", "seed", "--vaults", 1, *short)),
            ("50 SecretSyncs per object", fleet(2000, 280, "first,steady,rotation", "--readers", 50, *short))]


def million(options):
    return [(f"{size:,}", fleet(size, 0, "first,relist", "--interval", 600)) for size in (options.objects, 10 * options.objects)]


def real(options):
    return [("", fleet(options.objects // 10, 0, "first", "--kubeconfig", options.kubeconfig))]


def figure(*keys):
    """A function that gives result[key][key]..., or None where one is missing."""
    def get(result):
        for key in keys:
            result = (result or {}).get(key)
        return result
    return get


def sum_of(*keys):
    found = figure(*keys)
    return lambda result: sum(values.values()) if (values := found(result)) else None


def times_bound(time, bound):
    def ratio(result):
        return round(time(result) / bound(result), 2) if time(result) and bound(result) else None
    return ratio


FIRST = (("first full sync", figure("first_sync_s"), "s"), ("429 answers", figure("throttled"), ""),
         ("CPU per sync", figure("cpu_us_per_sync"), "us"), ("the world's", figure("world_cpu_us_per_sync"), "us"),
         ("memory", figure("rss_mib"), "MiB"))
BOUND = (("by the quota's bound", times_bound(figure("first_sync_s"), figure("bound_s")), "x"),)
STEADY = (("CPU per check", figure("cpu_us_per_check"), "us"),
          *((f"{name} of a steady interval", figure("steady", "requests", key), "")
            for name, key in (("GETs", "get"), ("lists", "list"), ("safety re-reads", "safety"), ("probes", "probe"))),
          ("writes of a steady interval", sum_of("steady", "writes"), ""))
TURN = (("longest turn of main, by the clock", figure("main_turn_max_ms"), "ms"),
        ("the same, by its CPU", figure("main_turn_cpu_max_ms"), "ms"))
OUTAGE = tuple((title, figure("outage", key), unit) for title, key, unit in (
    ("trials", "trials", ""), ("trials in ten seconds, at most", "trials_per_10s", ""), ("healthy objects/s before", "healthy_rate_before", ""),
    ("healthy objects/s meanwhile", "healthy_rate_during", ""), ("all synced after its end", "recovery_s", "s"),
    ("the bound of it", "recovery_bound_s", "s")))

PARTS = (
    Part("speed", "first sync, no quota, no latency", speed,
         (("syncs/s", figure("syncs_per_s"), ""), ("CPU per sync", figure("cpu_us_per_sync"), "us"), ("memory", figure("rss_mib"), "MiB"),
          ("world's CPU per sync", figure("world_cpu_us_per_sync"), "us")), across=True),
    Part("quota", "280 requests/s and vault, answers 10 ms late", quota,
         (*FIRST, *BOUND, *STEADY,
          ("rotation to Secret, p50", figure("rotation", "p50"), "s"), ("rotation to Secret, p99", figure("rotation", "p99"), "s"),
          ("new SecretSync to Secret, p50", figure("new_object", "p50"), "s"), ("new SecretSync to Secret, p99", figure("new_object", "p99"), "s"),
          ("restart: ready", figure("restart", "ready_s"), "s"), ("restart: GETs", figure("restart", "gets"), ""),
          ("restart: writes", figure("restart", "writes"), ""), *TURN,
          ("list after an expired watch", figure("relist", "seconds"), "s"), ("/livez meanwhile, longest", figure("relist", "livez_max_ms"), "ms"))),
    Part("rest", "a fleet at rest, no latency", rest, STEADY),
    Part("import", "an import of as many again, and a rotation of 1 % meanwhile", imports,
         (*FIRST, ("the import", figure("import_rotation", "seconds"), "s"), ("the bound of its GETs", figure("import_rotation", "bound_s"), "s"),
          ("429 answers of the import", figure("import_rotation", "throttled"), ""),
          *((f"{title}, {p}", figure("import_rotation", *group, p), "s")
            for title, group in (("rotation to Secret", ()), ("from the page that shows it", ("since_shown",))) for p in ("p50", "p99")))),
    Part("limits", "an import at the default limits of writes", limits, (*FIRST, ("syncs/s", figure("syncs_per_s"), ""))),
    Part("outage", "one vault of ten cut off, 40 requests/s and vault", outage, (*FIRST, *OUTAGE)),
    Part("seed", "objects that several SecretSyncs read", seed,
         (("GETs", figure("requests", "get"), ""), ("GETs per object and version", figure("gets_per_version"), ""),
          ("the same, of a rotation", figure("rotation", "gets_per_version"), ""))),
    Part("million", "ten times as many, no quota", million,
         (*FIRST, ("syncs/s", figure("syncs_per_s"), ""), ("list after an expired watch", figure("relist", "seconds"), "s"),
          ("longest turn of main, by the clock", figure("relist", "main_turn_max_ms"), "ms"),
          ("the same, by its CPU", figure("relist", "main_turn_cpu_max_ms"), "ms"),
          ("/livez asked, without an ok", lambda r: f"{figure('relist', 'livez_asked')(r)}, {figure('relist', 'livez_failed')(r)}", ""),
          ("/livez, longest", figure("relist", "livez_max_ms"), "ms"))),
    Part("real", "on a real API server", real,
         (*FIRST, ("curl with 16 connections", figure("plain_client_s"), "s"),
          ("ours by curl's", times_bound(figure("first_sync_s"), figure("plain_client_s")), "x"),
          ("API server's CPU per sync", figure("apiserver_cpu_us_per_sync"), "us"),
          ("the same for curl", figure("apiserver_cpu_us_per_plain_write_pair"), "us"),
          ("growth of etcd per sync", figure("etcd_bytes_per_sync"), "bytes"))),
)

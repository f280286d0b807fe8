"""A small run of perf/fleet and one of perf/run: every phase ends, and the JSON has what is promised. No figure is judged but counts.

    fleet_smoke.py KVSYNC KVSYNC_WORLD
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NUMBERS = ("objects", "vaults", "first_sync_s", "bound_s", "throttled", "rss_mib", "cpu_us_per_sync", "cpu_us_per_check",
           "new_object_p99_s", "rotation_p99_s")
GROUPS = {"requests": ("get", "list", "versions", "token", "safety", "probe"), "writes": ("secret", "status", "settle"),
          "restart": ("ready_s", "gets", "safety", "writes"), "relist": ("seconds", "main_turn_cpu_max_ms", "livez_max_ms")}


def check(condition, text):
    if not condition:
        raise SystemExit(f"perf.fleet: {text}")


def table_of_parts(engine, world):
    """Of perf/run: a part whose runs are rows, and one whose runs are columns and which probes each Secret before it is at rest."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "run.json"
        done = subprocess.run([ROOT / "perf/run", "--parts", "speed,rest", "--objects", "100", "--sizes", "50", "--interval", "2",
                               "--json", path, "--", "--vaults", "2", "--identities", "4", "--engine", engine],
                              env={**os.environ, "KVSYNC_WORLD": world}, capture_output=True, text=True, timeout=280, check=False)
        check(done.returncode == 0, f"perf/run ended with {done.returncode}: {done.stdout}{done.stderr}")
        found = json.loads(path.read_text())
    check("| kvsync, 50, classes of 200 | " in done.stdout and "| CPU per check | " in done.stdout, done.stdout)
    at_rest = found["rest"]["driftDetection: probe"]["steady"]
    check(sum(at_rest["writes"].values()) == 0 and at_rest["requests"]["probe"] > 0, f"not at rest, or nothing was probed: {at_rest}")


def main():
    engine, world = sys.argv[1:]
    table_of_parts(engine, world)
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        done = subprocess.run([ROOT / "perf/fleet", "--engine", engine, "--objects", "200", "--vaults", "2", "--identities", "4",
                               "--interval", "2", "--rotate", "5", "--json", directory / "f.json", "--svg", directory / "f.svg"],
                              env={**os.environ, "KVSYNC_WORLD": world}, capture_output=True, text=True, timeout=280, check=False)
        check(done.returncode == 0, f"ended with {done.returncode}: {done.stdout}{done.stderr}")
        result = json.loads((directory / "f.json").read_text())
        check((directory / "f.svg").read_text().startswith("<svg"), "no chart")
    for name in NUMBERS:
        check(isinstance(result.get(name), (int, float)), f"{name} is {result.get(name)!r}")
    for group, names in GROUPS.items():
        for name in names:
            check(name in result[group], f"{group} lacks {name}")
    check(result["requests"]["get"] >= 200, f"only {result['requests']['get']} GETs for 200 objects")
    check(result["writes"]["secret"] == 200, f"{result['writes']['secret']} writes for 200 Secrets")
    check(result["rotation"]["pending"] == 0 and result["new_object"]["pending"] == 0, "some Secrets never came")
    check(result["requests"]["safety"] is not None, "safety re-reads are not counted")
    check(result["restart"]["gets"] == 0 and result["restart"]["writes"] == 0, f"a restart is not silent: {result['restart']}")
    relist = result["relist"]
    check(relist["livez_asked"] > 0 and relist["livez_failed"] == 0, f"/livez is not ok during a list: {relist}")
    check("first full sync" in done.stdout, done.stdout)


if __name__ == "__main__":
    main()

"""The release build, made when it is missing or older than the sources."""

import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class PerfError(Exception):
    """For people: what is missing, or went wrong."""


def ensure(*targets):
    for tool in ("cmake", "ninja"):
        if not shutil.which(tool):
            raise PerfError(f"{tool} is not installed; tests/packages run (as root) installs what a build needs")
    build = ROOT / "build" / "release"
    if not (build / "build.ninja").exists():
        print("perf: configuring the release build", file=sys.stderr)
        run(["cmake", "--preset", "release"])
    run(["cmake", "--build", "--preset", "release", "-j2", "--target", *targets])


def run(command):
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise PerfError(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")

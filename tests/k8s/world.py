#!/usr/bin/env python3
"""Does the local world answer like the real API server?

    tests/k8s/world.py PATH/kvsync-world

Starts the world, sends it the requests of requests.py and compares with the recorded answers.
"""

import pathlib
import subprocess
import sys
import tempfile

from real import PAGED_CASES

HERE = pathlib.Path(__file__).resolve().parent
CRDS = sorted((HERE.parent.parent / "deploy" / "manifests").glob("*-crd-*.yaml"))

# The recorded answers that it is held against: how it is started, what it lacks, the cases (all, if none is named).
WORLDS = {
    "real-v1.36.json": ([], "upstream-crd,paged-only", []),
    "real-v1.36-paged.json": (["--without-watch-list"], "upstream-crd,watch-list", PAGED_CASES),
}


def requests(*arguments):
    return subprocess.run([sys.executable, HERE / "requests.py", *arguments]).returncode


def ask(directory, name, without, cases):
    answers = directory / "answers.json"
    return (requests("run", "--world", directory / "world.json", "--out", answers,
                     "--without", without, *(f"--case={case}" for case in cases)) == 0
            and requests("compare", HERE / name, answers) == 0)


def hold(program, name):
    """One world against the recorded answers of one server."""
    options, without, cases = WORLDS[name]
    with tempfile.TemporaryDirectory(prefix="kvsync-world-") as directory:
        command = [program, "--dir", directory, *options]
        for crd in CRDS:
            command += ["--crd", str(crd)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as world:
            line = world.stdout.readline()
            if not line.startswith("kvsync-world: ready"):
                world.kill()
                sys.exit(f"world.py: kvsync-world does not start: {line.strip()}")
            good = ask(pathlib.Path(directory), name, without, cases)
            world.terminate()
    if world.returncode != 0:
        sys.exit(f"world.py: FAILED: kvsync-world ended with {world.returncode}")
    return good


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    # Each of them, so that all differences are seen.
    if not all([hold(sys.argv[1], name) for name in WORLDS]):
        sys.exit("world.py: FAILED: the world answers otherwise than the real server, see above")
    print("world.py: passed")


if __name__ == "__main__":
    main()

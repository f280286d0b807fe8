#!/usr/bin/env python3
"""Does the local world answer like the real API server?

    tests/k8s/world.py PATH/kvsync-world

Starts the world, sends it the requests of requests.py and compares with the recorded answers.
"""

import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CRDS = sorted((HERE.parent.parent / "deploy" / "manifests").glob("*-crd-*.yaml"))

# It is asked with our own CRDs.
WITHOUT = "upstream-crd"


def requests(*arguments):
    return subprocess.run([sys.executable, HERE / "requests.py", *arguments]).returncode


def ask(directory):
    answers = directory / "answers.json"
    return (requests("run", "--world", directory / "world.json", "--out", answers,
                     "--without", WITHOUT) == 0
            and requests("compare", HERE / "real-v1.36.json", answers) == 0)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    with tempfile.TemporaryDirectory(prefix="kvsync-world-") as name:
        command = [sys.argv[1], "--dir", name]
        for crd in CRDS:
            command += ["--crd", str(crd)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as world:
            line = world.stdout.readline()
            if not line.startswith("kvsync-world: ready"):
                world.kill()
                sys.exit(f"world.py: kvsync-world does not start: {line.strip()}")
            good = ask(pathlib.Path(name))
            world.terminate()
    if world.returncode != 0:
        sys.exit(f"world.py: FAILED: kvsync-world ended with {world.returncode}")
    if not good:
        sys.exit("world.py: FAILED: the world answers otherwise than the real server, see above")
    print("world.py: passed")


if __name__ == "__main__":
    main()

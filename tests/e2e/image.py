#!/usr/bin/env python3
"""deploy/image: the packages of the image are those that the built program needs, no more and no fewer.

    tests/e2e/image.py [KVSYNC]
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
IMAGE = ROOT / "deploy" / "image"
# In every Debian, or needed without being linked.
ALWAYS = {"libc6"}
BESIDES = {"ca-certificates"}
INSTALL = "apt-get install -y --no-install-recommends"


def output(*command):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


def packages_of(program):
    """Debian packages of the libraries that the program itself names."""
    needed = re.findall(r"NEEDED.*\[(.*)\]", output("readelf", "-d", program))
    where = {}
    for library, path in re.findall(r"^\t(\S+) .* => (\S+)$", output("/sbin/ldconfig", "-p"), re.M):
        where.setdefault(library, path)  # the machine's own architecture comes first
    names = set()
    for library in needed:
        path = pathlib.Path(where[library]).resolve() if library in where else None
        if path is None:
            continue
        # What stood in /lib before that became a link to /usr/lib is still registered there.
        owner = subprocess.run(["dpkg", "-S", path, str(path).removeprefix("/usr")], capture_output=True, text=True)
        names.update(line.split(":")[0] for line in owner.stdout.splitlines())
    return names - ALWAYS


def words_after(text, command):
    """The words of an apt-get install that begin with a letter."""
    line = re.search(re.escape(command) + r"((?:.*\\\n)*.*)", text)[1]
    return {word for word in line.replace("\\\n", " ").split("&&")[0].split() if word[0].isalpha()}


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release/kvsync"
    listed = words_after((IMAGE / "Containerfile").read_text(), INSTALL)
    needed = packages_of(program) | BESIDES
    if listed != needed:
        sys.exit(f"image: FAILED: the Containerfile lists too much {sorted(listed - needed)}, too little {sorted(needed - listed)}")
    build = words_after((IMAGE / "build").read_text(), INSTALL)
    tested = set(re.search(r"packages=\(([^)]*)\)", (ROOT / "tests" / "packages").read_text())[1].split())
    if build - tested:
        sys.exit(f"image: FAILED: deploy/image/build installs what the tests never build with: {sorted(build - tested)}")
    print(f"image: passed ({len(listed)} packages)")


if __name__ == "__main__":
    main()

"""Where bytes stand in the memory of a process, as the kernel tells it. Needs root: kvsync's memory is closed to its own user."""

import re

REGION = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$")


def regions(pid):
    """(begin, end, name, is left out of core files) of everything that can be read."""
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            begins = REGION.match(line)
            if begins:
                begin, end, rights, name = int(begins[1], 16), int(begins[2], 16), begins[3], begins[4] or "anonymous"
            elif line.startswith("VmFlags:") and "r" in rights and not name.startswith("[v"):
                yield begin, end, name, " dd" in line


def stray(pid, patterns):
    """Places outside of secret memory (which no core file holds) where one of the patterns stands."""
    places = []
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for begin, end, name, is_secret in regions(pid):
            if is_secret:
                continue
            try:
                memory.seek(begin)
                content = memory.read(end - begin)
            except OSError:  # unmapped meanwhile
                continue
            places += [f"{name} {begin + content.find(pattern):x}" for pattern in patterns if pattern in content]
    return places

#!/usr/bin/env python3
"""tests/sizes.py FILE.c...: complains about functions over 70 lines and files over 600; prints the medians."""

import re
import statistics
import sys

FUNCTION_LINES, FILE_LINES = 70, 600


def functions(lines):
    """Name and length of each function, by the house's layout: its head begins in column 0 and ends in '{', its end is a
    '}' alone in column 0."""
    start = None
    for number, line in enumerate(lines):
        if start is None and re.match(r"^[a-z].*[^;,=]$", line) and line.endswith("{") and "(" in line:
            start = number
        elif start is None and re.match(r"^\s+.*\) \{$", line) and number and re.match(r"^[a-z][^;{}]*\(", lines[number - 1]):
            start = number - 1
        elif start is not None and line == "}":
            match = re.search(r"(\w+)\(", lines[start])
            yield (match.group(1) if match else "?"), number - start + 1
            start = None


def main(paths):
    bad, lengths, sizes = 0, [], []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        sizes.append(len(lines))
        if len(lines) > FILE_LINES:
            print(f"{path}: {len(lines)} lines")
            bad += 1
        for name, length in functions(lines):
            lengths.append(length)
            if length > FUNCTION_LINES:
                print(f"{path}: {name} has {length} lines")
                bad += 1
    print(f"sizes: {len(lengths)} functions, median {statistics.median(lengths):.0f} lines, longest {max(lengths)}; "
          f"{len(sizes)} files, median {statistics.median(sizes):.0f} lines, longest {max(sizes)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

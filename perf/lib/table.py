"""Tables of perf/run, in Markdown."""

# What was told of others on such a machine; not measured here.
GIVEN = (
    ("External Secrets Operator 2.9, 50 workers, limits lifted (given)", "5,000", "118", "4,100 us", "213 MiB"),
    ("the upstream controller (given)", "5,000", "17.9", "42,000 us", "84 MiB"),
)


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("---" if i == 0 else "---:" for i in range(len(head))) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def cell(value, unit=""):
    if value is None:
        return "-"
    text = value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return f"{text} {unit}".rstrip()


def micro(rows):
    """rows: name, ns, reference, its ns, as perf-micro prints them."""
    return markdown(("operation", "ours", "beside it", "that", "ratio"),
                    [(name, f"{float(ours):,.0f} ns", reference, f"{float(theirs):,.0f} ns", f"{float(ours) / float(theirs):.2f}")
                     for name, ours, reference, theirs in rows])


def lists(runs):
    """runs: the lines of perf-lists, name, figure, unit; a column each."""
    rows = [(lines[0][0], *(" ".join(part for part in cells if part) for cells in ([f"{float(line[1]):,g}", *line[2:]] for line in lines)))
            for lines in zip(*runs)]
    return markdown(("a fleet at rest", *("" for _ in runs)), rows)


def fleets(part, results):
    """results: {name of a run: its figures}. What no run has is left out."""
    rows = [row for row in part.rows if any(row[1](result) is not None for result in results.values())]
    if not part.across:
        return markdown((part.title, *results), [(title, *(cell(get(result), unit) for result in results.values())) for title, get, unit in rows])
    lines = [(f"kvsync, {name}", *(cell(get(result), unit) for _, get, unit in rows)) for name, result in results.items()]
    return markdown((part.title, *(title for title, _, _ in rows)), lines + [(f"{given[0]}, {given[1]}", *given[2:], "-") for given in GIVEN])

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
    return (f"{value:,}" if isinstance(value, int) else f"{value:,.4g}") + (f" {unit}" if unit else "")


def micro(rows):
    """rows: name, ns, reference, its ns, as perf-micro prints them."""
    return markdown(("operation", "ours", "beside it", "that", "ratio"),
                    [(name, f"{float(ours):,.0f} ns", reference, f"{float(theirs):,.0f} ns", f"{float(ours) / float(theirs):.2f}")
                     for name, ours, reference, theirs in rows])


def speed(results):
    rows = [(f"kvsync, {result['objects']:,}", f"{result['objects']:,}", cell(result["syncs_per_s"]),
             cell(result["cpu_us_per_sync"], "us"), cell(result["rss_mib"], "MiB"), cell(result["world_cpu_us_per_sync"], "us"))
            for result in results]
    rows += [(*given, "-") for given in GIVEN]
    return markdown(("first sync, no quota", "objects", "syncs/s", "CPU per sync", "memory", "world's CPU per sync"), rows)


def whole(results):
    def row(title, value, unit=""):
        return (title, *(cell(value(result), unit) for result in results))

    rows = [row("first full sync", lambda r: r["first_sync_s"], "s"), row("the quota's bound", lambda r: r["bound_s"], "s"),
            row("429 answers", lambda r: r["throttled"]), row("memory", lambda r: r["rss_mib"], "MiB"),
            row("CPU per sync", lambda r: r["cpu_us_per_sync"], "us"), row("CPU per check", lambda r: r["cpu_us_per_check"], "us"),
            row("GETs of an unchanged interval", lambda r: r["steady"]["requests"]["get"]),
            row("lists of an unchanged interval", lambda r: r["steady"]["requests"]["list"]),
            row("writes of an unchanged interval", lambda r: sum(r["steady"]["writes"].values())),
            row("rotation to Secret, p99", lambda r: r["rotation_p99_s"], "s"),
            row("new SecretSync to Secret, p99", lambda r: r["new_object_p99_s"], "s"),
            row("restart: ready", lambda r: r["restart"]["ready_s"], "s"), row("restart: GETs", lambda r: r["restart"]["gets"]),
            row("restart: writes", lambda r: r["restart"]["writes"]),
            row("longest turn of main", lambda r: r["main_turn_max_ms"], "ms"),
            row("list after an expired watch", lambda r: r["relist"]["seconds"], "s"),
            row("longest turn of main by its CPU", lambda r: r["relist"]["main_turn_cpu_max_ms"], "ms"),
            row("/livez meanwhile, longest", lambda r: r["relist"]["livez_max_ms"], "ms")]
    return markdown(("280 requests/s and vault", *(f"{result['objects']:,}" for result in results)), rows)

"""The figures of a run: how they come out of counters, and how they read."""

import math

KINDS = {"get": ("get secrets", "get keys", "get certificates"), "list": ("list secrets", "list keys", "list certificates"),
         "versions": ("list versions of secrets", "list versions of keys", "list versions of certificates"), "token": ("token",)}


QUOTA_OF_AZURE = 4000  # calls to a vault in ten seconds
USUAL_PER_SUBSCRIPTION = 5  # so many vaults bear as much as the subscription they are in
TRIAL_S = 10  # breakerIntervalInSeconds, as it is by default


def requests_by_label(stats, host=""):
    """The world's counters, over all statuses, of all hosts whose names begin so."""
    labels = {}
    for name, by_label in stats["requests"].items():
        for label, by_status in by_label.items() if name.startswith(host) else ():
            labels[label] = labels.get(label, 0) + sum(by_status.values())
    return labels


def requests_of(labels, counts):
    """What the vaults and Entra were asked, as they counted it; safety re-reads, which are no part of `get`, and probes as the
    engine counted them (None: it does not)."""
    found = {kind: sum(labels.get(label, 0) for label in names) for kind, names in KINDS.items()}
    found["safety"] = counts.get("vault_safety_reads")
    if found["safety"]:
        found["get"] = max(found["get"] - found["safety"], 0)
    found["probe"] = counts.get("secret_probes", 0)
    return found


def writes_of(labels, counts):
    """Writes that the API server was asked for."""
    status = sum(number for label, number in labels.items() if label.endswith(" secretsyncs/status"))
    settle = counts.get("secrets_settled", 0)
    probe = counts.get("secret_probes", 0)
    secret = labels.get("POST secrets", 0) + labels.get("PATCH secrets", 0) - settle - probe
    return {"secret": max(secret, 0), "status": status, "settle": settle}


def difference(after, before):
    """Of two snapshots of counters."""
    return {name: value - before.get(name, 0) for name, value in after.items()}


def throttled_of(stats):
    return sum(vault["throttled"] for vault in stats["vaults"].values())


def quota_of(rate):
    """Calls that the world's vaults bear in ten seconds: Azure's limit, or what the rate is 70 % of; None: no quota."""
    return max(QUOTA_OF_AZURE, round(10 * rate / 0.7)) if rate else None


def pace_of_subscription(rate):
    """Requests per second to all its vaults: 70 % of what it bears, which is five times what a vault does."""
    return USUAL_PER_SUBSCRIPTION * 0.07 * quota_of(rate)


def bound_seconds(objects, vaults, rate, per_subscription=USUAL_PER_SUBSCRIPTION):
    """The shortest time that the quotas of vaults and subscriptions allow for one read of each object; None: no quota."""
    if not rate:
        return None
    together = min(per_subscription, vaults)
    return round(objects * together / vaults / min(together * rate, pace_of_subscription(rate)), 3)


def spread_step(percent, groups):
    """About 100 / percent, such that the numbers 0, step, 2 step... fall into all groups, to which numbers go in turns."""
    step = max(1, round(100 / percent))
    while math.gcd(step, groups) > 1:
        step += 1
    return step


def pace_of(rate):
    """Requests per second over a longer time, where ten seconds hold ten times the rate with a burst in them, as docs/scale.md has it."""
    return max((10 * rate - min(20, rate)) / 10, rate / 2)


def recovery_seconds(reads, rate):
    """The shortest time after an outage: until its end is found out, and so many reads at the vault's pace; None: no quota."""
    return round(TRIAL_S + reads / pace_of(rate), 1) if rate else None


def per(seconds, number):
    """Microseconds each."""
    return round(1e6 * seconds / number, 1) if number else None


def share(number, of):
    """One by the other; None: nothing to divide by."""
    return round(number / of, 3) if of else None


def mean_rate(samples, low, high):
    """Objects per second between two times of [(t, done)], linear between samples; None when there is no such span."""
    inside = [sample for sample in samples if low <= sample[0] <= high]
    if len(inside) < 2 or inside[-1][0] <= inside[0][0]:
        return None
    return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])


def rates_by_part(samples, total, parts):
    """Of a counter that reaches a total, [(t, done)]: how much came per second in each part of it, in order. A part that went by
    between two samples has the rate of both; None: it never ended."""
    rates = []
    for part in range(parts):
        low = [sample for sample in samples if sample[1] <= total * part / parts]
        high = [sample for sample in samples if sample[1] >= total * (part + 1) / parts]
        if not low or not high or high[0][0] <= low[-1][0]:
            rates.append(None)
        else:
            rates.append(round((high[0][1] - low[-1][1]) / (high[0][0] - low[-1][0])))
    return rates


def turns_over(after, before, bounds_ms):
    """Of two readings of a histogram of turns, {bound in s: turns within}: how many there were between them, and how many of them
    took longer; None: the engine does not tell."""
    if not after:
        return None
    within = {bound: number - before.get(bound, 0) for bound, number in after.items()}
    turns = int(within["+Inf"])
    return {"turns": turns, **{f"over_{bound}_ms": int(turns - within[f"{bound / 1000:g}"]) for bound in bounds_ms}}


def most_in_window(samples, seconds):
    """Of a counter, [(t, value)]: the most that it grew by within so many seconds."""
    most, first = 0, 0
    for at, value in samples:
        while at - samples[first][0] >= seconds:
            first += 1
        most = max(most, value - samples[first][1])
    return most


def row(name, value, unit=""):
    shown = "not measured" if value is None else f"{value:,}" if isinstance(value, int) else f"{value}"
    return f"  {name:34} {shown} {unit}".rstrip()


def counts_line(counts):
    return ", ".join(f"{name} {'?' if number is None else format(number, ',')}" for name, number in counts.items())


def turns_line(name, turns):
    if not turns:
        return []
    over = [f"{number:,} {words.replace('_', ' ')}" for words, number in turns.items() if words != "turns"]
    over[0] = over[0].replace(" over", f" of {turns['turns']:,} over")
    return [row(name, ", ".join(over))]


def import_lines(found):
    """A rotation during an import."""
    shown = found["since_shown"]
    return [f"rotation while {found['imported']:,} SecretSyncs are imported ({found['imported_before']:,} of them done before it, "
            f"{found['imported_after']:,} when the last came): {found['count']:,} timed",
            f"  p50 {found['p50']:.3f} s, p99 {found['p99']:.3f} s, max {found['max']:.3f} s"
            + (f", {found['pending']} never came" if found["pending"] else ""),
            f"  from the list that shows it: {shown['count']:,} timed, p50 {shown['p50']:.3f} s, p99 {shown['p99']:.3f} s, "
            f"max {shown['max']:.3f} s",
            row("the import took", found["seconds"], f"s from the rotation on (the quota's bound for all of it: {found['bound_s']} s)"),
            f"  requests: {counts_line(found['requests'])}",
            row("429 answers", found["throttled"])]


def text(result):
    """The report for people."""
    lines = [f"{result['objects']:,} SecretSyncs, {result['classes']:,} SecretProviderClasses ({result['layout']}), "
             f"{result['vaults']} vaults, {result['identities']} identities, values of {result['value_bytes']} bytes"
             + (f", {result['secret_age_s']:,} s old" if "secret_age_s" in result else "")]
    lines.append("first full sync")
    bound = result["bound_s"]
    over = f" ({result['first_sync_s'] / bound:.2f} x of the quota's bound, {bound} s)" if bound else " (no quota)"
    lines.append(row("time", result["first_sync_s"], "s" + over))
    lines.append(row("syncs per second", result["syncs_per_s"]))
    if result.get("syncs_per_s_by_tenth"):
        tenths = ", ".join("?" if rate is None else f"{rate:,}" for rate in result["syncs_per_s_by_tenth"])
        lines.append(row("the same, tenth by tenth", tenths))
    lines.append(row("engine CPU per sync", result["cpu_us_per_sync"], "us"))
    lines.append(row("world CPU per sync", result["world_cpu_us_per_sync"], "us"))
    lines.append(row("engine memory", result["rss_mib"], f"MiB at most, {result['rss_after_mib']} MiB at the end, of the world "
                     f"{result['world_rss_mib']} MiB" if "rss_after_mib" in result else "MiB"))
    lines.append(row("429 answers", result["throttled"]))
    lines.append(row("longest turn of main", result["main_turn_max_ms"], f"ms, at most {result['main_turn_cpu_max_ms']} ms of CPU"))
    lines += turns_line("turns of main", result.get("main_turns"))
    if "worker_turn_max_ms" in result:
        lines.append(row("longest turn of a worker", result["worker_turn_max_ms"], f"ms, at most {result['worker_turn_cpu_max_ms']} ms of CPU"))
    if result.get("gets_per_version") is not None:
        lines.append(row("GETs per object and version", result["gets_per_version"]))
    lines.append(f"  requests: {counts_line(result['requests'])}")
    lines.append(f"  writes: {counts_line(result['writes'])}")
    if result.get("plain_client_s"):
        ratio = result["first_sync_s"] / result["plain_client_s"]
        lines += [row("a plain client, 16 connections", result["plain_client_s"], f"s (kvsync: {ratio:.2f} x)"),
                  row("API server's CPU per sync", result["apiserver_cpu_us_per_sync"], "us"),
                  row("the same for the plain client", result["apiserver_cpu_us_per_plain_write_pair"], "us"),
                  row("growth of etcd per sync", result["etcd_bytes_per_sync"], "bytes")]
    if result.get("steady"):
        steady = result["steady"]
        lines += [f"steady state over {steady['seconds']} s", row("engine CPU per checked object", result["cpu_us_per_check"], "us"),
                  f"  requests: {counts_line(steady['requests'])}", f"  writes: {counts_line(steady['writes'])}",
                  row("engine memory", steady["rss_mib"], "MiB")]
    for key, title in (("rotation", "from vault change to Secret"), ("new_object", "from new SecretSync to Secret")):
        if result.get(key):
            times = result[key]
            lines.append(f"{title}: {times['count']:,} timed")
            lines.append(f"  p50 {times['p50']:.3f} s, p99 {times['p99']:.3f} s, max {times['max']:.3f} s"
                         + (f", {times['pending']} never came" if times["pending"] else ""))
            if times.get("gets_per_version") is not None:
                lines.append(row("GETs per object and version", times["gets_per_version"]))
    if result.get("outage"):
        outage = result["outage"]
        lines += [f"one vault cut off for {outage['seconds']} s", row("trials in that time", outage["trials"]),
                  row("trials in ten seconds, at most", outage["trials_per_10s"]),
                  row("healthy objects/s before", outage["healthy_rate_before"]),
                  row("healthy objects/s meanwhile", outage["healthy_rate_during"],
                      f"(the pace of their vaults, pages of walks included: {outage['healthy_pace']})"),
                  row("all synced after its end", outage["recovery_s"],
                      f"s (a trial, and the {outage['left']:,} reads that were left at the vault's pace: {outage['recovery_bound_s']} s)"),
                  row("all Ready again after its end", outage["ready_again_s"],
                      f"s (with one read more of each of the {outage['told']:,} that told of it: {outage['ready_again_bound_s']} s)"),
                  f"  requests to that vault since its end: {counts_line(outage['requests'])}",
                  row("429 answers", result["throttled"])]
    if result.get("import_rotation"):
        lines += import_lines(result["import_rotation"])
    if result.get("restart"):
        restart = result["restart"]
        lines += ["restart of the silent fleet", row("ready after", restart["ready_s"], "s"), row("GETs", restart["gets"]),
                  row("safety re-reads", restart.get("safety")),
                  row("writes", restart["writes"]), f"  watched for {restart['watched_s']} s"]
    if result.get("relist"):
        relist = result["relist"]
        lines += ["list after an expired watch", row("time", relist["seconds"], "s"),
                  row("longest turn of main since the start", relist["main_turn_max_ms"],
                      f"ms (before it {relist['main_turn_max_before_ms']} ms), at most {relist['main_turn_cpu_max_ms']} ms of CPU"),
                  *turns_line("turns of main meanwhile", relist["main_turns"]),
                  *turns_line("the same by their CPU time", relist["main_turns_cpu"]),
                  row("/livez", relist["livez_asked"], f"times asked, {relist['livez_failed']} without an ok, at most {relist['livez_max_ms']} ms"),
                  row("engine memory", relist["rss_mib"], "MiB")]
    return "\n".join(lines)

"""What the kernel and the engine's own port tell of a process."""

import os
import pathlib
import re
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE = re.compile(r'^([a-z0-9_]+)(?:\{([^}]*)\})? ([0-9.eE+-]+)$')
LABEL = re.compile(r'[a-z]+="([^"]*)"')


def cpu_seconds(pid):
    """User and system time, to a hundredth of a second."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def parse_metrics(text):
    """Prometheus text as {name: value}; with a label {name: {label value: value}}, with two {name: {first: {second: value}}}."""
    found = {}
    for line in text.splitlines():
        match = SAMPLE.match(line)
        if not match:
            continue
        *path, last = [match[1], *LABEL.findall(match[2] or "")]
        at = found
        for part in path:
            at = at.setdefault(part, {})
        at[last] = float(match[3])
    return found


class StatusPort:
    """The engine's /livez, /readyz and /metrics."""

    def __init__(self, port):
        self.number = port
        self.base = f"http://127.0.0.1:{port}"
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, path):
        with self.opener.open(self.base + path, timeout=10) as answer:
            return answer.read().decode()

    def is_ready(self):
        try:
            return self.ask("/readyz") == "ok\n"
        except OSError:
            return False

    def metrics(self):
        return parse_metrics(self.ask("/metrics"))

    def is_alive(self):
        try:
            return self.ask("/livez") == "ok\n"
        except OSError:
            return False


def engine_counts(metrics):
    """The engine's counters without prefix and suffix."""
    return {name[len("kvsync_"):-len("_total")]: int(value) for name, value in metrics.items()
            if name.startswith("kvsync_") and name.endswith("_total")}

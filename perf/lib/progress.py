"""A bar on a terminal; a line per phase elsewhere."""

import sys
import time


class Progress:
    def __init__(self, stream=sys.stderr):
        self.stream = stream
        self.live = stream.isatty()
        self.phase = ""
        self.began = time.monotonic()
        self.told = 0.0

    def begin(self, phase):
        self.end()
        self.phase = phase
        self.began = time.monotonic()
        if not self.live:
            print(f"perf: {phase}", file=self.stream, flush=True)

    def show(self, done, total, note=""):
        """At most ten times a second on a terminal, every 30 s elsewhere."""
        now = time.monotonic()
        if now - self.told < (0.1 if self.live else 30):
            return
        self.told = now
        share = min(done / total, 1) if total else 1
        if self.live:
            bar = "#" * int(30 * share)
            self.stream.write(f"\r\033[K{self.phase:28} [{bar:30}] {100 * share:3.0f} %  {now - self.began:5.0f} s  {note}")
            self.stream.flush()
        elif self.phase:
            print(f"perf: {self.phase}: {100 * share:.0f} %  {note}", file=self.stream, flush=True)

    def end(self):
        if self.live and self.phase:
            self.stream.write(f"\r\033[K{self.phase:28} {time.monotonic() - self.began:.1f} s\n")
            self.stream.flush()
        self.phase = ""

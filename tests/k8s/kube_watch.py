"""A watch that stays open while a case goes on."""

import json
import urllib.parse

from bodies import JSON


class Unexpected(Exception):
    """An answer with which a case cannot go on."""


class Watch:
    """A watch that is open meanwhile: with k.watch(...) as w: ...; w.take("label", 2)"""

    def __init__(self, context, label, path, query, accept=JSON, identity=None):
        self.k, self.last = context, None
        path = f"{path}?{urllib.parse.urlencode({'watch': 'true', **query})}"
        self.connection, self.response = (identity or context.identity).open(
            "GET", path, {"Accept": accept}, timeout=20)
        self.step = {
            "label": label,
            "request": {"method": "GET", "path": context._path(path), "accept": accept},
            "status": self.response.status,
            "headers": {"content-type": self.response.getheader("content-type")}}
        context.steps.append(self.step)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def next(self):
        """The next event as it came, or None at the stream's end. Each event is one line."""
        line = self.response.readline()
        if not line:
            return None
        if not line.endswith(b"\n") or line == b"\n":
            raise Unexpected(f"a watch event is one line of JSON, got {line[:80]!r}")
        self.last = json.loads(line)
        return self.last

    def take(self, label, count):
        """Record the next events."""
        self._record(label, [self.next() for _ in range(count)])

    def rest(self, label):
        """Record what comes until the server ends the stream. Bookmarks in a row count as one: how
        many there are is the server's whim."""
        events = []
        for event in iter(self.next, None):
            if not (events and events[-1]["type"] == event["type"] == "BOOKMARK"):
                events.append(event)
        self._record(label, events)

    def _record(self, label, events):
        self.k.steps.append({"label": label, "events": [self.k.normal.value(e) for e in events]})

    def error(self, expect):
        """For a watch that is refused by an HTTP status: record its body."""
        self.step["body"] = self.k.normal.value(json.loads(self.response.read()))
        if self.response.status != expect:
            self.k._surprise(f"{self.step['label']}: expected {expect}, got {self.response.status}")

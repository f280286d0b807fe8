"""The small language of the cases: a case is a function of one argument, its context, and sends
requests through it; each request that has a label is recorded with its answer.

    @case()
    def probe(k):
        '''One line that says what is shown.'''
        s = k.secret("s")
        s.post("create", {"a": "1"})
        s.probe("unchanged")

Every request states the status that it expects, so that a case reads as what it shows and a wrong
answer is seen without a second file.
"""

import json
import time
import urllib.parse
import uuid

from bodies import (JSON, JSON_PATCH, MERGE, METADATA, NAMESPACES, OURS, SYNC_API, owner_reference,
                    sync_body, token_request)
from kube_secret import Secret
from kube_watch import Unexpected, Watch
from normal import Normaliser

RECORDED_HEADERS = ("content-type", "retry-after", "warning")

# What a server may lack; a run leaves out the cases that need it (requests.py --without).
FEATURES = {
    "rbac": "rights of service accounts",
    "policies": "ValidatingAdmissionPolicies",
    "owner-enforcement": "the admission plug-in OwnerReferencesPermissionEnforcement",
    "schema": "checks of custom resources against their schema, beyond dropping unknown fields",
    "upstream-crd": "SecretSync as the upstream controller defines it (upstream-crd.yaml)",
    "extended-crd": "SecretSync as deploy/manifests defines it",
    "watch-list": "streaming lists (the feature gate WatchList)",
    "paged-only": "the lack of streaming lists",
}

CASES = {}


def case(needs=()):
    """Register a case under its function's name; its docstring is its title."""
    def register(function):
        unknown = set(needs) - set(FEATURES)
        assert not unknown and function.__doc__ and function.__name__ not in CASES
        function.needs = frozenset(needs)
        CASES[function.__name__.replace("_", "-")] = function
        return function
    return register


class Answer:
    """Status, headers and body of one answer; body is decoded where it is JSON."""

    def __init__(self, status, headers, raw):
        self.status, self.headers = status, headers
        is_json = headers.get("content-type", "").startswith(JSON)
        self.body = json.loads(raw) if is_json else raw.decode()


class Context:
    """What a case talks to: one server, one namespace of the case's own."""

    def __init__(self, identity, setup):
        self.identity, self.setup = identity, setup
        self.namespace = "kvsync-case-" + uuid.uuid4().hex[:10]
        self.normal = Normaliser(self.namespace)
        self.steps, self.surprises = [], []
        self.made = []
        home = f"{NAMESPACES}/{self.namespace}"
        self.secrets, self.accounts = home + "/secrets", home + "/serviceaccounts"
        self.syncs = f"/apis/{SYNC_API}/namespaces/{self.namespace}/secretsyncs"

    # ---- requests

    def send(self, label, method, path, body=None, *, expect, content=JSON, accept=JSON,
             identity=None, **query):
        """Send one request. body: a string goes as it is, anything else as JSON. label None: not
        recorded. expect: a status, or several."""
        if query:
            path += "?" + urllib.parse.urlencode(query)
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        answer = Answer(*(identity or self.identity).request(method, path, headers, text))
        if label is not None:
            self._record(label, method, path, headers, body, answer)
        if answer.status not in (expect if isinstance(expect, tuple) else (expect,)):
            why = answer.body if answer.status >= 400 else ""
            self._surprise(f"{label or method + ' ' + path}: expected {expect}, "
                           f"got {answer.status} {why}")
        if method == "POST" and answer.status == 201:
            self._remember(path.partition("?")[0], answer.body)
        return answer

    def _record(self, label, method, path, headers, body, answer):
        request = {"method": method, "path": self._path(path), "accept": headers["Accept"]}
        if body is not None:
            request["content-type"] = headers["Content-Type"]
            request["body"] = self._short(self.normal.value(body))
        self.steps.append({
            "label": label, "request": request, "status": answer.status,
            "headers": {name: self.normal.text(answer.headers[name])
                        for name in RECORDED_HEADERS if name in answer.headers},
            "body": self.normal.value(answer.body),
        })

    def _path(self, path):
        path, _, query = path.partition("?")
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
        shown = [(key, self._parameter(key, value)) for key, value in pairs]
        query = "&".join(f"{key}={value}" for key, value in shown)
        return self.normal.text(path) + ("?" if shown else "") + query

    @staticmethod
    def _parameter(key, value):
        if key == "resourceVersion" and len(value) > 1 and set(value) != {"9"}:
            return "<rv>"
        return "<continue>" if key == "continue" and len(value) > 10 else value

    def _short(self, value):
        """A recorded request names the size of a huge value instead of repeating it."""
        if isinstance(value, dict):
            return {key: self._short(item) for key, item in value.items()}
        if isinstance(value, str) and len(value) > 2000:
            return f"<{len(value)} characters>"
        return value

    def _surprise(self, text):
        self.surprises.append(self.normal.text(text))

    def require(self, answer):
        """For requests without which the case makes no sense."""
        if answer.status >= 300:
            raise Unexpected(f"cannot go on: {answer.status} {answer.body}")
        return answer.body

    def create(self, path, body, identity=None):
        """POST without a record, what the case stands on; returns the object."""
        return self.require(self.send(None, "POST", path, body, identity=identity, expect=201))

    def fact(self, label, value):
        """Record something that a case worked out from answers."""
        self.steps.append({"label": label, "fact": value})

    def poll(self, what, attempt, timeout=60, interval=0.1):
        """Call attempt until it returns something true, and return that."""
        deadline = time.monotonic() + timeout
        while not (result := attempt()):
            if time.monotonic() > deadline:
                raise Unexpected(f"waited {timeout} s for {what}")
            time.sleep(interval)
        return result

    # ---- life of the case

    def __enter__(self):
        self.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace",
                                 "metadata": {"name": self.namespace}})
        return self

    def __exit__(self, *_):
        self.setup.clean(self)
        for path in reversed(self.made):
            self.send(None, "PATCH", path, {"metadata": {"finalizers": None}}, content=MERGE,
                      accept=METADATA, expect=(200, 404, 409))
            self.send(None, "DELETE", path, expect=(200, 202, 404))

    def _remember(self, path, body):
        """What a case creates it deletes at its end, the namespace last."""
        if not path.endswith(("/token", "accessreviews")):
            self.made.append(path + "/" + body["metadata"]["name"])

    # ---- things to talk about

    def secret(self, name, **options):
        return Secret(self, name, **options)

    def sync(self, label, name, *, expect=201, metadata=None, **spec):
        """POST a SecretSync; returns the answer."""
        body = sync_body(name, metadata, **spec)
        return self.send(label, "POST", self.syncs, body, expect=expect)

    def owner(self, name):
        """An ownerReference to a new SecretSync."""
        sync = self.require(self.sync(None, name))
        return owner_reference(name, sync["metadata"]["uid"])

    def status(self, label, name, uid, status, *, expect=200, **options):
        """Patch a SecretSync's status as kvsync does: test the uid, replace the whole status."""
        patch = [{"op": "test", "path": "/metadata/uid", "value": uid},
                 {"op": "add", "path": "/status", "value": status}]
        return self.send(label, "PATCH", f"{self.syncs}/{name}/status", patch, content=JSON_PATCH,
                         expect=expect, fieldManager=OURS, **options)

    def service_account(self, name="account"):
        self.create(self.accounts, {"apiVersion": "v1", "kind": "ServiceAccount",
                                    "metadata": {"name": name}})

    def token(self, label, account, *, expect=201, seconds=600, identity=None):
        return self.send(label, "POST", f"{self.accounts}/{account}/token", token_request(seconds),
                         expect=expect, identity=identity)

    def identity_of(self, account, rules=()):
        """A new service account, with these rights in the case's namespace and no other."""
        self.service_account(account)
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        status = self.create(f"{self.accounts}/{account}/token", request)["status"]
        identity = self.identity.with_token(status["token"])
        self.setup.allow(self, account, identity, list(rules))
        return identity

    def watch(self, label, path, accept=JSON, identity=None, **query):
        return Watch(self, label, path, query, accept, identity)

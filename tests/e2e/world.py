"""The local Microsoft Entra and Azure Key Vault (tests/world) as a process."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.request

from cluster import ClusterError, die_with_parent

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

TENANT = "6b1f0c52-93d4-4e0e-9a57-2f8f5a2d7c11"
CLIENT = "0f0c0001-5d1e-4c8b-8f0a-5e1d9b3a7001"


def seed(issuer, jwks_file, subjects, vaults):
    """A seed file: one identity that the subjects share, and that may read the vaults."""
    return {
        "tenants": [{"id": TENANT}],
        "issuers": [{"issuer": issuer, "jwksFile": str(jwks_file)}],
        "identities": [{"clientId": CLIENT, "tenant": TENANT,
                        "federated": [{"issuer": issuer, "subject": subject} for subject in subjects]}],
        "vaults": [{"name": vault, "tenant": TENANT} for vault in vaults],
        "grants": [{"vault": vault, "clientId": CLIENT, "role": "Key Vault Secrets User"} for vault in vaults],
    }


class World:
    """Start and stop it by `with`."""

    def __init__(self, directory, binary=None, seed=None, arguments=("--azure-only",)):
        self.directory = pathlib.Path(directory)
        self.binary = pathlib.Path(binary or os.environ.get(
            "KVSYNC_WORLD", ROOT / "build/release/tests/world/kvsync-world"))
        self.seed = seed
        self.arguments = list(arguments)
        self.process = None

    def __enter__(self):
        if not self.binary.exists():
            raise ClusterError(f"{self.binary} is not built: cmake --preset release && cmake --build --preset release")
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [str(self.binary), "--dir", str(self.directory), *map(str, self.arguments)]
        if self.seed:
            path = self.directory / "seed.json"
            path.write_text(json.dumps(self.seed))
            command += ["--seed-file", str(path)]
        self.errors = open(self.directory / "world.log", "wb")
        # The model makes and frees small blocks by the thousand for each request: let the C library keep them at hand.
        environment = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=30000", **os.environ}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, env=environment,
                                        preexec_fn=die_with_parent)
        line = self.process.stdout.readline()
        if not line:
            raise ClusterError(f"kvsync-world did not start: {(self.directory / 'world.log').read_text()[-500:]}")
        self.facts = json.loads((self.directory / "world.json").read_text())
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        if self.process.poll() is None:
            self.process.kill()
        self.process.stdout.close()
        self.errors.close()

    def environment(self):
        """What a program needs to reach the vaults by their real names."""
        return {"HTTPS_PROXY": self.facts["proxyUrl"], "SSL_CERT_FILE": self.facts["caFile"],
                "NO_PROXY": "127.0.0.1,localhost"}

    def say(self, word, *, patience=10, **members):
        request = urllib.request.Request(f"{self.facts['controlUrl']}/world/{word}", method="POST",
                                         data=json.dumps(members).encode(),
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=patience) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            raise ClusterError(f"kvsync-world refused {word} {members}: {error.read().decode()}") from error
        return json.loads(body) if body else {}

    def ask(self, path):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.facts['controlUrl']}/world/{path}", timeout=10) as answer:
            return json.loads(answer.read())

    def secret(self, vault, name, value, **members):
        self.say("secret", vault=vault, name=name, value=value, **members)

    def requests_since(self, mark=0):
        """The log's entries behind number `mark`, oldest first."""
        return self.ask(f"log?since={mark}&limit=16384")


def wall():
    return time.strftime("%H:%M:%S")

"""kvsync's vault client reads what Microsoft's fakes were told (fake/objects.json); the answers are compared."""
import hashlib
import json
import ssl
import subprocess
import urllib.request

VAULT = "https://fake.vault.azure.net"


def value_of(version):
    return (version["value"] * version.get("repeat", 1)).encode("utf-8")


def row_of(version):
    return {"version": version["id"], "enabled": version.get("enabled", True), "created": version["created"],
            "updated": version["created"], "notBefore": version.get("notBefore", 0),
            "expires": version.get("expires", 0)}


class Leg:
    WORDS = {"secrets": "secret", "keys": "key", "certificates": "cert"}

    def __init__(self, program, told, environment):
        self.program, self.environment = program, environment
        self.told = json.loads(told.read_text(encoding="utf-8"))
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({"https": environment["HTTPS_PROXY"]}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=environment["SSL_CERT_FILE"])))
        self.checked = 0
        self.wrong = []

    def ask(self, *arguments):
        done = subprocess.run([str(self.program), VAULT, *arguments], env=self.environment, capture_output=True,
                              text=True, timeout=60, check=False)
        if done.returncode:
            raise OSError(f"vault_client {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def expect(self, what, got, want):
        """Every member that is wanted, no matter what else came."""
        self.checked += 1
        got = {name: got.get(name) for name in want}
        if got != want:
            self.wrong.append(f"{what}: got {got}, want {want}")

    def body(self, path):
        request = urllib.request.Request(f"{VAULT}{path}?api-version=7.4", headers={"Authorization": "Bearer any"})
        with self.opener.open(request, timeout=30) as answer:
            return answer.read()

    def one(self, kind, name, version, asked):
        got = self.ask("get", self.WORDS[kind], name, *asked)
        if kind == "secrets":
            value = value_of(version)
            want = row_of(version) | {"contentType": version.get("contentType", ""),
                                      "certificate": version.get("certificate", False)}
        else:
            value = self.body("/".join(("", kind, name, *asked)))
            want = {}
        want |= {"result": "OK", "size": len(value), "sha256": hashlib.sha256(value).hexdigest()}
        self.expect(f"{kind}/{name} {asked}", got, want)

    def list(self, kind, thing):
        name, versions = thing["name"], thing["versions"]
        got = self.ask("versions", self.WORDS[kind], name)
        if thing.get("cut"):
            self.expect(f"versions of {name}", got, {"result": "ERR_THROTTLED", "status": 429})
            return
        size = thing.get("pageSize", len(versions))
        self.expect(f"versions of {name}", got, {"result": "OK", "pages": -(-len(versions) // size)})
        rows = got.get("rows", [])
        self.expect(f"versions of {name}", {"rows": len(rows)}, {"rows": len(versions)})
        for row, version in zip(rows, versions):
            self.expect(f"row {row['index']} of {name}", row, row_of(version))

    def run(self):
        for kind in self.WORDS:
            for thing in self.told[kind]:
                for version in thing["versions"]:
                    self.one(kind, thing["name"], version, [version["id"]])
                self.one(kind, thing["name"], thing["versions"][-1], [])
                self.list(kind, thing)
            word = self.WORDS[kind]
            self.expect(f"unknown {word}", self.ask("get", word, "nobody-has-it"),
                        {"result": "ERR_NOT_FOUND", "status": 404})
            self.expect(f"versions of an unknown {word}", self.ask("versions", word, "nobody-has-it"),
                        {"result": "OK", "pages": 1, "rows": []})
        for failure in self.told["errors"]:
            self.expect(failure["name"], self.ask("get", "secret", failure["name"]),
                        {"result": failure["want"], "status": failure["status"], "code": failure["wantCode"]})

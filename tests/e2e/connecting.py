"""`kvsync check --connect` against local vaults: each step is made to fail in turn, and has to be the one that is named.

The same cases run on the local Kubernetes API (tests/conformance/connect.py) and on a real one (checks.py).
"""

import base64
import dataclasses
import json
import os
import pathlib
import subprocess

from lab import check, spc, sync
from world import TENANT

STEPS = ("DNS", "route", "TLS", "account", "token", "get", "list")
READER, LISTER = "0f0c0001-5d1e-4c8b-8f0a-5e1d9b3a7002", "0f0c0001-5d1e-4c8b-8f0a-5e1d9b3a7003"
NOBODY, PRINCIPAL = "0f0c0001-5d1e-4c8b-8f0a-5e1d9b3a7004", "0f0c0001-5d1e-4c8b-8f0a-5e1d9b3a7005"
CREDENTIAL = "a client's s3cret~/+="


@dataclasses.dataclass
class Stage:
    """Where the cases play. The account is trusted by the identity of spc(); the stranger exists and is not."""
    program: str
    directory: pathlib.Path
    world: object
    kubeconfig: str
    issuer: str
    namespace: str
    account: str
    stranger: str
    canaries: set

    def prepare(self):
        """An identity that may only get, and one that may only list; two versions of an object."""
        federated = [{"issuer": self.issuer, "subject": f"system:serviceaccount:{self.namespace}:{self.account}"}]
        for client, rights in ((READER, ["get"]), (LISTER, ["list"])):
            self.world.say("identity", clientId=client, tenant=TENANT, federated=federated)
            self.world.say("grant", vault="kv-one", clientId=client, rights={"secrets": rights})
        for value in ("a value that is checked", "a newer value that is checked"):
            self.canaries.add(value)
            self.world.secret("kv-one", "checked", value)

    def manifests(self, objects=None, sources=("checked/0",), account=None, **parameters):
        objects = objects or {"checked": {"objectVersionHistory": 2}}
        data = {f"key-{index}": source for index, source in enumerate(sources)}
        return (spc("checked", objects, namespace=self.namespace, **parameters),
                sync("checked", "checked", data, namespace=self.namespace, service_account=account or self.account))

    def run(self, name, objects, environment=None, kubeconfig=True):
        """Exit code and answer. No value and no token may stand in it."""
        path = self.directory / f"{name}.json"
        path.write_text("\n---\n".join(json.dumps(one) for one in objects))
        config = self.directory / "check-config.yaml"
        config.write_text("requestTimeoutInSeconds: 5\n")
        command = [self.program, "check", str(path), "--connect", "-o", "json", "--config", str(config)]
        if kubeconfig:
            command += ["--kubeconfig", str(self.kubeconfig)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                             env={"PATH": os.environ["PATH"], "HOME": str(self.directory),
                                  **(self.world.environment() if environment is None else environment)})
        for canary in [*self.canaries, "eyJ"]:
            check(canary not in run.stdout + run.stderr, f"{name}: a value or a token stands in the output")
        check("trying connection 1 of 1" in run.stderr, f"{name}: no progress was told: {run.stderr}")
        return run.returncode, json.loads(run.stdout)

    def expect(self, name, objects, failed, says="", word="failed", **options):
        """Steps before the failed one are ok, it says why, those behind it are skipped; only list is tried after a failed get."""
        code, answer = self.run(name, objects, **options)
        check(not answer["faults"], f"{name}: {answer['faults']}")
        check(len(answer["connections"]) == 1, f"{name}: {answer['connections']}")
        steps = {step["step"]: step for step in answer["connections"][0]["steps"]}
        check(tuple(steps) == STEPS, f"{name}: steps are {tuple(steps)}")
        results = [steps[step]["result"] for step in STEPS]
        at = STEPS.index(failed) if failed else len(STEPS)
        expected = ["ok"] * at + ([word] if failed else []) + ["skipped"] * (len(STEPS) - at - 1)
        if failed == "get":
            expected[-1] = "ok"
        messages = [step["message"] for step in steps.values()]
        check(results == expected, f"{name}: {results}, not {expected}: {messages}")
        check(code == (1 if "failed" in results else 0), f"{name}: exit code {code}")
        if failed:
            check(says in steps[failed]["message"], f"{name}: it does not say '{says}': {steps[failed]['message']}")


def each_step(stage):
    stage.prepare()
    environment = stage.world.environment()
    stage.expect("good", stage.manifests(), None)
    stage.expect("dns", stage.manifests(vault="no-such-vault-of-kvsync"), "DNS", "the DNS name was not found",
                 environment={}, kubeconfig=False)
    stage.expect("proxy", stage.manifests(vault="kv-nowhere"), "route", "HTTPS_PROXY answered 502")
    stage.expect("route", stage.manifests(), "route", "no connection",
                 environment={**environment, "HTTPS_PROXY": "http://127.0.0.1:9"})
    stage.expect("tls", stage.manifests(), "TLS", "SSL_CERT_FILE",
                 environment={**environment, "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"})
    stage.expect("account", stage.manifests(account="nobody"), "account", "nobody")
    stage.expect("stranger", stage.manifests(account=stage.stranger), "token", "federated credential")
    stage.expect("application", stage.manifests(clientID=NOBODY), "token", NOBODY)
    stage.expect("get", stage.manifests(clientID=LISTER), "get", "Key Vault Secrets User")
    stage.expect("missing", stage.manifests({"checked": {}, "missing": {}}, ("checked", "missing")), "get", "missing")
    stage.expect("list", stage.manifests(clientID=READER), "list", "Key Vault Secrets User")
    stage.expect("list-not-needed", stage.manifests({"checked": {}}, ("checked",), clientID=READER), "list",
                 "not needed here", word="denied")


def by_principal(stage, apply):
    """The Secret of a service principal takes the place of the service account; `apply` puts an object into the cluster."""
    stage.prepare()
    stage.canaries.update((CREDENTIAL, "not the credential"))
    stage.world.say("identity", clientId=PRINCIPAL, tenant=TENANT, secret=CREDENTIAL)
    stage.world.say("grant", vault="kv-one", clientId=PRINCIPAL, rights={"secrets": ["get", "list"]})
    objects = stage.manifests(clientID=None)
    objects[0]["spec"]["parameters"].pop("clientID")
    objects[0]["spec"]["parameters"]["servicePrincipalSecretName"] = "checked-reader"
    stage.expect("no-credential", objects, "account", "checked-reader")

    def credential(**data):
        apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "checked-reader", "namespace": stage.namespace},
               "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}})

    credential(clientid=PRINCIPAL)
    stage.expect("half-a-credential", objects, "account", "clientsecret")
    credential(clientid=PRINCIPAL, ClientSecret="not the credential")
    stage.expect("wrong-credential", objects, "token", "AADSTS7000215")
    credential(clientid=PRINCIPAL, ClientSecret=CREDENTIAL)
    stage.expect("principal", objects, None)


def without_kubeconfig(stage):
    code, answer = stage.run("half", stage.manifests(), kubeconfig=False)
    steps = answer["connections"][0]["steps"]
    results = [step["result"] for step in steps]
    check(code == 0 and results == ["ok"] * 3 + ["skipped"] * 4, f"exit code {code}: {results}")
    check("--kubeconfig" in steps[3]["message"], "the remedy is not told")

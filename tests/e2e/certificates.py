"""Certificates and keys on a real API server: stories that join those of scenarios.py."""

import base64
import contextlib
import json
import subprocess
import time

from cluster import ClusterError, wait_for
from lab import INTERVAL, VAULTS, Failed, check, spc, sync
from scenarios import scenario
from world import CLIENT

NAMESPACE = "my-namespace"
TLS = "kubernetes.io/tls"


def openssl(*arguments, given):
    done = subprocess.run(["openssl", *arguments], input=given, capture_output=True)
    check(done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr.decode()}")
    return done.stdout


def key_of_certificate(pem):
    """The public key of the first certificate."""
    return openssl("x509", "-noout", "-pubkey", given=pem)


def public_of(pem):
    return openssl("pkey", "-pubout", given=pem)


def blocks(pem):
    """The labels of a PEM text, in order."""
    return [line[11:-5] for line in pem.decode().splitlines() if line.startswith("-----BEGIN ")]


def matches(data, crt="tls.crt", key="tls.key"):
    return key_of_certificate(data[crt]) == public_of(data[key])


def guard(lab, pem):
    """Lines of a private key, which no log may ever show."""
    lab.canaries.update(line for line in pem.decode().split("PRIVATE KEY")[1].splitlines() if len(line) == 64)


def may_read_all(lab):
    lab.world.say("grant", vault=VAULTS[0], clientId=CLIENT, role="Key Vault Certificate User")


def new_certificate(lab, name, **members):
    return lab.world.say("certificate", vault=VAULTS[0], name=name, **members)["version"]


def wait_until(lab, name, what, holds, timeout=30):
    """The Secret's data once holds(data) is true."""
    def reached():
        data = lab.data(name)
        return data if data and holds(data) else None
    try:
        return wait_for(f"Secret {name} to hold {what}", reached, timeout)
    except ClusterError as error:
        raise Failed(f"{error}; {lab.describe(name)}") from None


@contextlib.contextmanager
def watched(lab, *names):
    """Yields a function that tells every state that the API server gave the Secrets meanwhile: [(name, data)]."""
    path = lab.directory / "watched.json"
    command = [lab.cluster.binaries / "kubectl", "--kubeconfig", lab.cluster.kubeconfig, "get", "secrets", "-n", NAMESPACE,
               "--watch", "-o", "json"]
    with open(path, "wb") as out:
        process = subprocess.Popen(list(map(str, command)), stdout=out)

    def states():
        text, at, found = path.read_text(), 0, []
        while at < len(text):
            try:
                one, at = json.JSONDecoder().raw_decode(text, at)
            except ValueError:
                break  # not written to its end yet
            at += len(text[at:]) - len(text[at:].lstrip())
            if one["metadata"]["name"] in names:
                found.append((one["metadata"]["name"], one["data"]))
        return found
    try:
        wait_for("the watch to begin", lambda: {name for name, _ in states()} == set(names), 20)
        yield states
    finally:
        process.kill()
        process.wait()


def states_of(seen, name):
    """The different contents that a Secret had, oldest first."""
    texts = dict.fromkeys(json.dumps(data, sort_keys=True) for one, data in seen if one == name)
    return [{key: base64.b64decode(value) for key, value in json.loads(text).items()} for text in texts]


@scenario
def a_certificate_feeds_a_tls_secret(lab, engine):
    """PKCS#12 and PEM, RSA and EC, by both forms: the key matches, and a new version reaches both keys in one write."""
    may_read_all(lab)
    kinds = {"tls-pfx": {}, "tls-pem": {"pem": True}, "tls-ec": {"type": "EC"}, "tls-ec-pem": {"type": "EC", "pem": True}}
    secrets = [f"{name}-{form}" for name in kinds for form in ("parts", "whole")]
    for name, members in kinds.items():
        new_certificate(lab, name, **members)
    lab.apply(spc("tls", {name: {} for name in kinds}),
              *(sync(f"{name}-parts", "tls", {"tls.crt": f"{name}/tls.crt", "tls.key": f"{name}/tls.key"}, type=TLS)
                for name in kinds),
              *(sync(f"{name}-whole", "tls", {"tls.crt": name, "tls.key": name}, type=TLS) for name in kinds))
    first = {}
    for name in secrets:
        first[name] = data = wait_until(lab, name, "both keys", lambda data: set(data) == {"tls.crt", "tls.key"})
        guard(lab, data["tls.key"])
        form = "EC PRIVATE KEY" if "-ec" in name else "RSA PRIVATE KEY"
        check(blocks(data["tls.crt"]) == ["CERTIFICATE"], f"tls.crt of {name} holds {blocks(data['tls.crt'])}")
        check(blocks(data["tls.key"]) == [form], f"tls.key of {name} holds {blocks(data['tls.key'])}")
        check(matches(data), f"the key of {name} is not its certificate's")
        check(lab.secret(name)["type"] == TLS, f"the type of {name} is wrong")
    for name in kinds:
        check(first[f"{name}-parts"] == first[f"{name}-whole"], f"the two forms differ for {name}")
    with watched(lab, *secrets) as states:
        time.sleep(1.1)  # versions of one second have no order
        for name, members in kinds.items():
            new_certificate(lab, name, **members)
        for name in secrets:
            data = wait_until(lab, name, "the new key", lambda data: data["tls.key"] != first[name]["tls.key"], INTERVAL + 15)
            guard(lab, data["tls.key"])
            check(matches(data), f"the key of {name} is not its new certificate's")
        wait_for("the watch to tell of each change", lambda: all(states_of(states(), name)[1:] for name in secrets), 20)
        seen = states()
    for name in secrets:
        held = states_of(seen, name)
        check(len(held) == 2, f"{name} had {len(held)} states, not the old and the new one")
        check(all(map(matches, held)), f"{name} held the key of one version beside the certificate of another")


@scenario
def a_certificate_in_an_opaque_secret(lab, engine):
    """Whole it is private key and certificate as PEM; objectFormat and objectEncoding give the bytes of a .pfx file."""
    may_read_all(lab)
    new_certificate(lab, "opaque-pfx")
    lab.apply(spc("opaque", {"opaque-pfx": {}}),
              spc("opaque-bytes", {"opaque-pfx": {"objectFormat": "pfx", "objectEncoding": "base64"}}),
              sync("opaque", "opaque", {"both": "opaque-pfx", "crt": "opaque-pfx/tls.crt", "key": "opaque-pfx/tls.key"}),
              sync("opaque-bytes", "opaque-bytes", {"store.pfx": "opaque-pfx"}))
    data = wait_until(lab, "opaque", "three keys", lambda data: len(data) == 3)
    guard(lab, data["key"])
    check(blocks(data["both"]) == ["PRIVATE KEY", "CERTIFICATE"], f"both holds {blocks(data['both'])}")
    check(data["both"] == data["key"] + data["crt"], "the parts are not the whole")
    check(matches(data, "crt", "key"), "the key is not the certificate's")
    store = wait_until(lab, "opaque-bytes", "a file", lambda data: "store.pfx" in data)["store.pfx"]
    text = openssl("pkcs12", "-nodes", "-legacy", "-passin", "pass:", given=store)
    check(public_of(text) == public_of(data["key"]), "the file holds another key")


@scenario
def keys_and_certificates_have_public_forms(lab, engine):
    """objectType key gives the public key, cert the certificate alone; both follow a rotation, and a key's part is refused."""
    may_read_all(lab)
    new_certificate(lab, "public-cert")
    for name, kind in (("public-rsa", "RSA"), ("public-ec", "EC")):
        lab.world.say("key", vault=VAULTS[0], name=name, type=kind)
    lab.apply(spc("public", {"public-rsa": {"objectType": "key"}, "public-ec": {"objectType": "key"},
                             "public-cert": {"objectType": "cert"}}),
              spc("public-of", {"public-cert": {"objectType": "key"}}),
              sync("public", "public", {"rsa": "public-rsa", "ec": "public-ec", "crt": "public-cert"}),
              sync("public-of", "public-of", {"pub": "public-cert"}),
              sync("public-none", "public", {"key": "public-cert/tls.key"}))
    first = wait_until(lab, "public", "three keys", lambda data: len(data) == 3)
    for key, kind in (("rsa", b"Modulus:"), ("ec", b"NIST CURVE: P-256")):
        check(blocks(first[key]) == ["PUBLIC KEY"], f"{key} holds {blocks(first[key])}")
        text = openssl("pkey", "-pubin", "-noout", "-text", given=first[key])
        check(kind in text, f"{key} is another kind of key: {text.decode()}")
    check(blocks(first["crt"]) == ["CERTIFICATE"], f"crt holds {blocks(first['crt'])}")
    data = wait_until(lab, "public-of", "a key", lambda data: "pub" in data)
    check(data["pub"] == key_of_certificate(first["crt"]), "the public key is not the certificate's")
    message = lab.wait_reason("public-none", "UserInputValidationFailed")["message"]
    check("private key" in message and "objectType: secret" in message, message)
    check(lab.secret("public-none") is None, "a Secret was made without its key")
    time.sleep(1.1)  # versions of one second have no order
    for name, kind in (("public-rsa", "RSA"), ("public-ec", "EC")):
        lab.world.say("key", vault=VAULTS[0], name=name, type=kind)
    new_certificate(lab, "public-cert")
    second = wait_until(lab, "public", "three new values", lambda data: all(data[key] != first[key] for key in first),
                        INTERVAL + 15)
    wait_until(lab, "public-of", "the new public key", lambda data: data["pub"] == key_of_certificate(second["crt"]),
               INTERVAL + 15)

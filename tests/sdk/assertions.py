"""Service account tokens as a cluster would issue them: an RSA key, its JWKS, and signed assertions.

The openssl program does the cryptography, so that nothing has to be installed for Python.
"""
import base64
import json
import pathlib
import subprocess
import time
import uuid


def _openssl(*arguments, data=None):
    return subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=True).stdout


def _base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """An issuer with one key. Its private part lives in `directory`."""

    def __init__(self, directory, name, issuer):
        self.issuer = issuer
        self.key = pathlib.Path(directory) / f"{name}.key"
        _openssl("genrsa", "-out", self.key, "2048")
        self.key.chmod(0o600)
        self.kid = _base64url(uuid.uuid4().bytes)

    def jwks(self):
        modulus = _openssl("rsa", "-in", self.key, "-noout", "-modulus").decode().strip().partition("=")[2]
        return {"keys": [{"use": "sig", "kty": "RSA", "kid": self.kid, "alg": "RS256",
                          "n": _base64url(bytes.fromhex(modulus)), "e": "AQAB"}]}

    def sign(self, subject, audience, kid=None, issued=None, seconds=3600, issuer=None):
        """A signed assertion; `kid` lets one key pretend to be another."""
        issued = int(issued if issued is not None else time.time())
        claims = {"aud": [audience], "exp": issued + seconds, "iat": issued, "nbf": issued,
                  "iss": issuer or self.issuer, "sub": subject, "jti": str(uuid.uuid4())}
        parts = ({"alg": "RS256", "kid": kid or self.kid}, claims)
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in parts)
        signature = _openssl("dgst", "-sha256", "-sign", self.key, data=signed.encode())
        return f"{signed}.{_base64url(signature)}"


def write_all(directory, scene):
    """Writes NAME.jwt for every identity of the scene, and some that Entra has to refuse. Returns the JWKS."""
    directory = pathlib.Path(directory)
    directory.mkdir(mode=0o700, exist_ok=True)
    good = Issuer(directory, "issuer", scene["issuer"])
    other = Issuer(directory, "other", scene["issuer"])
    audience = scene["audience"]
    subject = scene["identities"]["officer"]["subject"]
    tokens = {name: good.sign(identity["subject"], audience) for name, identity in scene["identities"].items()}
    tokens["other-issuer"] = good.sign(subject, audience, issuer=scene["issuer"].rstrip("/"))
    tokens["other-audience"] = good.sign(subject, "https://kubernetes.default.svc")
    tokens["expired"] = good.sign(subject, audience, issued=time.time() - 7200)
    tokens["other-key"] = other.sign(subject, audience, kid=good.kid)
    for name, token in tokens.items():
        path = directory / f"{name}.jwt"
        path.touch(mode=0o600)
        path.write_text(token, encoding="ascii")
    return good.jwks()

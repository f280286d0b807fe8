"""The local world judged by azure-identity and azure-keyvault-secrets, used as they come.

They reach https://NAME.vault.azure.net and https://login.microsoftonline.com through the world's proxy
(HTTPS_PROXY) and trust its certificate authority (REQUESTS_CA_BUNDLE); tests/sdk/run sets both.
"""
import base64
import json
import logging
import os
import time
import unittest

from azure.core.exceptions import (
    ClientAuthenticationError, HttpResponseError, ResourceExistsError, ResourceNotFoundError)
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import WorkloadIdentityCredential
from azure.keyvault.secrets import SecretClient
from cryptography.hazmat.primitives.serialization import pkcs12

with open(os.environ["KVSYNC_SDK_SCENE"], encoding="utf-8") as file:
    SCENE = json.load(file)
TOKENS = os.environ["KVSYNC_SDK_TOKENS"]
logging.getLogger("azure").addHandler(logging.NullHandler())  # refusals are what is wanted here


class Recorder(RequestsTransport):
    """The SDK's own transport; keeps each try's status, headers, and whether it carried a token."""

    def __init__(self):
        super().__init__()
        self.tries = []

    def send(self, request, **options):
        response = super().send(request, **options)
        self.tries.append((response.status_code, "Authorization" in request.headers, response.headers))
        return response

    def statuses(self):
        return [status for status, _, _ in self.tries]


def credential(identity, assertion=None):
    return WorkloadIdentityCredential(
        tenant_id=SCENE["tenant"], client_id=SCENE["identities"][identity]["client"],
        token_file_path=os.path.join(TOKENS, (assertion or identity) + ".jwt"))


def client(vault="main", identity="officer", **options):
    options.setdefault("retry_total", 0)
    url = f"https://{SCENE['vaults'][vault]['name']}.vault.azure.net"
    return SecretClient(url, credential(identity), **options)


def unique(stem):
    return f"py-{stem}-{time.time_ns():x}"


class World(unittest.TestCase):
    def refused(self, raised, status, code, inner=None):
        """What the SDK surfaces of a service error: status, code, innermost code."""
        error = raised.exception
        self.assertEqual(error.status_code, status)
        body = json.loads(error.response.text())["error"]
        self.assertEqual(body["code"], code)
        self.assertEqual(body.get("innererror", {}).get("code"), inner)
        self.assertTrue(body["message"])
        return body["message"]


class Secrets(World):
    def test_challenge(self):
        seen = Recorder()
        # A vault of its own: the SDK keeps challenges per vault for the whole process.
        with client("fresh", transport=seen) as vault:
            name = unique("challenge")
            written = vault.set_secret(name, "after the challenge")
            self.assertEqual([(status, token) for status, token, _ in seen.tries], [(401, False), (200, True)])
            self.assertIn(f'authorization="https://login.microsoftonline.com/{SCENE["tenant"]}"',
                          seen.tries[0][2]["WWW-Authenticate"])
            self.assertRegex(written.properties.version, "^[0-9a-f]{32}$")
            self.assertEqual(vault.get_secret(name).value, "after the challenge")
            self.assertEqual(seen.statuses(), [401, 200, 200])

    def test_get(self):
        with client() as vault:
            name = unique("get")
            odd = "nul \x00, crlf \r\n, \u5bc6\u94a5 \U0001f511"
            first = vault.set_secret(name, odd, content_type="text/plain", tags={"team": "a"})
            vault.set_secret(name, "two")
            self.assertEqual(vault.get_secret(name).value, "two")
            again = vault.get_secret(name, first.properties.version)
            self.assertEqual(again.value, odd)
            self.assertEqual(again.properties.content_type, "text/plain")
            self.assertEqual(again.properties.tags, {"team": "a"})
            self.assertTrue(again.properties.enabled)
            self.assertEqual(again.properties.recoverable_days, 90)
            self.assertLess(abs(again.properties.created_on.timestamp() - time.time()), 60)
            self.assertIsNone(again.properties.expires_on)

    def test_versions_in_pages(self):
        with client() as vault:
            name = unique("many")
            written = {vault.set_secret(name, f"value {i}").properties.version for i in range(30)}
            pages = [[row.version for row in page]
                     for page in vault.list_properties_of_secret_versions(name).by_page()]
            listed = [version for page in pages for version in page]
            self.assertGreaterEqual(len(pages), 2)
            self.assertEqual(set(listed), written)
            self.assertEqual(listed, sorted(listed))
            self.assertEqual(list(vault.list_properties_of_secret_versions("no-such-secret")), [])

    def test_list_in_pages(self):
        with client() as vault:
            names = {unique(f"row-{i:02}") for i in range(30)}
            for name in names:
                vault.set_secret(name, "v")
            pages = [[row.name for row in page] for page in vault.list_properties_of_secrets().by_page()]
            self.assertTrue(all(len(page) <= 25 for page in pages))
            listed = [name for page in pages for name in page]
            self.assertLessEqual(names, set(listed))
            self.assertEqual(len(listed), len(set(listed)))
            small = next(iter(vault.list_properties_of_secrets(max_page_size=3).by_page()))
            self.assertLessEqual(len(list(small)), 3)

    def test_disabled(self):
        with client() as vault:
            name = unique("disabled")
            vault.set_secret(name, "v", enabled=False)
            with self.assertRaises(HttpResponseError) as raised:
                vault.get_secret(name)
            self.refused(raised, 403, "Forbidden", "SecretDisabled")

    def test_forbidden(self):
        with client(identity="nobody") as vault, self.assertRaises(HttpResponseError) as raised:
            vault.get_secret("any")
        self.refused(raised, 403, "Forbidden", "ForbiddenByRbac")

    def test_not_found(self):
        with client(identity="reader") as vault, self.assertRaises(ResourceNotFoundError) as raised:
            vault.get_secret("no-such-secret")
        self.assertIn("no-such-secret", self.refused(raised, 404, "SecretNotFound"))

    def test_delete_and_recover(self):
        with client() as vault:
            name = unique("gone")
            vault.set_secret(name, "v")
            # The poller waits until the deleted secret shows, then until the recovered one does.
            deleted = vault.begin_delete_secret(name).result()
            self.assertEqual((deleted.scheduled_purge_date - deleted.deleted_date).days, 90)
            with self.assertRaises(ResourceNotFoundError):
                vault.get_secret(name)
            self.wait_deleted(vault, name)
            with self.assertRaises(ResourceExistsError) as raised:
                vault.set_secret(name, "w")
            self.refused(raised, 409, "Conflict", "ObjectIsDeletedButRecoverable")
            vault.begin_recover_deleted_secret(name).wait()
            self.assertEqual(vault.get_secret(name).value, "v")

    def wait_deleted(self, vault, name):
        for _ in range(80):
            try:
                return vault.get_deleted_secret(name)
            except ResourceNotFoundError:
                time.sleep(0.5)
        return self.fail(f"{name} never showed among the deleted secrets")

    def test_certificate_as_secret(self):
        with client() as vault:
            secret = vault.get_secret(SCENE["certificates"]["pfx"])
            self.assertEqual(secret.properties.content_type, "application/x-pkcs12")
            key, certificate, chain = pkcs12.load_key_and_certificates(base64.b64decode(secret.value), None)
            self.assertEqual(key.public_key(), certificate.public_key())
            self.assertEqual(chain, [])
            self.assertEqual(secret.properties.expires_on.timestamp(), certificate.not_valid_after_utc.timestamp())

    def test_throttled(self):
        seen = Recorder()
        with client("tight") as vault:
            name = unique("hot")
            with self.assertRaises(HttpResponseError) as raised:
                vault.set_secret(name, "v")
                for _ in range(50):
                    vault.get_secret(name)
            self.refused(raised, 429, "Throttled")
            self.assertNotIn("Retry-After", raised.exception.response.headers)
        # The SDK's own retries outlive the window of 10 s.
        with client("tight", retry_total=8, retry_status=8, retry_backoff_factor=1, retry_backoff_max=4,
                    transport=seen) as vault:
            try:
                vault.get_secret(name)
            except ResourceNotFoundError:  # the write was among the refused ones
                pass
        self.assertIn(429, seen.statuses())
        self.assertIn(seen.statuses()[-1], (200, 404))


class Entra(World):
    SCOPE = "https://vault.azure.net/.default"

    def test_token(self):
        token = credential("officer").get_token(self.SCOPE)
        self.assertGreater(len(token.token), 100)
        self.assertAlmostEqual(token.expires_on - time.time(), 3599, delta=30)

    def test_errors(self):
        for assertion, code in (("reader", "AADSTS700213"), ("other-issuer", "AADSTS700211"),
                                ("other-audience", "AADSTS700212"), ("expired", "AADSTS700024")):
            with self.subTest(assertion), self.assertRaises(ClientAuthenticationError) as raised:
                credential("officer", assertion).get_token(self.SCOPE)
            self.assertIn(code, str(raised.exception))


if __name__ == "__main__":
    unittest.main()

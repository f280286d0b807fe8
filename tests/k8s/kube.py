"""A Kubernetes API server as raw HTTP/1.1 requests, by what a kubeconfig says: server, CA, client
certificate or token. Nothing here interprets an answer."""

import base64
import http.client
import json
import re
import ssl
import tempfile
import urllib.parse


def parse_yaml_block(text):
    """The block YAML that kubeconfigs are written in: maps, lists of maps, one-line scalars. A
    kubeconfig that is JSON is read as such."""
    if text.lstrip().startswith("{"):
        return json.loads(text)
    lines = []
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            # "- key: value" is a map that starts two columns further right.
            while match := re.match(r"( *)- (.*)", line):
                lines.append((len(match[1]), "-"))
                line = match[1] + "  " + match[2]
            lines.append((len(line) - len(line.lstrip()), line.strip()))
    value, rest = _parse_node(lines)
    if rest:
        raise ValueError(f"kubeconfig: cannot read {rest[0][1]!r}")
    return value


def _parse_node(lines):
    indent, first = lines[0]
    result = [] if first == "-" else {}
    while lines and lines[0][0] == indent and (lines[0][1] == "-") == (first == "-"):
        text, lines = lines[0][1], lines[1:]
        if text == "-":
            value, lines = _parse_node(lines)
            result.append(value)
            continue
        key, _, scalar = text.partition(":")
        if scalar.strip():
            result[key] = scalar.strip().strip("\"'")
        elif lines and (lines[0][0] > indent or lines[0] == (indent, "-")):
            result[key], lines = _parse_node(lines)
        else:
            result[key] = None
    return result, lines


def _named(entries, name):
    for entry in entries or []:
        if entry["name"] == name:
            return next(value for key, value in entry.items() if key != "name")
    raise ValueError(f"kubeconfig: it names {name!r} and does not define it")


def _content(entry, key):
    """What KEY-data or the file KEY holds; None if the entry has neither."""
    if key + "-data" in entry:
        return base64.b64decode(entry[key + "-data"])
    if key not in entry:
        return None
    with open(entry[key], "rb") as file:
        return file.read()


class Identity:
    """Which server, and who asks: a client certificate (PEM, with its key), a token, nobody."""

    def __init__(self, host, port, ca, certificate=None, token=None):
        self.host, self.port, self.ca, self.token = host, port, ca, token
        self.tls = ssl.create_default_context(cadata=ca)
        if certificate:
            with tempfile.NamedTemporaryFile() as file:
                file.write(certificate)
                file.flush()
                self.tls.load_cert_chain(file.name)

    @classmethod
    def from_kubeconfig(cls, path):
        with open(path, encoding="utf-8") as file:
            config = parse_yaml_block(file.read())
        context = _named(config["contexts"], config["current-context"])
        cluster = _named(config["clusters"], context["cluster"])
        user = _named(config["users"], context["user"])
        url = urllib.parse.urlsplit(cluster["server"])
        certificate = _content(user, "client-certificate")
        if certificate:
            certificate += b"\n" + _content(user, "client-key")
        token = user.get("token")
        if "tokenFile" in user:
            with open(user["tokenFile"], encoding="ascii") as file:
                token = file.read().strip()
        return cls(url.hostname, url.port or 443,
                   _content(cluster, "certificate-authority").decode(), certificate, token)

    def with_token(self, token):
        """The same server, asked with this token alone (None: with nothing)."""
        return Identity(self.host, self.port, self.ca, token=token)

    def open(self, method, path, headers=None, body=None, timeout=30):
        """Send one request on a connection of its own; returns connection and response."""
        connection = http.client.HTTPSConnection(self.host, self.port, context=self.tls,
                                                 timeout=timeout)
        headers = dict(headers or {})
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        connection.request(method, path, body=body, headers=headers)
        return connection, connection.getresponse()

    def request(self, method, path, headers=None, body=None):
        """Send one request; returns status, headers and body. The headers' names are in lower case,
        the values of one that came several times sorted and joined by line breaks."""
        connection, response = self.open(method, path, headers, body)
        try:
            headers = {}
            for name, value in sorted(response.getheaders()):
                headers.setdefault(name.lower(), []).append(value)
            return (response.status, {name: "\n".join(values) for name, values in headers.items()},
                    response.read())
        finally:
            connection.close()

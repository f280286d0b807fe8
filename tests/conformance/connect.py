#!/usr/bin/env python3
"""tests/conformance/connect.py KVSYNC KVSYNC_WORLD: `kvsync check --connect` against the local vaults and Kubernetes API."""

import json
import pathlib
import ssl
import sys
import tempfile
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import connecting  # noqa: E402
from world import World, seed  # noqa: E402

ISSUER = "https://kubernetes.default.svc"


def put(world, path, body):
    """Creates an object anew."""
    context = ssl.create_default_context(cafile=world.facts["caFile"])
    context.load_cert_chain(world.directory / "admin.pem", world.directory / "admin-key.pem")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    url = f"{world.facts['kubeUrl']}/api/v1/namespaces/default/{path}"
    for method, where, data in (("DELETE", f"{url}/{body['metadata']['name']}", None), ("POST", url, json.dumps(body).encode())):
        request = urllib.request.Request(where, data, {"Content-Type": "application/json"}, method=method)
        try:
            with opener.open(request, timeout=10):
                pass
        except urllib.error.HTTPError as error:
            if method != "DELETE" or error.code != 404:
                raise


def create_account(world, name):
    put(world, "serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})


def main():
    program, world_program = (str(pathlib.Path(name).resolve()) for name in sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix="kvsync-connect-") as folder:
        directory = pathlib.Path(folder)
        given = seed(ISSUER, "", ["system:serviceaccount:default:account"], ["kv-one"])
        del given["issuers"]  # the local API server's is known
        with World(directory / "world", binary=world_program, seed=given, arguments=()) as world:
            for name in ("account", "stranger"):
                create_account(world, name)
            stage = connecting.Stage(
                program=program, directory=directory, world=world, kubeconfig=world.facts["kubeconfig"], issuer=ISSUER,
                namespace="default", account="account", stranger="stranger", canaries=set())
            connecting.each_step(stage)
            connecting.without_kubeconfig(stage)
            connecting.by_principal(stage, lambda one: put(world, "secrets", one))
    print("connect: every step was named")
    return 0


if __name__ == "__main__":
    sys.exit(main())

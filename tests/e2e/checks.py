"""Stories of `kvsync check --connect` on a real API server."""

import os

import connecting
from identities import role
from legs import leg


def stage_of(lab):
    return connecting.Stage(
        program=os.environ.get("KVSYNC", "build/release/kvsync"), directory=lab.directory, world=lab.world,
        kubeconfig=lab.kubeconfig, issuer=lab.cluster.issuer, namespace="my-namespace", account="my-service-account",
        stranger="default", canaries=lab.canaries)


@leg
def check_connect_names_the_step(lab):
    """DNS, route, TLS, account, token, get, list: each made to fail, and named with its remedy."""
    connecting.each_step(stage_of(lab))


@leg
def check_connect_by_a_service_principal(lab):
    """The Secret with the credential is read as the one who checks may read it; each thing wrong with it is named."""
    connecting.by_principal(stage_of(lab), lambda one: lab.apply(*role("checked-reader"), one))


@leg
def check_without_a_kubeconfig(lab):
    """Without a kubeconfig the way to the vault is tried, and no token is asked for."""
    connecting.without_kubeconfig(stage_of(lab))

"""Other identities and clouds on a real API server: stories that join those of legs.py."""

import json

from cluster import ClusterError
from lab import CONFIG, VAULTS, check, spc, sync
from legs import leg
from world import TENANT

NAMESPACE = "my-namespace"
PRINCIPAL = "0f0c0001-5d1e-4c8b-8f0a-5e1d9b3a7099"
SECRET = "the principal's s3cret~/+="


def as_principal(name, objects, **parameters):
    one = spc(name, objects, **parameters)
    one["spec"]["parameters"].pop("clientID")
    one["spec"]["parameters"]["servicePrincipalSecretName"] = "vault-reader"
    return one


def credential(secret):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vault-reader", "namespace": NAMESPACE},
            "stringData": {"clientid": PRINCIPAL, "ClientSecret": secret}}


def role(secret="vault-reader"):
    meta = {"name": f"kvsync-{secret}", "namespace": NAMESPACE}
    group = "rbac.authorization.k8s.io"
    return [{"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": [
                {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret], "verbs": ["get"]}]},
            {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": meta,
             "roleRef": {"apiGroup": group, "kind": "Role", "name": meta["name"]},
             "subjects": [{"kind": "ServiceAccount", "name": "kvsync", "namespace": "azure-secret-store"}]}]


def says(lab, name, reason, *parts):
    lab.wait_reason(name, reason)
    message = lab.condition(name)["message"]
    for part in parts:
        check(part in message, f"{part!r} is not in: {message}")


@leg
def a_service_principal_needs_its_role(lab):
    """Without the Role the condition names it; with it a client secret opens the vault; a wrong one is told apart."""
    lab.canaries.update((SECRET, "not the secret at all"))
    lab.world.say("identity", clientId=PRINCIPAL, tenant=TENANT, secret=SECRET)
    lab.world.say("grant", vault=VAULTS[0], clientId=PRINCIPAL, role="Key Vault Secrets User")
    lab.put("by-principal", "read by a client secret")
    lab.apply(as_principal("by-principal", {"by-principal": {}}), sync("by-principal", "by-principal", {"k": "by-principal"}),
              credential("not the secret at all"))
    with lab.engine() as engine:
        says(lab, "by-principal", "ControllerSpcError", "may not read Secret my-namespace/vault-reader",
             "resourceNames [vault-reader]", "verbs [get]")
        lab.apply(*role())
        says(lab, "by-principal", "CreateFailedProviderError", "AADSTS7000215", "clientsecret")
        lab.apply(credential(SECRET))
        lab.wait_data("by-principal", {"k": "read by a client secret"}, timeout=100)
        try:
            lab.cluster.kubectl("auth", "can-i", "get", "secret/by-principal", "-n", NAMESPACE,
                                "--as", "system:serviceaccount:azure-secret-store:kvsync")
            check(False, "kvsync may read another Secret")
        except ClusterError:
            pass
        lab.check_no_leak(engine.log())


@leg
def a_custom_cloud_is_a_file_of_one_folder(lab):
    """A class with a cloud of its own is served by its file; one that leads out of the folder is refused."""
    folder = lab.directory / "clouds"
    folder.mkdir()
    cloud = {"name": "AzureStackCloud", "activeDirectoryEndpoint": "https://login.microsoftonline.com/",
             "keyVaultEndpoint": "https://vault.azure.net/", "keyVaultDNSSuffix": "vault.azure.net"}
    (folder / "own.json").write_text(json.dumps(cloud))
    (lab.directory / "outside.json").write_text(json.dumps(cloud))
    (folder / "link.json").symlink_to(lab.directory / "outside.json")
    lab.put("own-cloud", "from a cloud of its own")
    for name, path in (("own-cloud", "own.json"), ("linked-cloud", "link.json"), ("upward-cloud", "../outside.json")):
        lab.apply(spc(name, {"own-cloud": {}}, cloudName="AzureStackCloud", cloudEnvFileName=path),
                  sync(name, name, {"k": "own-cloud"}))
    lab.apply(spc("node", {"own-cloud": {}}, useVMManagedIdentity="true"), sync("node", "node", {"k": "own-cloud"}))
    with lab.engine(CONFIG + f"cloudEnvironmentFolder: {folder}\nmanagedIdentityNamespaces: [elsewhere]\n"):
        lab.wait_data("own-cloud", {"k": "from a cloud of its own"})
        says(lab, "linked-cloud", "ControllerSpcError", "is a link out of")
        says(lab, "upward-cloud", "ControllerSpcError", "does not stand below")
        says(lab, "node", "ControllerSpcError", "may not use the managed identity", "managedIdentityNamespaces")

#!/usr/bin/env python3
"""deploy/chart by Helm on a real API server: it installs what the plain manifests install, and its end takes nothing that
users have: CRDs, SecretSyncs and Secrets stay. Deleting the CRD, as users are told, takes the Secrets."""

import json
import os
import pathlib
import subprocess
import tempfile

from cluster import DRIFT_WATCH, HERE, MANIFESTS, POLICIES, ROOT, SKIPPED, Cluster, ClusterError, NoGo, run_test, wait_for
from lab import Failed, Lab, spc, sync

CHART = ROOT / "deploy" / "chart"
NAMESPACE = "azure-secret-store"
POLICY_API = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"


def check(what, good, detail=""):
    if not good:
        raise ClusterError(f"{what}: {detail}")
    print(f"chart: {what}: ok", flush=True)


class Helm:
    def __init__(self):
        done = subprocess.run([HERE / "build-helm"], stdout=subprocess.PIPE, text=True)
        if done.returncode == SKIPPED:
            raise NoGo("no Go to build Helm with, see above")
        if done.returncode:
            raise ClusterError("tests/e2e/build-helm failed, see above")
        self.program = done.stdout.strip()
        self.home = tempfile.TemporaryDirectory(prefix="kvsync-helm-")

    def __call__(self, *arguments, kubeconfig=None):
        environment = {**os.environ, "HELM_CACHE_HOME": self.home.name, "HELM_CONFIG_HOME": self.home.name,
                       "HELM_DATA_HOME": self.home.name}
        if kubeconfig:
            environment["KUBECONFIG"] = str(kubeconfig)
        done = subprocess.run([self.program, *map(str, arguments)], env=environment, capture_output=True, text=True)
        if done.returncode:
            raise ClusterError(f"helm {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def render(self, *arguments, namespace=NAMESPACE, version="1.36.0", policies=True):
        api = ["--api-versions", POLICY_API] if policies else []
        return self("template", "kvsync", CHART, "-n", namespace, "--kube-version", version, *api, *arguments)


def objects(cluster, text):
    """Documents by kind and name, as kubectl reads them."""
    found = {}
    decoder = json.JSONDecoder()
    rest = cluster.kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-", input=text)
    while rest := rest.lstrip():
        value, end = decoder.raw_decode(rest)
        rest = rest[end:]
        for one in value.get("items", [value]):
            found[one["kind"], one["metadata"]["name"]] = one
    return found


def same_as_the_manifests(helm, cluster):
    rendered = objects(cluster, helm.render("--include-crds"))
    paths = [*MANIFESTS.glob("*.yaml"), *POLICIES.glob("*.yaml")]
    plain = objects(cluster, "\n---\n".join(path.read_text() for path in sorted(paths)))
    plain.pop(("Namespace", NAMESPACE))
    own = {("ConfigMap", "kvsync"), ("Deployment", "kvsync")}
    check("it has what the manifests have, a configuration and a Deployment, and nothing else",
          set(rendered) == set(plain) | own, set(rendered) ^ (set(plain) | own))
    differing = [key for key, one in plain.items() if rendered[key] != one]
    check("each is equal to the manifests' own", not differing, differing)


def its_variants(helm, cluster):
    other = objects(cluster, helm.render("--include-crds", namespace="elsewhere"))
    left = [key for key, one in other.items() if "system:serviceaccount:azure-secret-store" in json.dumps(one)
            or f'"namespace": "{NAMESPACE}"' in json.dumps(one)]
    check("another namespace is taken everywhere", not left, left)
    old = objects(cluster, helm.render(version="1.27.0", policies=False))
    check("a server without admission policies gets none", not [key for key in old if "Policy" in key[0]], set(old))
    off = objects(cluster, helm.render("--set", "validatingAdmissionPolicies.applyPolicies=false"))
    check("policies can be left out", not [key for key in off if "Policy" in key[0]], set(off))
    watch = objects(cluster, helm.render("--include-crds", "--set", "config.driftDetection=watch"))
    plain = objects(cluster, (DRIFT_WATCH / "rbac.yaml").read_text())
    usual = objects(cluster, helm.render("--include-crds"))
    check("driftDetection: watch brings the right to watch Secrets, and nothing else does",
          set(watch) - set(usual) == set(plain) and all(watch[key] == one for key, one in plain.items()),
          set(watch) ^ set(usual))
    moved = objects(cluster, helm.render("--set", "config.driftDetection=watch", namespace="elsewhere"))
    check("that right goes to the account in another namespace, too",
          moved["ClusterRoleBinding", "kvsync-drift-watch"]["subjects"][0]["namespace"] == "elsewhere", moved)
    try:
        helm.render(version="1.26.0")
        check("a server that is too old is refused", False, "it was rendered")
    except ClusterError as error:
        check("a server that is too old is refused", "kubeVersion" in str(error), error)
    pod = objects(cluster, helm.render(
        "--set", "config.rotationPollIntervalInSeconds=60,config.statusPort=9000,podLabels.team=a,podAnnotations.note=b,"
        "image.repository=registry.example/kvsync,image.digest=sha256:abc,env[0].name=HTTPS_PROXY,env[0].value=p,"
        "tolerations[0].operator=Exists,imagePullSecrets[0].name=pull"))
    template = pod["Deployment", "kvsync"]["spec"]["template"]
    container = template["spec"]["containers"][0]
    check("values reach the pod", container["image"] == "registry.example/kvsync@sha256:abc"
          and container["env"] == [{"name": "HTTPS_PROXY", "value": "p"}]
          and container["ports"][0]["containerPort"] == 9000
          and template["metadata"]["labels"]["team"] == "a" and template["metadata"]["annotations"]["note"] == "b"
          and template["spec"]["tolerations"] == [{"operator": "Exists"}]
          and template["spec"]["imagePullSecrets"] == [{"name": "pull"}], template)
    return pod["ConfigMap", "kvsync"]["data"]["config.yaml"]


def its_pod(helm, cluster, *settings):
    spec = objects(cluster, helm.render("--set-json", ",".join(settings)))["Deployment", "kvsync"]["spec"]["template"]["spec"]
    return spec, spec["containers"][0]


def what_the_pod_follows(helm, cluster):
    spec, container = its_pod(helm, cluster, "config.workers=2")
    check("by default it has the status port, probes and 30 s to end", container["ports"][0]["containerPort"] == 8081
          and "livenessProbe" in container and spec["terminationGracePeriodSeconds"] == 30, spec)
    spec, container = its_pod(helm, cluster, "config.statusPort=0", "config.shutdownGraceInSeconds=0")
    check("without a status port there is none, and no probe", not {"ports", "livenessProbe", "readinessProbe"} & set(container),
          container)
    local = its_pod(helm, cluster, 'config.statusAddress="127.0.0.1"')[1]
    check("nor where only the pod itself can reach it", not {"ports", "livenessProbe", "readinessProbe"} & set(local), local)
    check("a grace of 0 leaves time to end", spec["terminationGracePeriodSeconds"] == 10, spec)
    spec, container = its_pod(helm, cluster, "config.shutdownGraceInSeconds=600",
                              'volumes=[{"name": "ca", "configMap": {"name": "my-ca"}}]',
                              'volumeMounts=[{"name": "ca", "mountPath": "/etc/ca", "readOnly": true}]')
    check("the pod gets longer than kvsync's grace", spec["terminationGracePeriodSeconds"] == 610, spec)
    check("volumes come beside kvsync's own", [one["name"] for one in spec["volumes"]] == ["config", "ca"]
          and [one["mountPath"] for one in container["volumeMounts"]] == ["/etc/kvsync", "/etc/ca"], spec)


def wrong_values_are_refused(helm):
    for setting, word in (("configs.workers=2", "configs"), ("replicas=2", "replicas"), ("config.workers=0", "/config/workers"),
                          ("config.rotationPollInterval=5", "rotationPollInterval"), ("config.statusPort=65536", "statusPort"),
                          ("config.logLevel=loud", "logLevel"), ("image.repo=x", "repo")):
        try:
            helm.render("--set", setting)
        except ClusterError as error:
            check(f"{setting} is refused by name", word in str(error), error)
        else:
            check(f"{setting} is refused by name", False, "it was rendered")


def configuration_is_understood(text):
    program = pathlib.Path(os.environ.get("KVSYNC", ROOT / "build/release/kvsync"))
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        done = subprocess.run([program, "config", "--config", file.name], capture_output=True, text=True)
    check("kvsync understands the configuration", done.returncode == 0
          and "rotationPollIntervalInSeconds: 60\n" in done.stdout, done.stderr)


def life(helm, directory):
    """Install, sync, upgrade, uninstall, install again, and at last the CRD goes."""
    def install(cluster):
        helm("install", "kvsync", CHART, "-n", NAMESPACE, "--create-namespace", kubeconfig=cluster.kubeconfig)
    with Lab(directory / "lab", crds=[], install=install) as lab:
        cluster = lab.cluster
        lab.put("kept", "kept by uninstalling")
        with lab.engine() as engine:
            engine.wait_for_line("ready")
            lab.apply(spc("kept", {"kept": {}}), sync("kept", "kept", {"k": "kept"}))
            lab.wait_data("kept", {"k": "kept by uninstalling"})
            lab.wait_reason("kept", "UpdateNoValueChangeSucceeded")
        version = lab.secret("kept")["metadata"]["resourceVersion"]
        before = cluster.get("deployment", "kvsync", "-n", NAMESPACE)["spec"]["template"]["metadata"]["annotations"]
        helm("upgrade", "kvsync", CHART, "-n", NAMESPACE, "--set", "config.workers=2", kubeconfig=cluster.kubeconfig)
        after = cluster.get("deployment", "kvsync", "-n", NAMESPACE)["spec"]["template"]["metadata"]["annotations"]
        check("another configuration starts another pod", before != after, after)
        helm("uninstall", "kvsync", "-n", NAMESPACE, kubeconfig=cluster.kubeconfig)
        gone = cluster.kubectl("get", "clusterrole,clusterrolebinding,validatingadmissionpolicy,"
                               "validatingadmissionpolicybinding", "-o", "name")
        check("rights and policies are gone", "kvsync" not in gone, gone)
        gone = cluster.kubectl("get", "deployment,configmap,serviceaccount,role", "-n", NAMESPACE, "-o", "name")
        check("the process is gone", "kvsync" not in gone, gone)
        lab.sync("kept")
        check("Secrets, SecretSyncs and CRDs stay", lab.secret("kept")["metadata"]["resourceVersion"] == version)
        install(cluster)
        lab.kubeconfig = cluster.kubeconfig_for_serviceaccount(NAMESPACE, "kvsync", as_file=True)
        with lab.engine() as engine:
            engine.wait_for_line("ready")
            lab.apply(sync("another", "kept", {"k": "kept"}))
            lab.wait_data("another", {"k": "kept by uninstalling"})
        check("installed again it goes on, and rewrites nothing",
              lab.secret("kept")["metadata"]["resourceVersion"] == version)
        helm("uninstall", "kvsync", "-n", NAMESPACE, kubeconfig=cluster.kubeconfig)
        cluster.kubectl("delete", "crd", "secretsyncs.secret-sync.x-k8s.io")
        wait_for("the Secrets to go with their CRD", lambda: not lab.secret("kept") and not lab.secret("another"), 120)
        check("deleting the CRD takes the Secrets", True)


def main():
    helm = Helm()
    with tempfile.TemporaryDirectory(prefix="kvsync-chart-") as directory:
        with Cluster(pathlib.Path(directory) / "render") as cluster:
            same_as_the_manifests(helm, cluster)
            configuration_is_understood(its_variants(helm, cluster))
            what_the_pod_follows(helm, cluster)
            wrong_values_are_refused(helm)
        try:
            life(helm, pathlib.Path(directory))
        except Failed as error:
            raise ClusterError(str(error)) from None


if __name__ == "__main__":
    run_test("chart", main)

"""Every reason of a condition on a real API server: how it is reached, what its message says, that it goes with its cause.

CreateSucceeded, UpdateNoValueChangeSucceeded and UpdateValueChangeOrForceUpdateSucceeded are seen by their Events.
"""

import json
import time

from cluster import ClusterError, wait_for
from lab import INTERVAL, MANAGED, check, spc, sync
from scenarios import scenario

NAMESPACE = "my-namespace"
PRESENTED = ["AADSTS700213", "Presented: issuer", "(with a slash at its end)", f"system:serviceaccount:{NAMESPACE}:"]
ROWS = []


def reach(reason, *words, then="Ready"):
    """Registers what makes a SecretSync, which has the function's name, say `reason` with each of `words` in its message. What
    it returns takes the cause away; `then`: Ready becomes True, or has this reason, within a minute."""
    def register(function):
        ROWS.append((function.__name__.replace("_", "-"), reason, words, then, function))
        return function
    return register


def ask(lab, name, source=None, **members):
    """A class and a SecretSync of that name; source: the object's name."""
    lab.apply(spc(name, {source or name: {}}), sync(name, name, {"k": source or name}, **members))


def written(lab, name):
    lab.put(name, f"value of {name}")
    ask(lab, name)
    lab.wait_data(name, {"k": f"value of {name}"})
    lab.wait_reason(name, "CreateSucceeded", "SecretCreated")


def delete_secret(lab, name):
    return lambda: lab.cluster.kubectl("delete", "secret", name, "-n", NAMESPACE)


@reach("CreateFailedProviderError", "404 SecretNotFound", "check objectName")
def reason_absent(lab, name):
    ask(lab, name)
    return lambda: lab.put(name, "it came later")


@reach("CreateFailedProviderError", *PRESENTED, then="CreateFailedProviderError")
def reason_stranger(lab, name):
    lab.cluster.kubectl("create", "serviceaccount", "stranger", "-n", NAMESPACE)
    ask(lab, name, service_account="stranger")


@reach("CreateFailedInvalidLabel", "does not carry the label", "kubectl delete secret")
def reason_foreign(lab, name):
    lab.put(name, "ours, from the vault")
    lab.cluster.kubectl("create", "secret", "generic", name, "-n", NAMESPACE, "--from-literal=k=theirs")
    ask(lab, name)
    return delete_secret(lab, name)


@reach("UpdateFailedProviderError", "404 SecretNotFound", "or it is deleted", then="UpdateNoValueChangeSucceeded")
def reason_deleted(lab, name):
    written(lab, name)
    lab.world.say("delete", vault="kv-one", name=name)
    return lambda: lab.world.say("recover", vault="kv-one", name=name)


@reach("UpdateFailedInvalidLabel", "does not carry the label", "kubectl delete secret")
def reason_label(lab, name):
    written(lab, name)
    lab.cluster.kubectl("label", "secret", name, "-n", NAMESPACE, f"{MANAGED}-")
    lab.put(name, "newer than the label")
    return delete_secret(lab, name)


@reach("UpdateFailedInvalidAnnotation", "does not carry the annotation", "kubectl delete secret")
def reason_annotation(lab, name):
    written(lab, name)
    lab.cluster.kubectl("annotate", "secret", name, "-n", NAMESPACE, f"{MANAGED}-")
    lab.put(name, "newer than the annotation")
    return delete_secret(lab, name)


@reach("CreateFailedInvalidAnnotation", "with another value", "kubectl delete secret")
def reason_changed_annotation(lab, name):
    """A Secret that looks like ours in all but the annotation's value is there before the first write."""
    lab.put(name, "for a name that is taken")
    lab.apply(sync(name, name, {"k": name}))
    lab.wait_reason(name, "ControllerSpcError")
    owner = {"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "SecretSync", "name": name,
             "uid": lab.sync(name)["metadata"]["uid"]}
    lab.apply({"apiVersion": "v1", "kind": "Secret",
               "metadata": {"name": name, "namespace": NAMESPACE, "labels": {MANAGED: ""}, "annotations": {MANAGED: "theirs"},
                            "ownerReferences": [owner]}})
    lab.apply(spc(name, {name: {}}))
    return delete_secret(lab, name)


@reach("UserInputValidationFailed", f"ServiceAccount {NAMESPACE}/nowhere", "create it, or correct spec.serviceAccountName",
       then="CreateFailedProviderError")
def reason_account(lab, name):
    """The account that comes later is none that Entra knows: what matters is that it is found."""
    ask(lab, name, service_account="nowhere")
    return lambda: lab.cluster.kubectl("create", "serviceaccount", "nowhere", "-n", NAMESPACE)


@reach("ControllerSpcError", "does not exist", "create it there, or correct")
def reason_class(lab, name):
    lab.put(name, "value of a late class")
    lab.apply(sync(name, name, {"k": name}, rotationPollIntervalInSeconds=3600))
    return lambda: lab.apply(spc(name, {name: {}}))


@reach("SecretPatchFailedUnknownError", "immutable", "kubectl delete secret")
def reason_immutable(lab, name):
    written(lab, name)
    lab.cluster.kubectl("patch", "secret", name, "-n", NAMESPACE, "--type=merge", "-p", '{"immutable":true}')
    lab.put(name, "newer than immutable")
    return delete_secret(lab, name)


@reach("PartialSync", '"result":"missing"', "SecretNotFound")
def reason_partial(lab, name):
    lab.put(name, "the good one")
    lab.apply(spc(name, {name: {}, f"{name}-late": {}}), sync(name, name, {"a": name, "b": f"{name}-late"}))
    return lambda: lab.put(f"{name}-late", "the late one")


@reach("ValidatingAdmissionPolicyCheckFailed", "ValidatingAdmissionPolicy 'reason-policy'", "not this one")
def reason_policy(lab, name):
    lab.apply({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
               "metadata": {"name": name},
               "spec": {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [
                   {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}]},
                   "validations": [{"expression": f"object.metadata.name != '{name}'", "message": "not this one"}]}},
              {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
               "metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}})

    def is_enforced():
        try:
            lab.cluster.kubectl("create", "secret", "generic", name, "-n", "other", "--dry-run=server")
        except ClusterError as error:
            return "not this one" in str(error)
        return False
    wait_for("the policy to be enforced", is_enforced, 30)
    lab.put(name, "value that is refused")
    ask(lab, name)
    return lambda: lab.cluster.kubectl("delete", "validatingadmissionpolicybinding", name)


def wait_left(lab, name, then):
    if then != "Ready":
        lab.wait_reason(name, then, timeout=70)
        return
    wait_for(f"Ready of {name} to be True", lambda: lab.condition(name).get("status") == "True", 70)


@scenario
def each_reason_is_reached_and_left(lab, engine):
    """All of them at once; each message names cause and remedy, and goes when the cause is gone."""
    remedies = {name: cause(lab, name) for name, _, _, _, cause in ROWS}
    for name, reason, words, _, _ in ROWS:
        message = lab.wait_reason(name, reason, timeout=40)["message"]
        for word in words:
            check(word in message, f"{name}: the message does not say '{word}': {message}")
    for remedy in filter(None, remedies.values()):
        remedy()
    for name, _, _, then, _ in ROWS:
        wait_left(lab, name, then)


@scenario
def a_right_that_is_missing_is_an_internal_error(lab, engine):
    """Without the right to ask for tokens: ControllerInternalError, with the API server's own words."""
    role = lab.cluster.get("clusterrole", "kvsync")
    rights = [rule for rule in role["rules"] if "serviceaccounts/token" not in rule["resources"]]

    def give(rules):
        lab.cluster.kubectl("patch", "clusterrole", "kvsync", "--type=merge", "-p", json.dumps({"rules": rules}))
    lab.cluster.kubectl("create", "serviceaccount", "rightless", "-n", NAMESPACE)
    give(rights)
    try:
        ask(lab, "rightless", service_account="rightless")
        message = lab.wait_reason("rightless", "ControllerInternalError")["message"]
        check("serviceaccounts/token" in message and "forbidden" in message, message)
    finally:
        give(role["rules"])
    lab.wait_reason("rightless", "CreateFailedProviderError", timeout=70)


@scenario
def people_are_told_of_turns(lab, engine):
    """kubectl describe shows creation, failure, recovery and a new value, once each, and nothing while nothing changes."""
    written(lab, "told")
    lab.world.say("delete", vault="kv-one", name="told")
    lab.wait_reason("told", "UpdateFailedProviderError")
    time.sleep(2 * INTERVAL + 1)
    lab.world.say("recover", vault="kv-one", name="told")
    lab.wait_reason("told", "UpdateNoValueChangeSucceeded", timeout=60)
    lab.put("told", "a newer value")
    lab.wait_data("told", {"k": "a newer value"}, timeout=INTERVAL + 10)
    time.sleep(2 * INTERVAL + 1)
    events = lab.cluster.get("events", "-n", NAMESPACE, "--field-selector", "involvedObject.name=told")["items"]
    told = sorted((one["type"], one["reason"], one["count"]) for one in events)
    check(told == [("Normal", "CreateSucceeded", 1), ("Normal", "UpdateNoValueChangeSucceeded", 1),
                   ("Normal", "UpdateValueChangeOrForceUpdateSucceeded", 1), ("Warning", "UpdateFailedProviderError", 1)], f"{told}")
    uid = lab.sync("told")["metadata"]["uid"]
    check(all(one["involvedObject"]["uid"] == uid for one in events), "an Event is about another uid")
    text = lab.cluster.kubectl("describe", "secretsync", "told", "-n", NAMESPACE)
    check("UpdateFailedProviderError" in text.split("Events:")[1], f"kubectl describe shows no such Event: {text[-400:]}")

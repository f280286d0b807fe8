"""What kvsync does on a real API server, one function per story. Each gets a lab and a running engine."""

import base64
import json
import os
import time

from cluster import POLICIES, ClusterError, wait_for
from lab import INTERVAL, MANAGED, check, spc, sync
from memory import stray

SCENARIOS = []


def scenario(function):
    SCENARIOS.append(function)
    return function


def owners(secret):
    return secret["metadata"].get("ownerReferences", [])


@scenario
def the_documented_example(lab, engine):
    """The product's own example, applied unchanged: two versions, rotation moves both keys."""
    lab.put("my-secret", "Hello!")
    lab.put("my-secret", "Hello2")
    lab.apply_example()
    keys = ("my-secret-data-key0", "my-secret-data-key1")
    lab.wait_data("secret-sync-name", dict(zip(keys, ("Hello2", "Hello!"))))
    secret = lab.secret("secret-sync-name")
    uid = lab.sync("secret-sync-name")["metadata"]["uid"]
    check(secret["type"] == "Opaque", f"type is {secret['type']}")
    check(secret["metadata"]["labels"] == {MANAGED: ""}, f"labels are {secret['metadata'].get('labels')}")
    check(secret["metadata"]["annotations"] == {MANAGED: ""}, f"annotations are {secret['metadata'].get('annotations')}")
    check(owners(secret) == [{"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "SecretSync",
                              "name": "secret-sync-name", "uid": uid}], f"owners are {owners(secret)}")
    lab.wait_reason("secret-sync-name", "UpdateNoValueChangeSucceeded")
    check(lab.condition("secret-sync-name", "SecretCreated")["reason"] == "CreateSucceeded", "SecretCreated is wrong")
    lab.put("my-secret", "Hello3")
    lab.wait_data("secret-sync-name", dict(zip(keys, ("Hello3", "Hello2"))), timeout=INTERVAL + 10)
    lab.wait_reason("secret-sync-name", "UpdateValueChangeOrForceUpdateSucceeded", "SecretUpdated")
    status = lab.sync("secret-sync-name")["status"]
    check(status["syncHash"].startswith(f"kv1:{uid}:"), f"syncHash is {status['syncHash']}")
    check([one["name"] for one in status["objects"]] == ["my-secret/0", "my-secret/1"], f"objects are {status['objects']}")
    check(status["observedGeneration"] == 1, "observedGeneration is not 1")
    for field in ("lastSuccessfulSyncTime", "secretCreationTime"):
        check(field in status, f"the status has no {field}")


@scenario
def silence_when_nothing_changes(lab, engine):
    """From the second check on, an unchanged SecretSync causes reads of the vault and nothing else."""
    lab.put("quiet", "as it was")
    lab.apply(spc("quiet", {"quiet": {}}), sync("quiet", "quiet", {"k": "quiet"}))
    lab.wait_rest("quiet")
    time.sleep(INTERVAL + 1)
    before = lab.secret("quiet")["metadata"]["resourceVersion"], lab.sync("quiet")["metadata"]["resourceVersion"]
    mark = lab.audit_mark()
    time.sleep(3 * INTERVAL)
    after = lab.secret("quiet")["metadata"]["resourceVersion"], lab.sync("quiet")["metadata"]["resourceVersion"]
    check(before == after, f"resourceVersions moved: {before} to {after}")
    writes = [entry["requestURI"] for entry in lab.audit_of_kvsync(mark)
              if entry["verb"] not in ("watch", "list", "get") and "/quiet" in entry["requestURI"]]
    probes = [one for one in writes if one.startswith("/api/v1/namespaces/my-namespace/secrets/quiet?")]
    check(len(probes) <= 4, f"more than one probe per poll: {probes}")
    check(len(probes) == len(writes), f"kvsync wrote without need: {writes}")


@scenario
def a_dropped_key_is_pruned(lab, engine):
    """POST of a and b, then b is dropped from the spec: b is gone, and what others wrote stays."""
    lab.put("drop-a", "value of a")
    lab.put("drop-b", "value of b")
    lab.apply(spc("drop", {"drop-a": {}, "drop-b": {}}), sync("drop", "drop", {"a": "drop-a", "b": "drop-b"}))
    lab.wait_data("drop", {"a": "value of a", "b": "value of b"})
    lab.cluster.kubectl("patch", "secret", "drop", "-n", "my-namespace", "--type=merge",
                        "-p", json.dumps({"stringData": {"foreign": "stays"}}))
    lab.apply(sync("drop", "drop", {"a": "drop-a"}))
    lab.wait_data("drop", {"a": "value of a", "foreign": "stays"}, timeout=15)
    managers = [(entry["manager"], entry["operation"]) for entry in lab.cluster.get(
        "secret", "drop", "-n", "my-namespace", "--show-managed-fields")["metadata"]["managedFields"]]
    check(("secrets-store-sync-controller", "Update") not in managers, f"our Update entry is still there: {managers}")
    check(("secrets-store-sync-controller", "Apply") in managers, f"our Apply entry is missing: {managers}")


@scenario
def changes_are_acted_on_at_once(lab, engine):
    """A change of the SecretSync or of its class does not wait for the poll."""
    lab.put("now-a", "first value")
    lab.put("now-b", "second value")
    lab.apply(spc("now", {"now-a": {}, "now-b": {}}),
              sync("now", "now", {"k": "now-a"}, rotationPollIntervalInSeconds=3600))
    lab.wait_data("now", {"k": "first value"})
    lab.apply(sync("now", "now", {"k": "now-b"}, rotationPollIntervalInSeconds=3600, labels={"team": "blue"}))
    lab.wait_data("now", {"k": "second value"}, timeout=5)
    wait_for("the label", lambda: lab.secret("now")["metadata"]["labels"].get("team") == "blue", 5)
    lab.apply(spc("now", {"now-a": {"objectAlias": "now-b"}}))
    lab.wait_data("now", {"k": "first value"}, timeout=5)
    lab.put("now-a", "third value")
    lab.apply(sync("now", "now", {"k": "now-b"}, rotationPollIntervalInSeconds=3600, forceSynchronization="now1"))
    lab.wait_data("now", {"k": "third value"}, timeout=5)
    audit = [line for line in engine.log().splitlines() if 'msg="secret written"' in line and "secretsync=my-namespace/now " in line]
    causes = [line.split(" why=")[1].split(" ")[0] for line in audit]
    check(causes == ["first-write", "request-changed", "request-changed", "forced"], f"the audit lines are {audit}")
    check(" what=created " in audit[0] and " serviceaccount=" in audit[0] and " objects=now-a@" in audit[0], f"{audit[0]}")


@scenario
def a_foreign_secret_is_never_written(lab, engine):
    """A Secret of that name that is not ours stays as it is; deleted by its owner, ours takes the place."""
    lab.put("foreign", "ours, from the vault")
    lab.cluster.kubectl("create", "secret", "generic", "foreign", "-n", "my-namespace", "--from-literal=k=theirs")
    lab.apply(spc("foreign", {"foreign": {}}), sync("foreign", "foreign", {"k": "foreign"}))
    condition = lab.wait_reason("foreign", "CreateFailedInvalidLabel")
    check("kubectl delete secret" in condition["message"], f"the message names no remedy: {condition['message']}")
    secret = lab.secret("foreign")
    check(lab.data("foreign") == {"k": b"theirs"}, "a foreign Secret was written")
    check(not owners(secret) and MANAGED not in secret["metadata"].get("labels", {}), "a foreign Secret was adopted")
    lab.cluster.kubectl("delete", "secret", "foreign", "-n", "my-namespace")
    lab.apply(sync("foreign", "foreign", {"k": "foreign"}, forceSynchronization="again"))
    lab.wait_data("foreign", {"k": "ours, from the vault"}, timeout=10)
    lab.wait_reason("foreign", "CreateSucceeded", "SecretCreated")


@scenario
def a_taken_label_or_annotation_is_not_repaired(lab, engine):
    """A managed Secret whose label was taken away is left alone and said so."""
    lab.put("label", "labelled value")
    lab.apply(spc("label", {"label": {}}), sync("label", "label", {"k": "label"}))
    lab.wait_data("label", {"k": "labelled value"})
    lab.cluster.kubectl("label", "secret", "label", "-n", "my-namespace", f"{MANAGED}-")
    lab.put("label", "newer labelled value")
    lab.wait_reason("label", "UpdateFailedInvalidLabel", timeout=INTERVAL + 10)
    check(lab.data("label") == {"k": b"labelled value"}, "a Secret without our label was written")


@scenario
def deletion_and_reappearance(lab, engine):
    """A deleted SecretSync's Secret is collected; applied again at once it is back within seconds."""
    lab.put("again", "value that returns")
    objects = spc("again", {"again": {}}), sync("again", "again", {"k": "again"})
    lab.apply(*objects)
    lab.wait_data("again", {"k": "value that returns"})
    first = lab.secret("again")["metadata"]["uid"]
    lab.cluster.kubectl("delete", "secretsync", "again", "-n", "my-namespace")
    lab.apply(objects[1])
    started = time.monotonic()
    wait_for("a new Secret", lambda: (lambda one: one and one["metadata"]["uid"] != first and
                                      owners(one)[0]["uid"] == lab.sync("again")["metadata"]["uid"])(lab.secret("again")), 20)
    check(time.monotonic() - started < 15, "the new Secret took longer than 15 s")
    lab.wait_reason("again", "CreateSucceeded", "SecretCreated")
    lab.cluster.kubectl("delete", "secretsync", "again", "-n", "my-namespace")
    wait_for("the Secret to be collected", lambda: lab.secret("again") is None, 20)
    time.sleep(INTERVAL + 1)
    check(lab.secret("again") is None, "kvsync wrote a Secret for a SecretSync that is gone")


@scenario
def bad_input_stops_nobody_else(lab, engine):
    """Each fault has its own condition with cause and remedy; a healthy neighbour is synced meanwhile."""
    lab.put("good", "a healthy value")
    broken = spc("broken", {})
    broken["spec"]["parameters"]["objects"] = "array: [ {"
    lab.apply(broken, sync("broken", "broken", {"k": "x"}), sync("no-class", "nowhere", {"k": "x"}),
              spc("good", {"good": {}, "absent": {}}), sync("bad-path", "good", {"k": "nothing"}),
              sync("no-object", "good", {"k": "absent"}),
              sync("no-account", "good", {"k": "good"}, service_account="nobody"),
              sync("good", "good", {"k": "good"}))
    lab.wait_data("good", {"k": "a healthy value"})
    expected = {"broken": ("ControllerSpcError", "objects"), "no-class": ("ControllerSpcError", "nowhere"),
                "bad-path": ("UserInputValidationFailed", "sourcePath"),
                "no-object": ("CreateFailedProviderError", "SecretNotFound"),
                "no-account": ("UserInputValidationFailed", "nobody")}
    for name, (reason, word) in expected.items():
        message = lab.wait_reason(name, reason)["message"]
        check(word in message, f"{name}: the message does not say '{word}': {message}")
    lab.put("absent", "it came later")
    lab.apply(sync("no-object", "good", {"k": "absent"}, forceSynchronization="1"))
    lab.wait_data("no-object", {"k": "it came later"})
    lab.wait_reason("no-object", "CreateSucceeded", "SecretCreated")


@scenario
def values_survive_exactly(lab, engine):
    """A NUL byte, the size limit, Unicode, quotes: every byte arrives."""
    values = {"nul": "before\0after\0", "big": "x" * 25599 + "y", "words": "Grüße \U0001f511 \"quoted\" \\ \r\n\t end", "empty": ""}
    for name, value in values.items():
        lab.put(f"exact-{name}", value)
    lab.apply(spc("exact", {f"exact-{name}": {} for name in values}),
              sync("exact", "exact", {name: f"exact-{name}" for name in values}))
    lab.wait_data("exact", values)


@scenario
def values_stay_in_secret_memory(lab, engine):
    """After a create, an apply and a merge patch, no value nor its base64 stands anywhere in the process but in locked memory
    that no core file holds: not in what libraries have sent or received either."""
    names = [f"memory-{number}" for number in range(20)]
    lab.put("memory-lost", "goes")
    lab.apply(spc("memory", {name: {} for name in [*names, "memory-lost"]}))
    patterns = [b"quagga 8842 marmalade"]
    for write in "create", "apply", "patch":
        # Three beginnings, one for each place that a byte can have in base64.
        phrase = f"{write} Zanzibar quagga 8842 marmalade, "
        patterns += [base64.b64encode((phrase * 4)[start:start + 60].encode()) for start in range(3)]
        values = {name: phrase * 4 + name for name in names}
        if write == "patch":
            lab.world.say("delete", vault="kv-one", name="memory-lost")
        for name in names:
            lab.put(name, values[name])
        if write == "create":
            lab.apply(*(sync(name, "memory", {"k": name, "l": "memory-lost"}) for name in names))
        for name in names:
            lab.wait_data(name, {"k": values[name], "l": "goes"})
        if write != "patch":
            lab.wait_rest(*names)
        if os.geteuid() != 0:
            continue  # the kernel refuses to show it, which is the other half of the promise
        # A buffer that is in use may hold one for a moment, and a retry of a partial write reads them again; what was given
        # back must not.
        wait_for(f"the values of a {write} to be gone from ordinary memory",
                 lambda: not stray(engine.process.pid, patterns), 20 if write == "patch" else 2)


@scenario
def an_admission_policy_is_named(lab, engine):
    """A denial by a ValidatingAdmissionPolicy is said to be one, never missing rights, and a value that it repeats is not shown."""
    lab.apply({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
               "metadata": {"name": "no-policy-sync"},
               "spec": {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [
                   {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"]}]},
                   "validations": [{"expression": "object.metadata.name != 'policy'", "message": "not this name"},
                                   {"expression": "object.metadata.name != 'parrot'",
                                    "messageExpression": "'not ' + string(object.data.k)"}]}},
              {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
               "metadata": {"name": "no-policy-sync"},
               "spec": {"policyName": "no-policy-sync", "validationActions": ["Deny"]}})

    def is_enforced():
        try:
            lab.cluster.kubectl("create", "secret", "generic", "policy", "-n", "other", "--dry-run=server")
        except ClusterError as error:
            return "ValidatingAdmissionPolicy" in str(error)
        return False
    wait_for("the policy to be enforced", is_enforced, 30)
    lab.put("policy", "refused value")
    lab.apply(spc("policy", {"policy": {}}), sync("policy", "policy", {"k": "policy"}))
    condition = lab.wait_reason("policy", "ValidatingAdmissionPolicyCheckFailed")
    check("not this name" in condition["message"], f"the policy's own words are missing: {condition['message']}")
    lab.put("parrot", "a value that parrots repeat")
    lab.apply(spc("parrot", {"parrot": {}}), sync("parrot", "parrot", {"k": "parrot"}))
    condition = lab.wait_reason("parrot", "ValidatingAdmissionPolicyCheckFailed")
    check("is not shown" in condition["message"] and "parrots" not in condition["message"],
          f"a value is in the condition: {condition['message']}")
    lab.cluster.kubectl("delete", "validatingadmissionpolicybinding", "no-policy-sync")


@scenario
def offline(lab, engine):
    """Vault and Entra cut: Secrets stay, conditions say so, at most one trial in 10 s, a rotation arrives afterwards, and where
    nothing was rotated the failure goes without a write."""
    names = [f"off-{number}" for number in range(8)]
    still = names[6:]
    for name in names:
        lab.put(name, f"online {name}")
    lab.apply(spc("off", {name: {} for name in names}),
              *(sync(name, "off", {"k": name}) for name in names))
    for name in names:
        lab.wait_data(name, {"k": f"online {name}"})
    for name in still:
        wait_looked_at(lab, name)
    lab.world.say("cut", vault="kv-one", how="refused")
    lab.world.say("cut", host="login", how="refused")
    for name in names:
        if name not in still:
            lab.put(name, f"rotated {name}")
    for name in names:
        lab.wait_reason(name, "UpdateFailedProviderError", timeout=40)
    versions = [lab.secret(name)["metadata"]["resourceVersion"] for name in names]
    mark = len(engine.lines)
    trials_before = lab.world.ask("stats")["connections"]["proxy"]
    time.sleep(31)
    tried = lab.world.ask("stats")["connections"]["proxy"] - trials_before
    check(versions == [lab.secret(name)["metadata"]["resourceVersion"] for name in names], "a Secret moved while offline")
    # Each SecretSync may tell of the outage once, when it would have been looked at; nobody tells of it again and again.
    lines = engine.lines[mark:]
    told = {word for line in lines for word in line.split() if word.startswith("secretsync=")}
    storm = len(lines) - len(told)
    check(storm < 10, f"kvsync logged {storm} lines that repeat one another in 31 s of silence")
    # All that opens a connection now is a trial: to the one vault in use, at most one in 10 s.
    check(1 <= tried <= 4, f"{tried} connections were tried in 31 s")
    lab.world.say("heal")
    for name in names:
        lab.wait_data(name, {"k": f"online {name}" if name in still else f"rotated {name}"}, timeout=30)
    for name in still:
        lab.wait_reason(name, "UpdateNoValueChangeSucceeded", timeout=INTERVAL + 20)
    kept = [lab.secret(name)["metadata"]["resourceVersion"] for name in still]
    check(kept == versions[6:], "a Secret was written because its vault had been away")
    lab.wait_rest(*names)


def items(condition):
    return {one["targetKey"]: one for one in json.loads(condition["message"])}


def version(lab, name):
    return lab.secret(name)["metadata"]["resourceVersion"]


@scenario
def good_items_do_not_wait_for_failed_ones(lab, engine):
    """One object of three is gone: the others are written, its key stays, each item is told of; nothing is written when it is back."""
    names = ("part-a", "part-b", "part-c")
    for name in names:
        lab.put(name, f"first of {name}")
    lab.apply(spc("part", {name: {} for name in names}), sync("part", "part", {name[-1]: name for name in names}))
    lab.wait_data("part", {name[-1]: f"first of {name}" for name in names})
    lab.world.say("delete", vault="kv-one", name="part-b")
    entries = items(lab.wait_reason("part", "PartialSync"))
    check({key: one["result"] for key, one in entries.items()} == {"a": "synced", "b": "kept", "c": "synced"}, f"{entries}")
    check(entries["b"]["code"] == "SecretNotFound" and entries["b"]["sourcePath"] == "part-b", f"{entries['b']}")
    before = version(lab, "part")
    lab.world.say("recover", vault="kv-one", name="part-b")
    lab.wait_reason("part", "UpdateNoValueChangeSucceeded", timeout=60)
    check(version(lab, "part") == before, "the Secret was written although nothing had changed")
    # Apply of a, b and c; partial write of a; b dropped, then a: both are gone.
    lab.world.say("delete", vault="kv-one", name="part-b")
    lab.wait_reason("part", "PartialSync")
    lab.put("part-a", "second of part-a")
    lab.wait_data("part", {"a": "second of part-a", "b": "first of part-b", "c": "first of part-c"}, timeout=60)
    lab.apply(sync("part", "part", {"a": "part-a", "c": "part-c"}))
    lab.wait_data("part", {"a": "second of part-a", "c": "first of part-c"})
    lab.apply(sync("part", "part", {"c": "part-c"}))
    lab.wait_data("part", {"c": "first of part-c"})


@scenario
def a_secret_begins_with_its_good_items(lab, engine):
    """A new Secret gets what can be read, unless its type demands what cannot."""
    lab.put("begin-a", "value to begin with")
    lab.apply(spc("begin", {"begin-a": {}, "begin-b": {}}), sync("begin", "begin", {"a": "begin-a", "b": "begin-b"}),
              sync("begin-typed", "begin", {"username": "begin-a", "ssh-privatekey": "begin-b"}, type="kubernetes.io/ssh-auth"))
    lab.wait_data("begin", {"a": "value to begin with"})
    entries = items(lab.wait_reason("begin", "PartialSync"))
    check(entries["b"]["result"] == "missing", f"{entries}")
    check(lab.condition("begin", "SecretCreated")["status"] == "True", "SecretCreated is not True")
    message = lab.wait_reason("begin-typed", "CreateFailedProviderError")["message"]
    check("ssh-privatekey" in message and "demands" in message, f"the message does not say why: {message}")
    check(lab.secret("begin-typed") is None, "a Secret was created without the key that its type demands")
    lab.put("begin-b", "it came later")
    lab.apply(sync("begin", "begin", {"a": "begin-a", "b": "begin-b"}, forceSynchronization="1"))
    lab.wait_data("begin", {"a": "value to begin with", "b": "it came later"})
    wait_for("begin to be ready", lambda: lab.condition("begin")["status"] == "True", 20)


def managers(lab, name):
    return [(entry["manager"], entry["operation"]) for entry in lab.cluster.get(
        "secret", name, "-n", "my-namespace", "--show-managed-fields")["metadata"]["managedFields"]]


def wait_looked_at(lab, name):
    """The first probe of a Secret that was created merges our Update entry."""
    wait_for(f"our Update entry of {name} to be merged",
             lambda: lab.secret(name) and managers(lab, name) == [("secrets-store-sync-controller", "Apply")], 30)


def patch_secret(lab, name, patch):
    lab.cluster.kubectl("patch", "secret", name, "-n", "my-namespace", "--type=merge", "-p", json.dumps(patch))


@scenario
def what_others_change_is_repaired(lab, engine):
    """Values, labels and annotations that somebody changes or deletes are back at the next poll; so is a deleted Secret."""
    lab.put("drift-a", "value of drift a")
    lab.put("drift-b", "value of drift b")
    wanted = {"a": "value of drift a", "b": "value of drift b"}
    lab.apply(spc("drift", {"drift-a": {}, "drift-b": {}}),
              sync("drift", "drift", {"a": "drift-a", "b": "drift-b"}, labels={"team": "blue"}, annotations={"note": "ours"}))
    lab.wait_data("drift", wanted)
    wait_looked_at(lab, "drift")
    patch_secret(lab, "drift", {"data": {"a": "ZWRpdGVk", "b": None}, "stringData": {"foreign": "stays"},
                                "metadata": {"labels": {"team": "red"}, "annotations": {"note": None}}})
    lab.wait_data("drift", {**wanted, "foreign": "stays"}, timeout=INTERVAL + 10)
    metadata = lab.secret("drift")["metadata"]
    check(metadata["labels"].get("team") == "blue" and metadata["annotations"].get("note") == "ours", f"{metadata}")
    lab.cluster.kubectl("delete", "secret", "drift", "-n", "my-namespace")
    lab.wait_data("drift", wanted, timeout=INTERVAL + 10)


@scenario
def whose_marks_are_gone_is_nobodys(lab, engine):
    """A label or annotation of ours, or the owner, taken from an unchanged Secret: said, never repaired, until it is deleted."""
    takes = {"mark-label": ({"metadata": {"labels": {MANAGED: None}}}, "UpdateFailedInvalidLabel"),
             "mark-note": ({"metadata": {"annotations": {MANAGED: None}}}, "UpdateFailedInvalidAnnotation"),
             "mark-owner": ({"metadata": {"ownerReferences": None}}, "UpdateFailedInvalidLabel")}
    lab.put("mark", "marked value")
    lab.apply(spc("mark", {"mark": {}}), *(sync(name, "mark", {"k": "mark"}) for name in takes))
    for name, (patch, reason) in takes.items():
        wait_looked_at(lab, name)
        patch_secret(lab, name, {**patch, "data": {"k": "ZWRpdGVk"}})
    for name, (patch, reason) in takes.items():
        lab.wait_reason(name, reason, timeout=INTERVAL + 10)
        check(lab.data(name) == {"k": b"edited"}, f"{name} was written although it is not ours any more")
    for name in takes:
        lab.cluster.kubectl("delete", "secret", name, "-n", "my-namespace")
        lab.apply(sync(name, "mark", {"k": "mark"}, forceSynchronization="1"))
        lab.wait_data(name, {"k": "marked value"})


@scenario
def a_rival_gets_an_hour(lab, engine):
    """Somebody who writes against kvsync at every poll is named, and left alone after three repairs."""
    lab.put("rival", "value under attack")
    lab.apply(spc("rival", {"rival": {}}), sync("rival", "rival", {"k": "rival"}))
    for _ in range(4):
        lab.wait_data("rival", {"k": "value under attack"}, timeout=INTERVAL + 10)
        wait_for("our entry to be settled", lambda: ("secrets-store-sync-controller", "Apply") in managers(lab, "rival"), 20)
        lab.cluster.kubectl("patch", "secret", "rival", "-n", "my-namespace", "--type=merge", "--field-manager=rival-manager",
                            "-p", json.dumps({"data": {"k": "ZWRpdGVk"}}))
    message = lab.wait_reason("rival", "SecretPatchFailedUnknownError", timeout=INTERVAL + 10)["message"]
    check('"rival-manager"' in message and "key k" in message, f"the message names neither key nor manager: {message}")
    time.sleep(INTERVAL + 1)
    check(lab.data("rival") == {"k": b"edited"}, "it was repaired once more")
    lab.put("rival", "value that is new")
    lab.wait_data("rival", {"k": "value that is new"}, timeout=INTERVAL + 10)


@scenario
def a_secret_keeps_its_type_and_its_immutability(lab, engine):
    """Neither is overcome silently: the message says to delete the Secret, and then it is made anew."""
    lab.put("fixed", "value to keep")
    lab.apply(spc("fixed", {"fixed": {}}), sync("fixed-type", "fixed", {"ssh-privatekey": "fixed"}),
              sync("fixed-data", "fixed", {"k": "fixed"}))
    lab.wait_data("fixed-type", {"ssh-privatekey": "value to keep"})
    lab.wait_data("fixed-data", {"k": "value to keep"})
    wait_looked_at(lab, "fixed-data")
    retyped = sync("fixed-type", "fixed", {"ssh-privatekey": "fixed"}, type="kubernetes.io/ssh-auth")
    try:
        lab.apply(retyped)
        check(False, "the policy let a change of type pass")
    except ClusterError as error:
        check("delete the SecretSync and its Secret" in str(error), str(error))
    # Without the policy it is kvsync that has to say so.
    lab.cluster.kubectl("delete", "validatingadmissionpolicybinding", "kvsync-immutable-type")

    def passes():
        try:
            return lab.apply(retyped) or True
        except ClusterError:
            return False
    wait_for("the policy to be gone", passes, 30)
    patch_secret(lab, "fixed-data", {"immutable": True})
    message = lab.wait_reason("fixed-type", "UserInputValidationFailed")["message"]
    check("cannot be changed to kubernetes.io/ssh-auth" in message and "kubectl delete secret" in message, message)
    lab.put("fixed", "value that is newer")
    message = lab.wait_reason("fixed-data", "SecretPatchFailedUnknownError", timeout=INTERVAL + 10)["message"]
    check("immutable" in message and "kubectl delete secret" in message, message)
    for name, key, kind in (("fixed-type", "ssh-privatekey", "kubernetes.io/ssh-auth"), ("fixed-data", "k", "Opaque")):
        lab.cluster.kubectl("delete", "secret", name, "-n", "my-namespace")
        lab.apply(sync(name, "fixed", {key: "fixed"}, type=kind, forceSynchronization="1"))
        lab.wait_data(name, {key: "value that is newer"})
        check(lab.secret(name)["type"] == kind, "the type is wrong")
    lab.cluster.apply(POLICIES)

"""Stories of `kvsync plan` on a real API server: what it says is what a running kvsync does then, and it writes nothing."""

import json
import os
import re
import subprocess

from akv import akv as akvsync
from lab import MANAGED, check, spc, sync
from legs import leg

NAMESPACE = "my-namespace"
READS = [{"apiGroups": ["secret-sync.x-k8s.io"], "resources": ["secretsyncs"], "verbs": ["get", "list"]},
         {"apiGroups": ["secrets-store.csi.x-k8s.io"], "resources": ["secretproviderclasses"], "verbs": ["get"]},
         {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}]
SECRETS = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}


class Planner:
    """Somebody with the least rights that a plan needs; `user` is who the audit log calls them."""

    def __init__(self, lab, name, rules):
        self.lab = lab
        self.user = f"system:serviceaccount:{NAMESPACE}:{name}"
        lab.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}},
                  {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                   "metadata": {"name": name, "namespace": NAMESPACE}, "rules": rules},
                  {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                   "metadata": {"name": name, "namespace": NAMESPACE},
                   "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
                   "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}]})
        self.kubeconfig = lab.cluster.kubeconfig_for_serviceaccount(NAMESPACE, name, as_file=True)

    def state(self):
        """Whatever a plan could have touched, with its resourceVersion."""
        kinds = "secrets,secretsyncs,secretproviderclasses,events,serviceaccounts"
        items = self.lab.cluster.get(kinds, "-n", NAMESPACE)["items"]
        return {(one["kind"], one["metadata"]["name"]): one["metadata"]["resourceVersion"] for one in items}

    def run(self, objects, output="json", quiet=True):
        """Exit code and output. No value stands in it; with `quiet` nothing in the namespace has moved."""
        path = self.lab.directory / "plan.yaml"
        path.write_text("\n---\n".join(json.dumps(one) for one in objects))
        before, mark = self.state() if quiet else None, len(self.lab.cluster.audit())
        run = subprocess.run(
            [os.environ.get("KVSYNC", "build/release/kvsync"), "plan", str(path), "-o", output, "--kubeconfig",
             str(self.kubeconfig)], capture_output=True, text=True, timeout=60, check=False,
            env={"PATH": os.environ["PATH"], **self.lab.world.environment()})
        check(not quiet or before == self.state(), "something was written")
        asked = {(entry["verb"], entry["objectRef"]["resource"], entry["objectRef"].get("subresource", ""))
                 for entry in self.lab.cluster.audit()[mark:] if entry["user"]["username"] == self.user}
        check(asked <= {("get", "secrets", ""), ("get", "secretsyncs", ""), ("list", "secretsyncs", ""),
                        ("get", "secretproviderclasses", ""), ("create", "serviceaccounts", "token")},
              f"a plan asked for {asked}")
        for canary in [*self.lab.canaries, "eyJ"]:
            check(canary not in run.stdout + run.stderr, "a value or a token stands in the plan")
        check("written" not in run.stderr, f"a write is told of: {run.stderr}")
        return run.returncode, run.stdout

    def ask(self, *objects, code, action, quiet=True):
        """The one SecretSync of a plan, with its rows by name."""
        exit_code, text = self.run(objects, quiet=quiet)
        check(exit_code == code, f"exit code {exit_code}, not {code}: {text}")
        answer = json.loads(text)
        check(len(answer["secretSyncs"]) == 1, text)
        one = answer["secretSyncs"][0]
        check(one["action"] == action, f"{one['action']}, not {action}: {text}")
        return one, {row["name"]: row for row in one["rows"]}


def actions(rows):
    return {name: row["action"] for name, row in rows.items()}


@leg
def a_plan_says_what_a_run_does(lab):
    """Create, unchanged, update, a dropped key, a label: planned, then done; versions are those of the vault, digests no hashes."""
    planner = Planner(lab, "planner", [*READS, SECRETS])
    lab.put("plan-a", "first value of plan a")
    lab.put("plan-b", "only value of plan b")
    objects = spc("plan", {"plan-a": {}, "plan-b": {}}), sync("plan", "plan", {"a": "plan-a", "b": "plan-b", "c": "plan-b"})
    one, rows = planner.ask(*objects, code=2, action="create")
    check(actions(rows) == {"a": "create", "b": "create", "c": "create"} and "oldDigest" not in rows["a"], f"{rows}")
    check(rows["b"]["newDigest"] == rows["c"]["newDigest"] != rows["a"]["newDigest"], f"equal values look different: {rows}")
    planned = {name: row["version"] for name, row in rows.items()}
    _, again = planner.ask(*objects, code=2, action="create")
    check(again["a"]["newDigest"] != rows["a"]["newDigest"], "two plans have digests under one key")
    with lab.engine():
        lab.apply(*objects)
        lab.wait_data("plan", {"a": "first value of plan a", "b": "only value of plan b", "c": "only value of plan b"})
        lab.wait_rest("plan")
    status = {one["sourcePath"] if "sourcePath" in one else one["name"]: one["version"]
              for one in lab.sync("plan")["status"]["objects"]}
    check(status["plan-a"] == planned["a"] and status["plan-b"] == planned["b"], f"planned {planned}, written {status}")
    one, rows = planner.ask(*objects, code=0, action="unchanged")
    check(all(row["oldDigest"] == row["newDigest"] for row in rows.values()), f"{rows}")
    lab.put("plan-a", "second value of plan a")
    one, rows = planner.ask(*objects, code=2, action="update")
    check(actions(rows) == {"a": "update", "b": "unchanged", "c": "unchanged"}, f"{rows}")
    check(rows["a"]["oldDigest"] != rows["a"]["newDigest"] and rows["a"]["version"] != planned["a"], f"{rows}")
    # The SecretSync is in the cluster alone; the file changes its class.
    one, rows = planner.ask(spc("plan", {"plan-a": {"objectVersionHistory": 2}, "plan-b": {}}), code=1, action="failed")
    check(actions(rows) == {"a": "failed", "b": "unchanged", "c": "unchanged"} and "plan-a" in rows["a"]["message"], f"{rows}")
    # The class is in the cluster alone; a key goes and a label comes.
    changed = sync("plan", "plan", {"a": "plan-a", "b": "plan-b"}, labels={"team": "blue"})
    one, rows = planner.ask(changed, code=2, action="update")
    check(actions(rows) == {"a": "update", "b": "unchanged", "c": "remove", "team": "create"}, f"{rows}")
    code, text = planner.run([changed], output="table")
    check(code == 2 and re.search(r"^  remove +c ", text, re.M) and "Nothing was written" in text, text)
    with lab.engine():
        lab.apply(changed)
        lab.wait_data("plan", {"a": "second value of plan a", "b": "only value of plan b"})
        lab.wait_rest("plan")
    planner.ask(changed, code=0, action="unchanged")


@leg
def a_plan_names_what_is_refused(lab):
    """A foreign Secret, another type, an immutable one, an account that is not there: with the words of the condition, and exit 1."""
    planner = Planner(lab, "refused-planner", [*READS, SECRETS])
    lab.put("plan-r", "value that is refused")
    lab.cluster.kubectl("create", "secret", "generic", "plan-foreign", "-n", NAMESPACE, "--from-literal=k=theirs")
    objects = spc("plan-r", {"plan-r": {}}), sync("plan-r", "plan-r", {"k": "plan-r"})
    one, rows = planner.ask(objects[0], sync("plan-foreign", "plan-r", {"k": "plan-r"}), code=1, action="refused")
    check("does not carry the label" in one["message"] and rows["k"]["action"] == "refused", f"{one}")
    check(one["reason"] == "CreateFailedInvalidLabel", f"{one}")
    one, _ = planner.ask(objects[0], sync("plan-r", "plan-r", {"k": "plan-r"}, service_account="nobody"), code=1, action="failed")
    check("nobody" in one["message"] and one["reason"] == "UserInputValidationFailed", f"{one}")
    with lab.engine():
        lab.apply(*objects)
        lab.wait_data("plan-r", {"k": "value that is refused"})
        lab.wait_rest("plan-r")
    one, rows = planner.ask(sync("plan-r", "plan-r", {"ssh-privatekey": "plan-r"}, type="kubernetes.io/ssh-auth"), code=1,
                            action="refused")
    check("cannot be changed to kubernetes.io/ssh-auth" in one["message"], f"{one}")
    lab.cluster.kubectl("patch", "secret", "plan-r", "-n", NAMESPACE, "--type=merge", "-p", '{"immutable": true}')
    _, rows = planner.ask(*objects, code=0, action="unchanged")
    held = rows["k"]["version"]
    lab.put("plan-r", "another value that is refused")
    one, rows = planner.ask(*objects, code=1, action="refused")
    check(rows["k"].get("version") not in (None, held) and "newDigest" in rows["k"], f"not the version of the new value: {rows}")
    check("immutable" in one["message"] and "kubectl delete secret" in one["message"], f"{one}")


@leg
def a_plan_sees_what_others_changed(lab):
    """A value changed by hand and a deleted Secret are planned to be repaired; without the right to get Secrets: unknown."""
    planner = Planner(lab, "drift-planner", [*READS, SECRETS])
    blind = Planner(lab, "blind-planner", READS)
    lab.put("plan-d", "value that drifts")
    objects = spc("plan-d", {"plan-d": {}}), sync("plan-d", "plan-d", {"k": "plan-d"})
    one, rows = blind.ask(*objects, code=2, action="unknown")
    check("newDigest" in rows["k"] and "oldDigest" not in rows["k"] and "may not get it" in one["message"], f"{one}")
    with lab.engine():
        lab.apply(*objects)
        lab.wait_data("plan-d", {"k": "value that drifts"})
        lab.wait_rest("plan-d")
    _, rows = blind.ask(*objects, code=2, action="unknown")
    check(rows["k"]["action"] == "unknown" and "version" in rows["k"], f"{rows}")
    lab.cluster.kubectl("patch", "secret", "plan-d", "-n", NAMESPACE, "--type=merge", "-p", '{"data": {"k": "ZWRpdGVk"}}')
    _, rows = planner.ask(*objects, code=2, action="update")
    check(rows["k"]["oldDigest"] != rows["k"]["newDigest"], f"{rows}")
    lab.cluster.kubectl("patch", "secret", "plan-d", "-n", NAMESPACE, "--type=merge", "-p",
                        json.dumps({"metadata": {"labels": {MANAGED: None}}}))
    one, _ = planner.ask(*objects, code=1, action="refused")
    check(one["reason"] == "UpdateFailedInvalidLabel", f"{one}")
    lab.cluster.kubectl("delete", "secret", "plan-d", "-n", NAMESPACE)
    _, rows = planner.ask(*objects, code=2, action="create")
    check(actions(rows) == {"k": "create"}, f"{rows}")


@leg
def a_plan_of_an_akvsync(lab):
    """What an AKVSync stands for is planned; an entry that is dropped takes its Secret away; a stranger's name is refused."""
    planner = Planner(lab, "akv-planner", [*READS, SECRETS])
    lab.put("plan-one", "value of one")
    lab.put("plan-two", "value of two")

    def akv(*names):
        return akvsync("plan-akv", *({"secretInAKV": name} for name in names))
    code, text = planner.run([akv("plan-one", "plan-two")])
    answer = {one["name"]: one["action"] for one in json.loads(text)["secretSyncs"]}
    check(code == 2 and answer == {"plan-one": "create", "plan-two": "create"}, text)
    with lab.engine():
        lab.apply(akv("plan-one", "plan-two"))
        lab.wait_rest("plan-one", "plan-two", timeout=60)
    code, text = planner.run([akv("plan-one", "plan-two")])
    check(code == 0, text)
    code, text = planner.run([akv("plan-two")])
    answer = {one["name"]: one["action"] for one in json.loads(text)["secretSyncs"]}
    check(code == 2 and answer == {"plan-one": "remove", "plan-two": "unchanged"}, text)
    lab.apply(sync("plan-taken", "akvsync-plan-akv", {"k": "plan-one"}))
    code, text = planner.run([akv("plan-one", "plan-two", "plan-taken")])
    answer = {one["name"]: one["action"] for one in json.loads(text)["secretSyncs"]}
    check(code == 1 and answer["plan-taken"] == "refused", text)

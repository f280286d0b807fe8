"""How a case gets what no request of kvsync's makes: rights, a policy, old revisions forgotten.

On an API server these are objects (and patience); the local world has words for them on its control
port. A rule is {"apiGroups": [..], "resources": [..], "verbs": [..]}, in the case's namespace.
"""

import json
import urllib.request

from bodies import METADATA, NAMESPACES

RBAC = "rbac.authorization.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
DENIAL = "not by this account"


def user_of(k, account):
    return f"system:serviceaccount:{k.namespace}:{account}"


class Objects:
    """Rights and policies of a real API server."""

    def allow(self, k, account, identity, rules):
        subject = {"kind": "ServiceAccount", "name": account, "namespace": k.namespace}
        reference = {"apiGroup": RBAC, "kind": "Role", "name": account}
        for kind, extra in (("Role", {"rules": rules}),
                            ("RoleBinding", {"subjects": [subject], "roleRef": reference})):
            path = f"/apis/{RBAC}/v1/namespaces/{k.namespace}/{kind.lower()}s"
            k.create(path, {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": account},
                            **extra})
        for rule in rules:
            k.poll(f"the right to {rule}", lambda: self._may(k, identity, rule))

    @staticmethod
    def _may(k, identity, rule):
        """Rights arrive a moment after their objects."""
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                  "spec": {"resourceAttributes": {
                      "namespace": k.namespace, "group": rule["apiGroups"][0],
                      "resource": rule["resources"][0], "verb": rule["verbs"][0]}}}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return k.create(path, review, identity)["status"]["allowed"]

    def deny(self, k, account, identity, reason):
        """A policy by which the account may not write Secrets of the case's namespace."""
        check = {"expression": f"request.userInfo.username != '{user_of(k, account)}'",
                 "message": DENIAL}
        if reason:
            check["reason"] = reason
        policy = {
            "failurePolicy": "Fail", "validations": [check],
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": k.namespace}},
                "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
                                   "resources": ["secrets"], "operations": ["CREATE", "UPDATE"]}]}}
        binding = {"policyName": k.namespace, "validationActions": ["Deny"]}
        for kind, plural, spec in (
                ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", policy),
                ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", binding)):
            k.create(f"/apis/{ADMISSION}/v1/{plural}", {
                "apiVersion": f"{ADMISSION}/v1", "kind": kind, "metadata": {"name": k.namespace},
                "spec": spec})
        attempt = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "attempt"}}
        k.poll("the policy to be enforced, about a second", lambda: k.send(
            None, "POST", f"{NAMESPACES}/{k.namespace}/secrets", attempt, accept=METADATA,
            identity=identity, expect=(201, 403, 422), dryRun="All").status != 201)

    def forget_history(self):
        """An API server forgets by itself: tests/e2e/cluster.py lets it do so every few seconds."""

    def clean(self, k):
        """The objects are deleted with everything else that the case made."""


class World:
    """Rights and policies of the local world, by the words of its control port."""

    def __init__(self, control_url):
        self.url = control_url
        self.users = []

    def _say(self, word, **members):
        request = urllib.request.Request(f"{self.url}/world/{word}", json.dumps(members).encode(),
                                         {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def allow(self, k, account, identity, rules):
        self.users.append(user_of(k, account))
        for rule in rules:
            self._say("kube-allow", user=user_of(k, account), namespace=k.namespace,
                      group=rule["apiGroups"][0], resources=",".join(rule["resources"]),
                      verbs=",".join(rule["verbs"]))

    def deny(self, k, account, identity, reason):
        members = {"reason": reason} if reason else {}
        self._say("kube-policy", policy=k.namespace, binding=k.namespace, message=DENIAL,
                  resource="secrets", user=user_of(k, account), **members)

    def forget_history(self):
        self._say("kube-compact")

    def clean(self, k):
        for user in self.users:
            self._say("kube-disallow", user=user)
        self.users.clear()
        self._say("kube-policy")

#!/usr/bin/env python3
"""tests/conformance/run.py KVSYNC [FILE.jsonl...]: rows of input and expectation, judged by the program itself.

Each row becomes a manifest; one `kvsync check -o json` judges all manifests of a file. README.md tells the format of the rows.
Without files every *.jsonl of this folder and of those below it is run.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
ITEM = {"objectName": "name", "objectType": "secret"}
PARAMETERS = {"clientID": "client", "keyvaultName": "vault", "tenantID": "tenant",
              "objects": "array:\n- |\n  objectName: name\n  objectType: secret\n"}
SYNC = {"serviceAccountName": "account", "secretProviderClassName": "class",
        "secretObject": {"data": [{"sourcePath": "name", "targetKey": "key"}]}}

AKVSYNC = {"keyvaultName": "vault", "clientID": "client", "tenantID": "tenant", "serviceAccountName": "account",
           "objects": [{"secretInAKV": "name"}]}


def overlay(base, change):
    """RFC 7396: members replace, null takes away."""
    if not isinstance(change, dict) or not isinstance(base, dict):
        return change
    merged = {**base}
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = overlay(merged.get(key), value)
    return merged


def class_manifest(namespace, spec):
    return {"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
            "metadata": {"name": "class", "namespace": namespace}, "spec": spec}


def sync_manifest(namespace, spec):
    return {"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "SecretSync",
            "metadata": {"name": "sync", "namespace": namespace}, "spec": spec}


def of_akvsync(namespace, change):
    return [{"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "AKVSync",
             "metadata": {"name": "app", "namespace": namespace}, "spec": overlay(AKVSYNC, change)}]


def item_text(item):
    """An item of `objects`: a text as it is; a mapping becomes a YAML text, its values as JSON (which is YAML)."""
    if isinstance(item, str):
        return item
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in {**ITEM, **item}.items() if value != "UNSET")


def objects_text(objects):
    return objects if isinstance(objects, str) else json.dumps({"array": [item_text(item) for item in objects]})


def class_spec(change):
    return overlay({"provider": "azure", "parameters": PARAMETERS}, change)


def of_parameters(namespace, change):
    return [class_manifest(namespace, class_spec({"parameters": change}))]


def of_class(namespace, change):
    return [class_manifest(namespace, class_spec(change))]


def of_objects(namespace, objects):
    return of_parameters(namespace, {"objects": objects_text(objects)})


def of_sync(namespace, change):
    return [class_manifest(namespace, class_spec({})), sync_manifest(namespace, overlay(SYNC, change))]


def of_data(namespace, row):
    data = [{"sourcePath": source, "targetKey": target} for target, source in row["data"].items()]
    secret = {"data": data, **({"type": row["type"]} if "type" in row else {})}
    spec = overlay(SYNC, {"secretObject": secret})
    return [*of_objects(namespace, row["objects"]), sync_manifest(namespace, spec)]


# What the first word of a file's name makes of a row's input. "manifest" rows are YAML texts, taken as they are.
KINDS = {"parameters": of_parameters, "class": of_class, "objects": of_objects, "sync": of_sync, "data": of_data,
         "akvsync": of_akvsync}


def read_rows(path):
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, given, expected = json.loads(line)
        except ValueError as error:
            raise SystemExit(f"{path}:{number}: no row [name, input, expected]: {error}") from None
        rows.append((number, name, given, expected))
    return rows


def manifest_text(kind, namespace, given):
    if kind == "manifest":
        return given
    return "\n---\n".join(json.dumps(one, ensure_ascii=False) for one in KINDS[kind](namespace, given))


def configuration(path, rows):
    """Of files whose name ends in "-configured": custom clouds, and namespaces that may use the node's identity."""
    if not path.stem.endswith("-configured"):
        return ""
    names = ", ".join(f"row-{number}" for number, _, given, _ in rows)
    return f"cloudEnvironmentFolder: {FOLDER / 'clouds'}\nmanagedIdentityNamespaces: [{names}]\n"


def judge(program, kind, rows, config):
    """The program's answer for each row: faults, notes, and what it would fetch."""
    with tempfile.TemporaryDirectory(prefix="kvsync-conformance-") as folder:
        names = []
        for number, _, given, _ in rows:
            path = pathlib.Path(folder) / f"{number:06}.yaml"
            path.write_text(manifest_text(kind, f"row-{number}", given), encoding="utf-8")
            names.append(str(path))
        options = []
        if config:
            options = ["--config", f"{folder}/kvsync.conf"]
            pathlib.Path(options[1]).write_text(config, encoding="utf-8")
        run = subprocess.run([program, "check", "-o", "json", *options, *names], capture_output=True, text=True, check=False)
        if run.returncode not in (0, 1) or run.stderr:
            raise SystemExit(f"{program} ended with code {run.returncode}: {run.stderr}")
        answer = json.loads(run.stdout)
    parts = ("faults", "notes", "secretSyncs", "secretProviderClasses")
    return [{part: [one for one in answer[part] if one["file"] == name] for part in parts} for name in names]


def lacks(actual, expected, path=""):
    """Where `actual` is not as expected; members that are not expected do not matter. Lists are compared whole."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key, value in expected.items():
            if key not in actual:
                return f"{path}.{key} is missing"
            found = lacks(actual[key], value, f"{path}.{key}")
            if found:
                return found
        return None
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for index, (one, other) in enumerate(zip(actual, expected)):
            found = lacks(one, other, f"{path}[{index}]")
            if found:
                return found
        return None
    return None if actual == expected else f"{path} is {json.dumps(actual)}, not {json.dumps(expected)}"


def judge_faults(answer, expected):
    wanted = expected.get("faults", [expected["fault"]] if "fault" in expected else [])
    found = [one["field"] for one in answer["faults"]]
    if sorted(found) != sorted(wanted):
        return f"faults in {found}, not in {wanted}: {[one['message'] for one in answer['faults']]}"
    says = expected.get("says")
    if says and not any(says in one["message"] for one in answer["faults"]):
        return f"no message says '{says}': {[one['message'] for one in answer['faults']]}"
    line = expected.get("line")
    if line and [one["line"] for one in answer["faults"]] != ([line] if isinstance(line, int) else line):
        return f"the faults are in line {[one['line'] for one in answer['faults']]}, not {line}"
    return None


def judge_result(kind, answer, expected):
    rest = {key: value for key, value in expected.items() if key not in ("fault", "faults", "says", "line", "note")}
    note = expected.get("note")
    if note is not None and not any(note in one["message"] for one in answer["notes"]):
        return f"no note says '{note}': {answer['notes']}"
    if not rest:
        return None
    part = "secretSyncs" if kind in ("sync", "data") else "secretProviderClasses"
    if kind in ("manifest", "akvsync"):
        return lacks(answer, rest)
    if len(answer[part]) != 1:
        return f"{len(answer[part])} {part}"
    actual = dict(answer[part][0])
    if kind == "data" and isinstance(rest.get("data"), dict):
        actual["data"] = {one["targetKey"]: [one["type"], one["name"], one["index"], *([one["part"]] if "part" in one else [])]
                          for one in actual["data"]}
    return lacks(actual, rest)


def run_file(program, path):
    kind = path.name.split(".")[0].split("-")[0]
    if kind not in KINDS and kind != "manifest":
        raise SystemExit(f"{path}: the name has to begin with one of {', '.join([*KINDS, 'manifest'])}")
    rows, failed = read_rows(path), 0
    # Whole texts may name the same objects; each is judged alone.
    batches = [[row] for row in rows] if kind == "manifest" else [rows]
    answers = [answer for batch in batches
               for answer in judge(program, kind, batch, configuration(path, batch))]
    for (number, name, _, expected), answer in zip(rows, answers):
        problem = judge_faults(answer, expected) or judge_result(kind, answer, expected)
        if problem:
            failed += 1
            print(f"{path}:{number}: {name}: {problem}")
    print(f"{path.relative_to(FOLDER) if path.is_relative_to(FOLDER) else path}: {len(rows)} rows, {failed} failed")
    return failed


def run_golden(program):
    """The outputs for people and for programs, to the letter."""
    failed = 0
    for name, options in (("table.txt", []), ("output.json", ["-o", "json"])):
        run = subprocess.run([program, "check", "manifests", *options], cwd=FOLDER / "golden", capture_output=True, text=True,
                             check=False)
        expected = (FOLDER / "golden" / name).read_text(encoding="utf-8")
        if run.stdout != expected or run.returncode != 1:
            failed += 1
            print(f"golden/{name}: not what `kvsync check manifests {' '.join(options)}` says (code {run.returncode}):\n{run.stdout}")
    print(f"golden: 2 outputs, {failed} failed")
    return failed


def run_cel():
    """`kvsync check` evaluates no CEL: cel.json names for each rule of the CRDs a row in which the same is refused."""
    manifests = sorted((FOLDER.parent.parent / "deploy" / "manifests").glob("*-crd-*.yaml"))
    found = {rule.strip('"') for path in manifests for rule in re.findall(r"- rule: (.+)", path.read_text(encoding="utf-8"))}
    known = json.loads((FOLDER / "cel.json").read_text(encoding="utf-8"))
    problems = [f"{rule}: no row is named for it" for rule in found - known.keys()]
    problems += [f"{rule}: no such rule in the CRDs" for rule in known.keys() - found]
    for rule, (kind, name) in known.items():
        rows = [expected for _, row, _, expected in read_rows(FOLDER / f"{kind}.jsonl") if row == name]
        if len(rows) != 1 or not rows[0].keys() & {"fault", "faults"}:
            problems.append(f"{rule}: {kind}.jsonl has no row '{name}' that is refused")
    for problem in problems:
        print(f"cel.json: {problem}")
    print(f"cel.json: {len(found)} rules, {len(problems)} failed")
    return len(problems)


def run_rules(program):
    """What a real API server refuses by the CRDs (tests/e2e/rules.py asks one), `kvsync check` refuses as well."""
    sys.path.insert(0, str(FOLDER.parent / "e2e"))
    import rules  # pylint: disable=import-outside-toplevel
    tables = [("SecretSync", rules.API, rules.SYNC, rules.UPSTREAM + rules.OURS), ("AKVSync", rules.API, rules.AKV, rules.AKVS),
              ("SecretProviderClass", "secrets-store.csi.x-k8s.io/v1", {"provider": "azure", "parameters": PARAMETERS}, rules.CLASSES)]
    rows = [(kind, api, rules.changed(spec, changes), denial) for kind, api, spec, table in tables
            for changes, denial in table if denial or not changes]
    good_class = class_spec({"parameters": {"objects": objects_text([{"objectName": "object"}])}})
    texts = []
    for number, (kind, api, spec, _) in enumerate(rows):
        objects = [{"apiVersion": api, "kind": kind, "metadata": {"name": "rule", "namespace": f"row-{number}"}, "spec": spec}]
        if kind == "SecretSync":
            objects.append(class_manifest(f"row-{number}", good_class))
        texts.append("\n---\n".join(json.dumps(one) for one in objects))
    answers = judge(program, "manifest", [(number, "", text, {}) for number, text in enumerate(texts)], "")
    problems = []
    for (kind, _, spec, denial), answer in zip(rows, answers):
        told = [one["message"] for one in answer["faults"] if one["kind"] == kind and "names nothing" not in one["message"]
                and "not among these files" not in one["message"]]
        if bool(told) != bool(denial):
            problems.append(f"{kind} {json.dumps(spec)[:300]}: the API server says {denial}, check {told}")
    for problem in problems:
        print(f"rules: {problem}")
    print(f"rules: {len(rows)} rows of tests/e2e/rules.py, {len(problems)} failed")
    return len(problems)


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    program = str(pathlib.Path(sys.argv[1]).resolve())
    given = [pathlib.Path(name).resolve() for name in sys.argv[2:]]
    failed = sum(run_file(program, path) for path in given or sorted(FOLDER.rglob("*.jsonl")))
    if not given:
        failed += run_golden(program) + run_cel() + run_rules(program)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

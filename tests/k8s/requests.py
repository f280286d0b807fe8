#!/usr/bin/env python3
"""Ask a Kubernetes API server what kvsync relies on, and compare the answers of two servers.

    requests.py list
    requests.py run --kubeconfig FILE --out ANSWERS.json [--case NAME]... [--without FEATURE,...]
    requests.py run --world world.json --out ANSWERS.json ...
    requests.py compare REFERENCE.json ANSWERS.json

Each case works in a namespace of its own and removes what it made. The user of the kubeconfig has
to be an administrator of the server, and the server one for tests: some cases need it without
SecretSyncs of others. --world names the file that kvsync-world writes.
"""

import argparse
import difflib
import http.client
import json
import sys
import time

import cases_access  # noqa: F401 - importing registers the cases
import cases_akv  # noqa: F401
import cases_fields  # noqa: F401
import cases_lifecycle  # noqa: F401
import cases_secret  # noqa: F401
import cases_secret_watch  # noqa: F401
import cases_sync  # noqa: F401
import cases_watch  # noqa: F401
from case import CASES, FEATURES, Context, Unexpected
from kube import Identity
from setups import Objects, World


def run_case(identity, setup, name):
    """Run one case; returns its record and what was unexpected."""
    function = CASES[name]
    context = Context(identity, setup)
    try:
        with context:
            function(context)
    except Unexpected as error:
        context.surprises.append(str(error))
    except (OSError, http.client.HTTPException, LookupError, TypeError, ValueError) as error:
        context.surprises.append(f"cannot go on with such an answer: {error!r}")
    return {"about": " ".join(function.__doc__.split()), "steps": context.steps}, context.surprises


def chosen_cases(names, without):
    unknown = [name for name in names if name not in CASES]
    if unknown:
        sys.exit(f"requests.py: no case {unknown[0]!r}; `requests.py list` names them all")
    return [name for name in names or CASES if not CASES[name].needs & without]


def run(options):
    without = set(filter(None, ",".join(options.without).split(",")))
    if without - set(FEATURES):
        sys.exit(f"requests.py: no feature {sorted(without - set(FEATURES))[0]!r}; "
                 f"there are {', '.join(FEATURES)}")
    kubeconfig, setup = options.kubeconfig, Objects()
    if options.world:
        world = load(options.world)
        kubeconfig, setup = world["kubeconfig"], World(world["controlUrl"])
    identity = Identity.from_kubeconfig(kubeconfig)
    names = chosen_cases(options.case, without)
    result = {"without": sorted(without), "cases": {}}
    failed = []
    started = time.monotonic()
    for number, name in enumerate(names, 1):
        begun = time.monotonic()
        result["cases"][name], surprises = run_case(identity, setup, name)
        print(f"[{number}/{len(names)}] {name}: {'UNEXPECTED' if surprises else 'ok'} "
              f"({time.monotonic() - begun:.1f} s)", flush=True)
        for surprise in surprises:
            print(f"    {surprise}", flush=True)
        failed += [name] if surprises else []
    save(options.out, result)
    print(f"requests.py: {len(names) - len(failed)} of {len(names)} cases as expected "
          f"in {time.monotonic() - started:.0f} s; answers in {options.out}")
    return 1 if failed else 0


def save(path, answers):
    """JSON with one line per step, so that two files can be read side by side."""
    def line(value):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    cases = ",\n".join(
        f'{line(name)}: {{"about": {line(record["about"])}, "steps": [\n'
        + ",\n".join(map(line, record["steps"])) + "]}"
        for name, record in sorted(answers["cases"].items()))
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'{{"without": {line(answers["without"])}, "cases": {{\n{cases}}}}}\n')


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def differences(name, left, right):
    """The steps of one case that differ, as lines."""
    for number in range(max(len(left), len(right))):
        one, two = (steps[number] if number < len(steps) else None for steps in (left, right))
        if one == two:
            continue
        label = (one or two)["label"]
        yield f"--- {name}: step {number + 1}, {label!r}"
        texts = [json.dumps(step, indent=1, sort_keys=True, ensure_ascii=False).splitlines()
                 for step in (one, two)]
        yield from list(difflib.unified_diff(*texts, lineterm="", n=3))[2:]


def compare(options):
    """left is the reference: each of its cases has to be in right, save those that need what right
    was told to do without."""
    left, right = load(options.left), load(options.right)
    lacking = set(right["without"])
    names = [name for name in sorted(left["cases"])
             if name not in CASES or not CASES[name].needs & lacking]
    different = 0
    for name in names:
        if name in right["cases"]:
            lines = list(differences(name, left["cases"][name]["steps"],
                                     right["cases"][name]["steps"]))
        else:
            lines = [f"--- {name}: not in {options.right}"]
        if lines:
            different += 1
            print("\n".join(lines))
    if different:
        print(f"requests.py: {different} of {len(names)} cases differ "
              f"(- {options.left}, + {options.right})")
        return 1
    left_out = len(left["cases"]) - len(names)
    remark = f"; {left_out} left out, for want of {', '.join(sorted(lacking))}" if left_out else ""
    print(f"requests.py: {len(names)} cases, all answers equal{remark}")
    return 0


def list_cases(_):
    for name, function in CASES.items():
        needs = f" [needs {', '.join(sorted(function.needs))}]" if function.needs else ""
        print(f"{name}: {' '.join(function.__doc__.split())}{needs}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("run", help="send all requests and write the answers")
    server = command.add_mutually_exclusive_group(required=True)
    server.add_argument("--kubeconfig", help="an administrator's")
    server.add_argument("--world", metavar="world.json", help="of the local world")
    command.add_argument("--out", required=True, help="file for the answers")
    command.add_argument("--case", action="append", default=[], help="this case alone (repeatable)")
    command.add_argument("--without", action="append", default=[], metavar="FEATURE,...",
                         help="leave out what needs one of: " + ", ".join(FEATURES))
    command.set_defaults(run=run)
    command = commands.add_parser("compare", help="fail and show where two answers differ")
    command.add_argument("left", metavar="REFERENCE")
    command.add_argument("right", metavar="ANSWERS")
    command.set_defaults(run=compare)
    commands.add_parser("list", help="name all cases").set_defaults(run=list_cases)
    options = parser.parse_args()
    try:
        sys.exit(options.run(options))
    except (OSError, ValueError) as error:
        sys.exit(f"requests.py: {error}")


if __name__ == "__main__":
    main()

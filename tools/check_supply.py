"""Checks the dependencies against deny.toml: licences, bans, sources and wildcards. cargo-deny does the same and more
(`make deny`), but takes as long to compile as the tests take to run.

    check_supply.py
"""

import json
import operator
import re
import subprocess
import sys
import tomllib


def allowed(expression, licences):
    """Whether an SPDX expression can be met with these licences."""
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def joined(at, word, part, join):
        value, at = part(at)
        while at < len(tokens) and tokens[at] == word:
            other, at = part(at + 1)
            value = join(value, other)
        return value, at

    def either(at):
        return joined(at, "OR", both, operator.or_)

    def both(at):
        return joined(at, "AND", one, operator.and_)

    def one(at):
        if tokens[at] == "(":
            value, at = either(at + 1)
            return value, at + 1
        name, at = tokens[at], at + 1
        if at < len(tokens) and tokens[at] == "WITH":
            # A licence is allowed with any exception: an exception only gives more rights.
            name, at = f"{name} WITH {tokens[at + 1]}", at + 2
            return name in licences or name.split(" WITH ")[0] in licences, at
        # `+` means this version or a later one.
        return name.removesuffix("+") in licences, at

    value, end = either(0)
    return value and end == len(tokens)


def main():
    with open("deny.toml", "rb") as file:
        rules = tomllib.load(file)
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    for target in rules["graph"]["targets"]:
        command += ["--filter-platform", target]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    used = {node["id"] for node in metadata["resolve"]["nodes"]}
    licences, banned = set(rules["licenses"]["allow"]), {one["name"] for one in rules["bans"]["deny"]}
    faults, count, registries = [], 0, set()
    for package in (package for package in metadata["packages"] if package["id"] in used):
        name, own = f"{package['name']} {package['version']}", package["source"] is None
        count += not own
        if not own:
            registries.add(package["source"])
        if not own and not package["source"].startswith("registry+"):
            faults.append(f"{name} comes from {package['source']}")
        if not own and not allowed(package["license"] or "none", licences):
            faults.append(f"{name} has the licence {package['license']}")
        if package["name"] in banned:
            faults.append(f"{name} is banned")
        for dependency in package["dependencies"] if own else ():
            if dependency["req"] == "*" and dependency.get("path") is None:
                faults.append(f"{package['name']} asks for any version of {dependency['name']}")
    if len(registries) > 1:
        faults.append(f"the dependencies come from {len(registries)} places: {', '.join(sorted(registries))}")
    for fault in faults:
        print(f"error: {fault}\nhint: see deny.toml", file=sys.stderr)
    print(f"{count} dependencies checked")
    return 1 if faults else 0


sys.exit(main())

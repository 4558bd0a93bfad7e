"""Checks the syntax of compose.yaml and deploy/nginx.conf, that their names match, and that images are pinned. Needs no
Docker and no nginx.

    check_deploy.py FOLDER      FOLDER contains the unpacked wheels of tools/lint-requirements.txt
"""

import importlib.machinery
import importlib.util
import pathlib
import re
import sys

wheels = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(wheels))
import crossplane  # noqa: E402

faults = []


def compose():
    """The services by name, checked against the Compose specification."""
    # Load only the extension, because the package around it needs more packages.
    path = next(wheels.glob("compose_spec/compose_spec.*.so"))
    loader = importlib.machinery.ExtensionFileLoader("compose_spec", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("compose_spec", loader))
    loader.exec_module(module)
    project = module.PyOptions(apply_merge=True).from_yaml(pathlib.Path("compose.yaml").read_text(encoding="utf-8"))
    project.validate()
    return project.to_dict()["services"]


def check_services(services):
    for name, service in services.items():
        ours = service.get("image") == "banter"  # our image has its own health check
        if not ours and not service.get("healthcheck"):
            faults.append(f"compose.yaml: {name} has no healthcheck")
        for wish in ("read_only", "cap_drop", "security_opt", "mem_limit", "pids_limit"):
            if not service.get(wish):
                faults.append(f"compose.yaml: {name} has no {wish}")
        for other in service.get("depends_on") or {}:
            if other not in services:
                faults.append(f"compose.yaml: {name} depends on {other}, which does not exist")


def check_nginx(services):
    parsed = crossplane.parse("deploy/nginx.conf", comments=False)
    faults.extend(f"deploy/nginx.conf: {error['error']}" for error in parsed["errors"])

    def walk(block):
        for directive in block:
            yield directive
            yield from walk(directive.get("block") or [])

    directives = [one for config in parsed["config"] for one in walk(config["parsed"])]
    servers = [one["args"][0].split(":")[0] for one in directives if one["directive"] == "server" and one["args"]]
    if not servers:
        faults.append("deploy/nginx.conf: there is no upstream with a server")
    for server in servers:
        if server not in services:
            faults.append(f"deploy/nginx.conf: {server} is not a service in compose.yaml")
    if not any(one["directive"] == "listen" and "ssl" in one["args"] for one in directives):
        faults.append("deploy/nginx.conf: no server listens with TLS")


def check_secrets():
    """Every secret of compose.yaml is made by deploy/make-env.sh."""
    text = pathlib.Path("compose.yaml").read_text(encoding="utf-8")
    made = pathlib.Path("deploy/make-env.sh").read_text(encoding="utf-8").split()
    for name in sorted(set(re.findall(r"\$\{(\w+):\?\}", text))):
        if name not in [word.strip(";\\") for word in made]:
            faults.append(f"compose.yaml: {name} is needed, but deploy/make-env.sh does not make it")


def check_images(services):
    """Every image that others made is pinned by its digest: a tag can be moved, a digest cannot."""
    lines = pathlib.Path("Dockerfile").read_text(encoding="utf-8").splitlines()
    images = [("Dockerfile", line.split()[1]) for line in lines if line.startswith("FROM ")]
    images += [("compose.yaml", service["image"]) for service in services.values() if service["image"] != "banter"]
    for file, image in images:
        if not re.search(r"@sha256:[0-9a-f]{64}$", image):
            faults.append(f"{file}: the image {image} is not pinned: end it with @sha256:…")


services = compose()
check_services(services)
check_images(services)
check_nginx(services)
check_secrets()
for fault in faults:
    print(f"error: {fault}", file=sys.stderr)
sys.exit(1 if faults else 0)

"""Checks what deploy/ holds against the schemas of those who read it, offline.

    check_deploy.py compose FILE             the Compose specification, references and mounts
    check_deploy.py kubernetes VERSION < …   what `kustomize build` printed, and the operator's kinds
    check_deploy.py rules RULE FILE…         a PrometheusRule has the groups of these files

Prints a JSON object of what was found, and fails with what is wrong.
"""

import json
import re
import sys
from pathlib import Path

import yaml

VARIABLE = re.compile(r"\$\$|\$\{([A-Z_][A-Z0-9_]*)(?::-([^}]*))?\}")


def interpolated(text):
    """As Compose does it, with an empty environment: every variable must have a default."""

    def value(found):
        if found.group(0) == "$$":
            return "$"
        if found.group(2) is None:
            sys.exit(f"{found.group(0)} has no default")
        return found.group(2)

    return VARIABLE.sub(value, text)


def compose(path):
    import compose_spec

    text = interpolated(Path(path).read_text())
    # Anchors and `<<` are YAML's own business, and are gone once it is read.
    described = yaml.safe_load(text)
    compose_spec.PyCompose.from_json(json.dumps(described)).validate()
    services = described["services"]
    for name, service in services.items():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith(".") and not (Path(path).parent / source).exists():
                sys.exit(f"{name} mounts {source}, which is not there")
        image = service["image"]
        # Reproducible: a tag of its own, or ours.
        if not image.startswith("localhost/") and image.endswith(":latest"):
            sys.exit(f"{name} runs {image}: which one is that tomorrow?")
    print(json.dumps({"services": services}))


def kubernetes(version):
    import kubernetes_validate
    from cloudcoil.models.prometheus_operator import v1

    kinds = {}
    for document in yaml.safe_load_all(sys.stdin):
        if document is None:
            continue
        kind = document["kind"]
        if document["apiVersion"] == "monitoring.coreos.com/v1":
            getattr(v1, kind).model_validate(document, extra="forbid")
        else:
            kubernetes_validate.validate(document, version, strict=True)
        kinds.setdefault(kind, []).append(document)
    print(json.dumps(kinds))


def rules(rule, *files):
    groups = []
    for file in files:
        groups += yaml.safe_load(Path(file).read_text())["groups"]
    found = yaml.safe_load(Path(rule).read_text())["spec"]["groups"]
    if found != groups:
        sys.exit(f"{rule} has other groups than {', '.join(files)}: run scripts/kubernetes-rules")
    print(json.dumps({"groups": [group["name"] for group in groups]}))


{"compose": compose, "kubernetes": kubernetes, "rules": rules}[sys.argv[1]](*sys.argv[2:])

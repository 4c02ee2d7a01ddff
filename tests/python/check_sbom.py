"""Checks a bill of materials (CycloneDX 1.5, JSON) against Cargo.lock, with Python alone.

    check_sbom.py CARGO_LOCK SBOM NAME VERSION CRATE…   it is NAME's, and lists these crates
"""

import json
import re
import sys
import tomllib
from pathlib import Path

SERIAL = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def main(lock, path, name, version, *crates):
    bom = json.loads(Path(path).read_text())
    locked = {(it["name"], it["version"]) for it in tomllib.loads(Path(lock).read_text())["package"]}

    def must(right, what):
        if not right:
            sys.exit(f"{path}: {what}")

    must(bom["bomFormat"] == "CycloneDX" and bom["specVersion"] == "1.5", "is no CycloneDX 1.5")
    must(SERIAL.fullmatch(bom["serialNumber"]), "has no serial number")
    about = bom["metadata"]["component"]
    must((about["name"], about["version"]) == (name, version), f"is of {about['name']} {about['version']}")
    components = bom["components"]
    for it in components:
        must((it["name"], it["version"]) in locked, f"lists {it['name']} {it['version']}, which Cargo.lock has not")
        must(it["purl"].startswith("pkg:cargo/"), f"has no package URL of {it['name']}")
    names = {it["name"] for it in components}
    for crate in crates:
        must(crate in names, f"does not list {crate}")
    references = [it["bom-ref"] for it in [about, *components]]
    must(len(references) == len(set(references)), "names a component twice")
    for it in bom["dependencies"]:
        for reference in [it["ref"], *it.get("dependsOn", [])]:
            must(reference in references, f"depends on {reference}, which it does not list")
    print(f"bill of materials: {name}, {len(components)} crates")


main(*sys.argv[1:])

"""Writes the software bill of materials of a release, in CycloneDX 1.6: `python requirements/sbom.py oakmill.cdx.json`.

It lists what the locks pin: packages of the hub itself, of each toolchain that is installed at the user's word (its
scope is `optional`), and the pages' library. Each has its purl and the digests that an installation is held to.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\]+?))?\s*\\?$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")

Component = dict[str, Any]


def bill() -> dict[str, Any]:
    """The whole bill, the same each time."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    own = {
        "type": "application",
        "bom-ref": "oakmill",
        "name": "oakmill",
        "version": project["version"],
        "licenses": [{"license": {"id": project["license"]}}],
    }
    components = {item["bom-ref"]: item for item in _components()}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": own},
        "components": [components[ref] for ref in sorted(components)],
    }


def _components() -> Iterator[Component]:
    """Those that are always there come last, so that they win."""
    for lock in sorted((ROOT / "src").rglob("*.lock")):
        group = lock.relative_to(ROOT / "src" / "oakmill").as_posix()
        yield from (item | {"scope": "optional", "group": group} for item in _of_lock(lock))
    for name in ("bootstrap", "runtime"):
        yield from (item | {"scope": "required"} for item in _of_lock(ROOT / "requirements" / f"{name}.lock"))
    yield from _of_npm(ROOT / "package-lock.json")


def _of_lock(lock: Path) -> Iterator[Component]:
    found: Component | None = None
    for line in lock.read_text().splitlines():
        if pin := _PIN.match(line):
            if found:
                yield found
            found = _package("pypi", pin["name"].lower().replace("_", "-"), pin["version"])
            if pin["marker"]:
                found["properties"] = [{"name": "oakmill:marker", "value": pin["marker"]}]
        elif found and (digest := _HASH.search(line)):
            found["hashes"] = [*found.get("hashes", []), {"alg": "SHA-256", "content": digest[1]}]
    if found:
        yield found


def _of_npm(lock: Path) -> Iterator[Component]:
    for place, about in json.loads(lock.read_text())["packages"].items():
        if place and not about.get("dev"):
            algorithm, _, digest = about["integrity"].partition("-")
            assert algorithm == "sha512", place
            item = _package("npm", place.removeprefix("node_modules/"), about["version"])
            item["hashes"] = [{"alg": "SHA-512", "content": base64.b64decode(digest).hex()}]
            yield item | {"scope": "required", "licenses": [{"license": {"id": about["license"]}}]}


def _package(kind: str, name: str, version: str) -> Component:
    purl = f"pkg:{kind}/{name}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    text = json.dumps(bill(), indent=1) + "\n"
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)
    else:
        sys.stdout.write(text)

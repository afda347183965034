"""A release's bill of materials names all that its locks pin, each with what it is held to."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_bill_lists_all_that_is_pinned() -> None:
    said = subprocess.check_output([sys.executable, ROOT / "requirements" / "sbom.py"], text=True)
    bill = json.loads(said)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    items = {item["purl"]: item for item in bill["components"]}
    assert len(items) == len(bill["components"])
    assert all(item.get("hashes") for item in items.values())
    locks = [ROOT / "requirements" / "runtime.lock", *(ROOT / "src").rglob("*.lock")]
    for lock in locks:
        for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text(), re.M):
            assert f"pkg:pypi/{name.lower().replace('_', '-')}@{version}" in items, (lock.name, name)
    assert any(purl.startswith("pkg:npm/htmx.org@") for purl in items)
    direct = re.findall(r'^    "([\w-]+)>=', (ROOT / "pyproject.toml").read_text().partition("[project.opt")[0], re.M)
    required = {item["name"] for item in items.values() if item["scope"] == "required"}
    assert set(direct) <= required

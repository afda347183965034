"""No package under the AGPL is in our locks: it would ask for the sources of all who use Oakmill in a network.

Ultralytics is a toolchain of a user's own choice, never installed without that word; its lock is the one exception. A
lock says no licences: packages are known by name where they are not installed, and by their own words where they are.
"""

from __future__ import annotations

import json
import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

import pytest

from oakmill.settings import current

ROOT = Path(__file__).parents[2]
CHOSEN = Path("src/oakmill/toolchains/ultralytics/requirements.lock")
KNOWN = re.compile(r"ultralytics(-.*)?|yolov5|pymupdf.*|ghostscript|itext.*")
"""Packages whose authors publish them under the AGPL and that work on models or documents like ours."""
AFFERO = re.compile(r"affero|\bagpl", re.IGNORECASE)


def packages(lock: Path) -> list[str]:
    return re.findall(r"^([A-Za-z0-9][\w.-]*)==", lock.read_text(), re.MULTILINE)


def locks() -> list[Path]:
    every = [*ROOT.glob("requirements/*.lock"), *ROOT.glob("src/**/*.lock"), *ROOT.glob("tests/**/*.lock")]
    return sorted(path.relative_to(ROOT) for path in every)


def says(package: Distribution) -> str:
    """What a package says of its licence."""
    about = package.metadata.json
    licence = [str(about.get(field, ""))[:200] for field in ("license_expression", "license")]
    return " ".join([*licence, *(item for item in about.get("classifier", []) if item.startswith("License"))])


def test_every_lock_is_looked_at() -> None:
    assert {lock.parts[0] for lock in locks()} == {"requirements", "src", "tests"}
    assert CHOSEN in locks()
    assert "ultralytics" in packages(ROOT / CHOSEN)


@pytest.mark.parametrize("lock", [lock for lock in locks() if lock != CHOSEN], ids=str)
def test_no_lock_of_ours_names_a_package_under_the_agpl(lock: Path) -> None:
    named = packages(ROOT / lock)
    assert named
    assert not [name for name in named if KNOWN.fullmatch(name.lower())]
    for name in named:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # a toolchain's
        assert not AFFERO.search(says(found)), f"{name} of {lock}: {says(found)}"


def test_no_toolchain_that_comes_by_itself_has_one() -> None:
    sites = current().toolchains.glob("*/*/lib/python*/site-packages")
    for site in sites:
        if "ultralytics" not in site.as_posix():
            found = {package.metadata["Name"]: says(package) for package in distributions(path=[str(site)])}
            assert not {name: words for name, words in found.items() if AFFERO.search(words)}


def test_no_library_of_the_pages_is_under_it() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())
    licences = {name: about.get("license", "") for name, about in lock["packages"].items() if name}
    assert all(licences.values())
    assert not {name: words for name, words in licences.items() if AFFERO.search(words)}

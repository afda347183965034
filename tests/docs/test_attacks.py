"""Each attack that the docs tell of names the test that does it, and there is such a test."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_row_names_a_test_that_is_there() -> None:
    rows = [
        line
        for line in (ROOT / "docs" / "explain" / "security.md").read_text().splitlines()
        if line.startswith("| ") and not line.endswith("| test |")
    ]
    assert len(rows) > 30
    there = {
        name
        for folder in ("api", "attacks", "crash", "storage", "unit")
        for path in (ROOT / "tests" / folder).rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    for row in rows:
        named = re.search(r"\| `(test_\w+)` \|$", row)
        assert named and named[1] in there, row

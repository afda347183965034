"""Provokes all failures with the real tools, and keeps each as an example for the unit tests.

python -m tests.conversion.failures.record [NAME ...]       # from the checkout; some minutes, best as root
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from oakmill.conversion.failures import SourceFacts
from oakmill.settings import current
from tests.conftest import PROJECT
from tests.conversion.failures.provocations import PROVOCATIONS
from tests.conversion.failures.provoking import Outcome, Provocation, fix, model_of, provoke

EXAMPLES = PROJECT / "tests" / "unit" / "conversion" / "failures" / "examples"
_VENDORS_FOLDER = re.compile(r"/home/jenkins/\S*?/openvino")
_PYTHONS_FOLDER = re.compile(r"/[^\s\"]*/lib/python3\.\d+(?=/)")
_NODES = 8
_LOG_LINES = 12


def main(names: list[str]) -> int:
    """Record these, or all; the number of those that another rule explained, or that no edit repaired."""
    return sum(not record(name, PROVOCATIONS[name]) for name in names or PROVOCATIONS)


def record(name: str, provocation: Provocation) -> bool:
    """Provoke a failure and write it down; whether it went as the table says."""
    with tempfile.TemporaryDirectory(prefix="oakmill-provoked-") as folder:
        outcome = provoke(provocation, Path(folder))
        found = outcome.failure.get("rule", "")
        good = found == (provocation.rule or name)
        if good:
            text = json.dumps(example(outcome, provocation, Path(folder)), indent=1, ensure_ascii=False) + "\n"
            text = text.replace(folder, "<folder>").replace(str(PROJECT), "<oakmill>")
            text = _VENDORS_FOLDER.sub("<openvino>", _PYTHONS_FOLDER.sub("<python>", text))
            (EXAMPLES / f"{name}.json").write_text(text)
        if good and provocation.fixed:
            again = fix(provocation, Path(folder), outcome)
            good = again.exit_code == 0
            found += "" if good else f", but its edit does not help: {again.error or again.stderr}"
    print(f"{'ok' if good else 'NOT'} {name}: {found or outcome.error or outcome.stderr}", flush=True)
    return bool(good)


def example(outcome: Outcome, provocation: Provocation, folder: Path) -> dict[str, Any]:
    """The error and what was known of the source, without what makes it long."""
    opened = outcome.error["code"] not in ("NotAModel", "UnsafeSource")
    facts = SourceFacts.read(model_of(folder), current()) if opened else SourceFacts()
    log = "\n".join(outcome.error["log"].strip().splitlines()[-_LOG_LINES:])
    small = len(facts.nodes) <= _NODES
    return {
        "rule": outcome.failure["rule"],
        "platform": provocation.platform,
        "problem": {**outcome.error, "log": log, "stage": outcome.failure["stage"]},
        "spec": outcome.failure["spec"],
        "inputs": {name: list(shape) for name, shape in facts.inputs.items()},
        "outputs": sorted(facts.outputs),
        "nodes": {name: [node.op, *node.reads] for name, node in facts.nodes.items()} if small else {},
        "tensors": sorted(facts.tensors) if small else [],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

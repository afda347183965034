"""Failures are provoked with the real tools and explained; what the explanation asks to change makes them succeed."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import onnx
import pytest

from tests.conversion.failures.provocations import PROVOCATIONS
from tests.conversion.failures.provoking import Provocation, fix, provoke

QUICK = {name: item for name, item in PROVOCATIONS.items() if item.quick}


@pytest.fixture(autouse=True)
def _tools(rvc4_toolchain: object) -> None:
    """All toolchains that take part, installed."""


@pytest.mark.parametrize("name", QUICK)
def test_a_failure_explains_itself_and_its_edit_repairs_it(name: str, tmp_path: Path) -> None:
    provocation = QUICK[name]
    if provocation.disk_kb and os.geteuid():
        pytest.skip("a small file system can be mounted by root only")
    outcome = provoke(provocation, tmp_path)
    assert outcome.failure.get("rule") == (provocation.rule or name), outcome.error or outcome.stderr
    assert outcome.failure["exit_code"] == outcome.exit_code
    assert "Traceback" not in outcome.stderr
    if provocation.fixed:
        again = fix(provocation, tmp_path, outcome)
        assert again.exit_code == 0, again.error or again.stderr


def test_at_least_six_are_repaired_by_their_edits() -> None:
    assert sum(item.fixed for item in QUICK.values()) >= 6


def test_people_read_what_went_wrong_and_a_bundle_keeps_the_evidence(tmp_path: Path) -> None:
    """The graph is in the bundle, its weights, the machine's paths and the user's folders are not."""
    shown = Provocation(
        PROVOCATIONS["unsupported-op-rvc2"].make, f"--debug-bundle {tmp_path}/why.zip", rule="unsupported-op-rvc2"
    )
    outcome = provoke(shown, tmp_path)
    for words in ("stage: preflight", "where: node 'gridsample_scores' (GridSample)", "--outputs hidden", "evidence:"):
        assert words in outcome.stderr
    with zipfile.ZipFile(tmp_path / "why.zip") as bundle:
        parts = {name: bundle.read(name) for name in bundle.namelist()}
    model = onnx.ModelProto.FromString(parts.pop("model.onnx"))
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu", "GridSample"]
    assert not any(tensor.raw_data for tensor in model.graph.initializer)
    documents = {"README.txt", "failure.json", "log.txt", "spec.json", "effective.json", "events.jsonl", "machine.json"}
    assert set(parts) == documents
    assert str(tmp_path).encode() not in b"".join(parts.values())
    assert b'"stage": "preflight"' in parts["events.jsonl"]

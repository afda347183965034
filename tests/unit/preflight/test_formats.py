"""IRs and TFLite models are looked at by their operations' names: before, `check` said nothing of them at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from oakmill.findings import Severity
from oakmill.model import open_source
from oakmill.model.source import SourceModel
from oakmill.model.tflite_names import OPERATIONS
from oakmill.preflight.check import Code, unread
from oakmill.preflight.formats import LIKE, operations_of
from oakmill.preflight.tables import tables
from oakmill.settings import current
from tests.conversion.tflite_makers import one_operation, written
from tests.unit.model.ir_making import write_ir


def opened(path: Path, tmp_path: Path) -> tuple[SourceModel, dict[str, str]]:
    source = open_source(path, tmp_path / "source", current())
    return source, operations_of(source, current())


def test_an_ir_of_what_the_compiler_takes_is_ok(tmp_path: Path) -> None:
    source, operations = opened(write_ir(tmp_path / "m.xml"), tmp_path)
    assert set(operations) == {"Parameter", "Const", "Convolution", "ReLU", "Result"}
    report = unread(source, "rvc2", operations)
    assert (report.verdict, report.table) == (Severity.OK, "rvc2/openvino-2022.2.0")


def test_a_layer_of_an_ir_that_no_model_converted_with_is_named(tmp_path: Path) -> None:
    path = write_ir(tmp_path / "m.xml")
    path.write_text(path.read_text().replace('type="ReLU"', 'type="Sinh"'))
    report = unread(*_with(opened(path, tmp_path), "rvc2"))
    assert report.findings[0].code is Code.UNSUPPORTED_OP
    assert (report.verdict, report.findings[0].subject) == (Severity.ERROR, "y")


def test_a_layer_that_nobody_knows_is_a_warning(tmp_path: Path) -> None:
    path = write_ir(tmp_path / "m.xml")
    path.write_text(path.read_text().replace('type="ReLU"', 'type="Bucketize"'))
    report = unread(*_with(opened(path, tmp_path), "rvc2"))
    assert (report.findings[0].code, report.verdict) == (Code.UNCERTAIN_OP, Severity.WARNING)


@pytest.mark.parametrize(("operation", "verdict"), [("LOGISTIC", Severity.OK), ("WHERE", Severity.WARNING)])
def test_a_tflite_model_is_looked_at_by_its_operations(tmp_path: Path, operation: str, verdict: Severity) -> None:
    file = written(one_operation(OPERATIONS.index(operation)), tmp_path / "m.tflite")
    source, operations = opened(file, tmp_path)
    assert set(operations) == {operation}
    assert unread(source, "rvc2", operations).verdict is verdict


def test_what_operations_are_like_is_in_the_tables() -> None:
    """A slip of the pen in the list would have every such model called uncertain."""
    known = {variant.op for table in tables().values() for variant, _ in table.variants()}
    assert set(LIKE.values()) - {""} - known <= {"Loop", "GridSample", "ReverseSequence"}


def _with(found: tuple[SourceModel, dict[str, str]], platform: str) -> tuple[SourceModel, str, dict[str, str]]:
    source, operations = found
    return source, platform, operations

"""The toolchain's own model."""

from __future__ import annotations

from pathlib import Path

from oakmill.toolchains.tflite import tiny
from tests.conversion import tflite_writer


def test_the_packed_model_is_the_one_that_is_described(tmp_path: Path) -> None:
    assert tiny.write_model(tmp_path / "tiny.tflite").read_bytes() == tflite_writer.tiny()

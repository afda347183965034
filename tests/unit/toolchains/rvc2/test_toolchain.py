"""What the toolchain asks of its runner, and asks again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oakmill.errors import ToolKilled
from oakmill.settings import Settings
from oakmill.toolchains import arrays
from oakmill.toolchains.rvc2.toolchain import Rvc2Toolchain


class Crashing(Rvc2Toolchain):
    """Its runner ends by a signal, or gives no numbers, unless it is asked for plain instructions."""

    def __init__(self, folder: Path, signal: str = "") -> None:
        super().__init__(Settings(home=folder))
        self.asked: list[str] = []
        self._ends_by = signal

    def _run(self, action: str, model: Path, job: Path, *rest: Any) -> dict[str, Any]:
        variables: Mapping[str, str] = rest[-1]
        self.asked.append(variables.get("DNNL_MAX_CPU_ISA", ""))
        if not self.asked[-1] and self._ends_by:
            error = ToolKilled("ended")
            error.signal = self._ends_by
            raise error
        outputs: dict[str, Any] = {"y/0": np.ones(2) if self.asked[-1] else np.array([1, np.nan])}
        np.savez(job / arrays.OUTPUTS, **outputs)
        return {}


def test_code_that_the_plugin_generates_wrongly_is_done_without(tmp_path: Path) -> None:
    """PP-OCR's text detector ended OpenVINO's CPU plugin by SIGSEGV on processors with AVX2; nothing was converted."""
    toolchain = Crashing(tmp_path, "SIGSEGV")
    (outputs,) = toolchain.infer(tmp_path / "model.onnx", tmp_path / "job", [{"x": np.zeros(1)}])
    assert toolchain.asked == ["", "SSE41"]
    assert outputs["y"].tolist() == [1, 1]


def test_code_that_gives_no_numbers_is_done_without(tmp_path: Path) -> None:
    """Of PP-OCR's reader of text the plugin gave NaN alone with AVX2, 113 dB without; the proof refused the model."""
    toolchain = Crashing(tmp_path)
    (outputs,) = toolchain.infer(tmp_path / "model.onnx", tmp_path / "job", [{"x": np.zeros(1)}])
    assert toolchain.asked == ["", "SSE41"]
    assert outputs["y"].tolist() == [1, 1]


def test_what_is_ended_from_outside_is_not_done_again(tmp_path: Path) -> None:
    toolchain = Crashing(tmp_path, "SIGKILL")
    with pytest.raises(ToolKilled):
        list(toolchain.infer(tmp_path / "model.onnx", tmp_path / "job", [{"x": np.zeros(1)}]))
    assert toolchain.asked == [""]

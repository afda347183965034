"""What a job's process tells before its conversion begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from oakmill.conversion import registry
from oakmill.jobs.runner import ConversionJob
from oakmill.processes.events import ToolEvent, Watcher
from oakmill.settings import Settings
from oakmill.toolchains.base import State, Status
from oakmill.toolchains.growth import Growth


class Absent:
    """A toolchain that is not here, and whose installation takes two steps."""

    name, summary = "rvc2/openvino-2022.2.0", "a compiler"

    def status(self) -> Status:
        return Status(self.name, State.MISSING, self.summary)

    def install(self, watch: Watcher) -> Status:
        growth = Growth(self.name, watch, 200)
        growth.hear(ToolEvent(line="Downloading openvino (30.0MiB)"))
        growth.hear(ToolEvent(line=" Downloaded openvino"))
        growth.written(100_000_000)
        return self.status()


def test_an_installation_is_a_stage_of_its_own_with_megabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was part of "inspect", which had not begun: the page stood at "Starting, 0 %" for as long as it took."""
    monkeypatch.setattr(registry, "needed_toolchains", lambda *_: [Absent()])
    settings = Settings(home=tmp_path, install_toolchains=True)
    request = {"model": "m.onnx", "folder": str(tmp_path), "platform": "rvc2", "spec": {}, "kind": "convert"}
    told: list[Mapping[str, Any]] = []
    ConversionJob(request, settings, walled=False)._install(told.append)
    assert {event["stage"] for event in told} == {"install"}
    assert [event["kind"] for event in (told[0], told[-1])] == ["started", "finished"]
    counted = [
        (event["text"], event.get("done", 0), event["total"], event["unit"]) for event in told if event.get("total")
    ]
    assert [item[0].split()[0] for item in counted] == ["downloading"] * 2 + ["unpacking"]
    assert counted[-1][1:] == (100, 200, "MB")
    told.clear()
    ConversionJob(request, Settings(home=tmp_path, install_toolchains=False), walled=False)._install(told.append)
    assert told == []

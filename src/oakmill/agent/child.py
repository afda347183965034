"""Measures one file on a camera, in a process that can be ended: `python -m oakmill.agent.child`.

It reads one request from stdin, and writes JSON lines on the descriptor that the variable OAKMILL_EVENTS_FD names:
{"event": {...}} as often as there is something to tell, and {"result": ...} or {"failure": ...} at the end.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from oakmill.agent import held_out
from oakmill.calibration import datasets
from oakmill.conversion import on_camera
from oakmill.conversion.events import Event, Progress, stage_of
from oakmill.conversion.on_camera import Asked
from oakmill.conversion.registry import needed_toolchains
from oakmill.errors import DeviceError, OakmillError
from oakmill.jobs.kinds import PROVE
from oakmill.processes.running import Tell, telling
from oakmill.settings import Settings, current
from oakmill.spec import ConversionSpec
from oakmill.toolchains.installing import install_missing

PASSPORT = "camera.passport.json"
_log = logging.getLogger(__name__)


def main() -> None:
    """Do what the one request asks for, and end."""
    tell = telling()
    tell(done(json.loads(sys.stdin.readline()), current(), tell))
    sys.stdout.flush()
    os._exit(0)  # depthai's threads may wait for a camera that is gone


def done(request: Mapping[str, Any], settings: Settings, tell: Tell) -> dict[str, Any]:
    """The last message: what came of the request, whatever goes wrong."""

    def watch(event: Event) -> None:
        tell({"event": event.as_dict()})

    try:
        measure = _prove if request["kind"] == PROVE else _time
        return {"result": measure(request, settings, watch)}
    except Exception as error:  # noqa: BLE001 - whatever it is, the job ends with its explanation
        return {"failure": {**_explained(error), "stage": stage_of(error) or ""}}


def _explained(error: Exception) -> dict[str, Any]:
    if isinstance(error, OakmillError):
        return error.as_dict()
    _log.exception("the measurement failed")
    return DeviceError(f"{type(error).__name__}: {error}", remedy="The log of the job says more.").as_dict()


def _prove(request: Mapping[str, Any], settings: Settings, watch: Callable[[Event], None]) -> dict[str, Any]:
    """Write the passport; its name, and the camera."""
    progress, folder = Progress(watch), Path(request["folder"])
    images = images_of(request, settings, progress)

    def install(spec: ConversionSpec) -> None:
        needed = needed_toolchains(spec, settings, Path(request["source"]))
        install_missing(needed, settings, progress.note, progress.tool)

    asked = Asked(images, request["max_images"], None, request["camera"])
    proved = on_camera.prove(
        Path(request["archive"]), Path(request["source"]), asked, request["seconds"],
        settings=settings, observer=watch, install=install,
    )  # fmt: skip
    document = json.dumps(proved.passport.as_dict(drawings=True))
    (folder / PASSPORT).write_text(document)
    return {"passport": PASSPORT, "device": proved.device.as_dict()}


def images_of(request: Mapping[str, Any], settings: Settings, progress: Progress) -> Path | None:
    """The images to prove it on; None where some are to be generated."""
    folder = Path(request["folder"])
    if named := datasets.unmade(request["set"], settings):
        datasets.install(named, settings, partial(_tell_of_set, progress))
    given = request["set"] or request["images"]
    if not given:
        return None
    found = datasets.resolve(given, settings, folder)
    if not request["names"]:
        return found.files[0] if found.kind == "file" else found.folder
    return held_out.chosen(found.folder, request["names"], folder / "held-out", progress)


def _tell_of_set(progress: Progress, step: Any) -> None:
    progress.doing(step.what, step.done, step.total, step.unit)


def _time(request: Mapping[str, Any], settings: Settings, watch: Callable[[Event], None]) -> dict[str, Any]:
    """The figures."""
    found = on_camera.bench(
        Path(request["archive"]), Asked(camera=request["camera"]), request["seconds"], request["warm_up"],
        settings=settings, observer=watch,
    )  # fmt: skip
    return {"benchmark": found.as_dict(), "device": found.device.as_dict()}


if __name__ == "__main__":
    main()

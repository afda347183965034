"""Converts a case of the suite as a user would, and runs what was compiled on the suite's own inputs."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
from suite import Arrays, Stated, close
from warm import Warm

from oakmill.conversion import pipeline, registry
from oakmill.conversion.depthai import Depthai, reader
from oakmill.conversion.events import stage_of
from oakmill.conversion.platform import Built, Network
from oakmill.conversion.prepare import Prepared
from oakmill.errors import OakmillError, VerificationFailed
from oakmill.graph.outputs import without_constants
from oakmill.preflight import check
from oakmill.settings import current
from oakmill.spec import ConversionSpec, Encoding, InputSpec, Precision, Rvc2Spec, Rvc3Spec, Rvc4Spec

MODES: Mapping[str, tuple[str, ConversionSpec]] = {
    "rvc2": ("fp16", Rvc2Spec(blob=True)),
    "rvc3": ("ir", Rvc3Spec(target_precision=Precision.FP16_STANDARD)),
    "rvc4": ("fp16", Rvc4Spec(target_precision=Precision.FP16_STANDARD)),
}
"""What is asked of each platform: its table's mode, and the conversion. Nothing is quantized: the suite's outputs are
what floats give, and would call 8 bits wrong."""

TOLERANCE = 1e-2
"""Of a value's size and of the spread of all: float16 with a dozen roundings in a row."""


class Trial:
    """Warm tools and a folder of its own; use as a context."""

    def __init__(self) -> None:
        logging.disable(logging.WARNING)
        self._folder = tempfile.TemporaryDirectory(prefix="oakmill-conformance-")
        root = Path(self._folder.name)
        home = root / "home"
        home.mkdir()
        (home / "toolchains").symlink_to(current().toolchains, target_is_directory=True)
        self._settings = current().model_copy(update={"home": home, "cache_max_mb": 0, "tool_seconds": 120})
        self._jobs = root / "jobs"
        self._jobs.mkdir()
        self._warm = Warm(self._jobs)
        self._patches: list[Any] = []
        self._number = 0

    def __enter__(self) -> Trial:
        self._warm.__enter__()
        tempfile.tempdir = str(self._jobs)
        self._patches = [
            mock.patch.object(Depthai, "start", lambda this: None),
            mock.patch.object(Depthai, "read", _read),
            mock.patch.object(check, "require", _without_tables(check.require)),
        ]
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(self, *error: object) -> None:
        for patch in self._patches:
            patch.stop()
        tempfile.tempdir = None
        self._warm.__exit__(*error)
        self._folder.cleanup()

    def outcome(self, case: Stated, platform: str) -> dict[str, Any]:
        """What became of a case: see BECAME of conformance.py, with the passport's verdict and what was said."""
        self._number += 1
        file = self._jobs / f"case{self._number}.onnx"
        onnx.save(case.model, file)
        asked = tuple(
            InputSpec(name=value.name, encoding_from=Encoding.NONE, encoding_to=Encoding.NONE)
            for value in case.model.graph.input
        )
        spec = MODES[platform][1].model_copy(update={"inputs": asked})
        seen: dict[str, Any] = {}
        kind = registry.of(spec, self._settings).__class__
        try:
            with mock.patch.object(kind, "subject", _also(kind.subject, case, seen)):
                done = pipeline.convert(file, spec, self._jobs / f"out{self._number}", settings=self._settings)
        except OakmillError as error:
            return _refused(error, seen)
        except BaseException as error:  # noqa: BLE001 - that is what is looked for
            return {"became": "died", "why": f"{type(error).__name__}: {error}"[:500], "at": _where(error)}
        finally:
            file.unlink()
        why = seen.get("why", "it was not run")
        return {"became": "wrong" if why else "right", "why": why, "verdict": done.passport.verdict.value}


def _refused(error: OakmillError, seen: Mapping[str, Any]) -> dict[str, Any]:
    stage = stage_of(error)
    why = f"{error.code}: {error.message}"[:500]
    became = "red" if isinstance(error, VerificationFailed) else "refused"
    return {"became": became, "why": why, "stage": str(stage or ""), "remedy": error.remedy[:200], **_ran(seen)}


def _ran(seen: Mapping[str, Any]) -> dict[str, Any]:
    return {"ran": seen["why"]} if "why" in seen else {}


def _where(error: BaseException) -> str:
    """The last line of the product's own in a traceback."""
    frames = [item for item in traceback.extract_tb(error.__traceback__) if f"{os.sep}oakmill{os.sep}" in item.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _read(this: Depthai, files: Sequence[Path]) -> list[dict[str, Any]]:
    """As the real one, which loads depthai anew in a process of its own each time."""
    try:
        return [json.loads(json.dumps(reader.read(path))) for path in files]
    except RuntimeError as error:
        raise VerificationFailed(f"depthai cannot read {files[-1].name}: {error}") from error


def _without_tables(require: Callable[..., Any]) -> Callable[..., Any]:
    """The preflight's refusals but for those of a table, so that the compiler has the last word."""

    def required(model: onnx.ModelProto, platform: str, mode: str | None, asked: Sequence[InputSpec] = ()) -> Any:
        return require(model, platform, None, asked)

    return required


def _also(subject: Callable[..., Any], case: Stated, seen: dict[str, Any]) -> Callable[..., Any]:
    """What the platform measures; before it, the finished network is run on the suite's own inputs."""

    def measured(
        self: Any, prepared: Prepared, network: Network, built: Built, images: Any, work: Path, progress: Any
    ) -> Any:
        try:
            seen["why"] = _compared(case, prepared, _run(self, case, prepared, network, built, work / "suite"))
        except OakmillError as error:
            seen["why"] = f"it does not run: {error.code}: {error.message}"[:300]
        except ValueError as error:  # a tensor without elements became one with some
            seen["why"] = f"it takes other shapes: {error}"[:300]
        return subject(self, prepared, network, built, images, work, progress)

    return measured


def _run(platform: Any, case: Stated, prepared: Prepared, network: Network, built: Any, job: Path) -> Arrays:
    """What the compiled network gives on the host, by the source's names."""
    old = dict(prepared.names)
    raw = {}
    for inner, outer in zip(prepared.inputs, prepared.boundary, strict=True):
        values = case.feeds[inner.name if inner.name in case.feeds else old[outer.name]]
        if inner.layout != outer.layout:
            values = values.transpose([inner.layout.index(letter) for letter in outer.layout])
        raw[outer.name] = np.ascontiguousarray(values.astype(outer.dtype)).reshape(outer.shape)
    if platform.name == "rvc2":
        found = next(iter(platform.toolchain.infer(network.file, job, [raw])))
    elif platform.name == "rvc3":
        found = next(iter(platform.toolchain.infer(network.file, job, [raw], [item.name for item in prepared.outputs])))
    else:
        kept = {port.name: np.ascontiguousarray(raw[port.name].astype(port.dtype)) for port in built.inputs}
        found = next(iter(platform.toolchain.infer(built.file, job, [kept], half=not platform.calibrates)))
    return dict(prepared.restored(found))


def _compared(case: Stated, prepared: Prepared, found: Arrays) -> str:
    """Why what was computed is not what the suite says; empty where it is."""
    constant = set(without_constants(case.model)[1])  # omitted where they cannot be, which is told
    for name, wanted in case.expected.items():
        values = found.get(name)
        if values is None and name in constant:
            continue
        if values is None:
            return f"output {name!r} is not there"
        if not close(wanted, values, TOLERANCE):
            return f"output {name!r}: {_few(wanted)} is stated, {_few(values)} came"
    return ""


def _few(values: Any) -> str:
    shape = "x".join(map(str, values.shape)) or "scalar"
    return f"{np.array2string(values.ravel()[:4], precision=4)} ({shape} {values.dtype})"

"""A checkpoint of Ultralytics as a source: exported to ONNX by its own package, and proved to compute the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.events import Progress
from oakmill.conversion.inputs import match
from oakmill.errors import ProofFailed, SpecError, UnsupportedModel
from oakmill.graph import equality
from oakmill.model import read_onnx
from oakmill.model.source import SourceModel
from oakmill.settings import Settings
from oakmill.spec import InputSpec
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.installing import install_missing
from oakmill.toolchains.ultralytics.toolchain import VERSION, Exported, UltralyticsToolchain

SAMPLES = 2
AS_GOOD = 1e-3
"""How far the values of a box may be apart, in parts of the largest of its kind, and scores that are taken for equal:
which of two boxes with as good a score comes first, or last, is nobody's to say."""

_REFUSALS = {
    "load": ("Ultralytics {version} cannot load {name}", "save it anew with a newer Ultralytics, or export it to ONNX"),
    "task": ("{name} is no checkpoint with a model", "give the best.pt or last.pt that a training left"),
    "conversion": ("Ultralytics {version} cannot export {name}", "export it to ONNX where it was trained"),
}

Arrays = Mapping[str, NDArray[Any]]


def as_onnx(
    source: SourceModel, inputs: Sequence[InputSpec], job: Path, seed: int, settings: Settings, progress: Progress
) -> SourceModel:
    """The same source with a graph in ONNX and what its exporter notes; `files` and `sha256` stay the checkpoint's.

    Args:
        source: a checkpoint.
        inputs: what is asked of its input, the shape above all; without one, the image has the size of the training.
        job: a folder that does not exist yet.
        seed: of the generated images that the two are compared on.
        settings: where the toolchain lies, and how it is kept apart.
        progress: is told the size of the image and the figures of the comparison.

    Raises:
        ToolchainMissing: Ultralytics is not installed.
        IsolationMissing: no sandbox works here.
        SpecError: the shape that is asked for is none of an image.
        UnsupportedModel: it cannot be loaded, holds no model, or cannot be exported.
        ProofFailed: the ONNX computes something else.
        ToolKilled, LimitExceeded: it did not come to an end.
    """
    toolchain = UltralyticsToolchain(settings)
    size = _size(match(inputs, source.inputs)[source.inputs[0].name])
    install_missing([toolchain], settings, progress.note, progress.tool)
    toolchain.require()
    progress.doing("exporting the checkpoint to ONNX")
    try:
        exported = toolchain.export(source.graph, job, size, samples=SAMPLES, seed=seed, watch=progress.tool)
    except RunnerError as error:
        raise _refused(error, source.graph.name) from error
    if exported.trained:
        progress.note("the image is {} x {} pixels (height x width), as in the training".format(*exported.size))
    progress.doing("proving that the ONNX computes what PyTorch does")
    _prove(exported, progress)
    read = read_onnx(exported.onnx, settings)
    return replace(
        source, graph=exported.onnx, inputs=read.inputs, outputs=read.outputs, opset=read.opset, metadata=read.metadata
    )


def _size(asked: InputSpec) -> tuple[int, int] | None:
    """Height and width that are asked for.

    Raises:
        SpecError: the shape is another than [1, C, H, W].
    """
    if asked.shape is None:
        return None
    if len(asked.shape) != len("NCHW") or asked.shape[0] != 1 or asked.shape[1] not in (1, 3):
        raise SpecError(
            f"a checkpoint's input is one image, [1, 3, HEIGHT, WIDTH], and {list(asked.shape)} is asked for",
            subject=asked.name or "",
            remedy="give --shape 1,3,HEIGHT,WIDTH, or omit it for the size of the training",
        )
    return int(asked.shape[2]), int(asked.shape[3])


def _refused(error: RunnerError, name: str) -> UnsupportedModel | SpecError:
    """Ultralytics' refusal, with what can be done at the step where it came."""
    if error.kind == "size":
        sizes = error.details.get("larger")
        known = isinstance(sizes, list) and all(isinstance(length, int) for length in sizes)
        larger = ",".join(map(str, sizes)) if sizes and known else "HEIGHT,WIDTH"
        return SpecError(f"{name}: {error.message}", subject=name, remedy=f"give --shape 1,3,{larger}")
    message, remedy = _REFUSALS.get(error.kind, _REFUSALS["conversion"])
    what = message.format(name=name, version=VERSION)
    return UnsupportedModel(f"{what}: {error.message}", subject=name, remedy=remedy, log=error.log)


def _prove(exported: Exported, progress: Progress) -> None:
    """Compare the ONNX in onnxruntime with PyTorch's answers, and tell the figure."""
    session = equality.Session(exported.onnx)
    worst = 0.0
    for sample, answer in zip(exported.samples, exported.answers, strict=True):
        found = session.run(sample)
        if not answer or not answer.keys() <= found.keys():
            raise ProofFailed(
                f"what Ultralytics exported gives {', '.join(found)}, and PyTorch {', '.join(answer) or 'nothing'}",
                remedy="export the model to ONNX where it was trained",
            )
        for difference in equality.compare(*_alike(answer, found, chooses=exported.chooses)):
            worst = max(worst, difference.max_abs)
            if not difference.passed:
                raise ProofFailed(
                    f"what Ultralytics exported does not compute what the checkpoint does: {difference}",
                    subject=difference.name,
                    remedy="export the model to ONNX where it was trained",
                )
    progress.note(
        f"as ONNX, the model computes what PyTorch does (at most {worst:.2g} apart, {SAMPLES} generated images)"
    )


def _alike(wanted: Arrays, found: Arrays, *, chooses: bool) -> tuple[Arrays, Arrays]:
    """The outputs to compare: of chosen boxes those that are better than the last, each with its nearest."""
    first = next(iter(wanted))
    rows = wanted[first]
    if not chooses or rows.ndim != 3 or rows.shape[2] <= 4 or found[first].shape != rows.shape:
        return wanted, found
    ours, theirs = rows[0], found[first][0]
    better = ours[ours[:, 4] > ours[-1, 4] + AS_GOOD]
    if not len(better):
        return ({**wanted, first: ours[:, 4]}, {**found, first: theirs[:, 4]})
    spread = np.maximum(np.abs(ours).max(axis=0), 1)
    nearest = (np.abs(better[:, None] - theirs[None]) / spread).max(axis=2).argmin(axis=1)
    return {**wanted, first: better}, {**found, first: theirs[nearest]}

"""A TorchScript module as a source: written as ONNX by PyTorch, and proved to compute what PyTorch makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.inputs import ResolvedInput, match, resolve
from oakmill.conversion.prepare import as_preprocessing
from oakmill.errors import DynamicShape, ProofFailed, UnsupportedModel
from oakmill.graph import equality, preprocessing
from oakmill.model import read_onnx
from oakmill.model.source import SourceModel, Tensor
from oakmill.settings import Settings
from oakmill.spec import InputSpec
from oakmill.toolchains.cpu_torch import VERSION
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.installing import install_missing
from oakmill.toolchains.torchscript.toolchain import Exported, TorchScriptToolchain

SAMPLES = 2

Arrays = Mapping[str, NDArray[Any]]

_REFUSALS = {
    "load": ("PyTorch cannot load {name}", "save it anew with torch.jit.save, on PyTorch {version} or older"),
    "run": (
        "PyTorch cannot run {name} on inputs of {shapes}",
        "give the --shape that it was traced with; one that it chooses itself is fixed in it",
    ),
    "conversion": (
        "PyTorch cannot write {name} as ONNX",
        "trace the module instead of scripting it (torch.jit.trace), or export it to ONNX where it was trained",
    ),
}


def as_onnx(
    source: SourceModel, inputs: Sequence[InputSpec], job: Path, seed: int, settings: Settings, progress: Progress
) -> SourceModel:
    """The same source with a graph in ONNX; `files` and `sha256` stay those of the TorchScript file.

    Args:
        source: a TorchScript module.
        inputs: what is asked of the inputs, the shape above all.
        job: a folder that does not exist yet.
        seed: of the generated images that the two are compared on.
        settings: where the toolchain lies, and whether it is installed when missing.
        progress: is told the figures of the comparison.

    Raises:
        ToolchainMissing: PyTorch is not installed.
        SpecError, DynamicShape: what is asked does not fit, or leaves a shape open.
        UnsupportedModel: PyTorch cannot load it, run it on such inputs or write it as ONNX.
        ProofFailed: the ONNX computes something else.
        ToolKilled, LimitExceeded: PyTorch did not come to an end.
    """
    toolchain = TorchScriptToolchain(settings)
    samples = _samples(source, inputs, seed)
    install_missing([toolchain], settings, progress.note, progress.tool)
    toolchain.require()
    progress.doing("writing TorchScript as ONNX")
    try:
        exported = toolchain.export(source.graph, job, samples, watch=progress.tool)
    except RunnerError as error:
        raise _refused(error, source.graph.name, samples[0]) from error
    progress.doing("proving that the ONNX computes what PyTorch does")
    _prove(exported, samples, progress)
    read = read_onnx(exported.onnx, settings)
    return replace(source, graph=exported.onnx, inputs=read.inputs, outputs=read.outputs, opset=read.opset)


def _samples(source: SourceModel, asked: Sequence[InputSpec], seed: int) -> list[dict[str, NDArray[Any]]]:
    """Generated images as the module takes them, preprocessed."""
    tensors = {tensor.name: tensor for tensor in source.inputs}
    inputs = [_resolved(tensors[name], spec, source.name) for name, spec in match(asked, source.inputs).items()]
    return [
        {item.name: preprocessing.apply(raw[item.name].astype(item.dtype), as_preprocessing(item)) for item in inputs}
        for raw in SampleSet.generated(inputs, SAMPLES, seed)
    ]


def _resolved(tensor: Tensor, asked: InputSpec, model: str) -> ResolvedInput:
    """The input in the shape that is asked for, else in the one that is noted in the file."""
    shape = asked.shape or tensor.shape
    if None in shape:
        raise DynamicShape(
            f"TorchScript holds no shapes of inputs, and none is given for {tensor.name!r} of {model}",
            subject=tensor.name,
            remedy="give the shape that the model was traced with: --shape 1,3,HEIGHT,WIDTH",
        )
    return resolve(asked, replace(tensor, shape=shape))


def _refused(error: RunnerError, name: str, example: Arrays) -> UnsupportedModel:
    """PyTorch's refusal, with what can be done at the step where it came."""
    message, remedy = _REFUSALS[error.kind]
    shapes = ", ".join(str(list(values.shape)) for values in example.values())
    what = message.format(name=name, shapes=shapes)
    return UnsupportedModel(
        f"{what}: {error.message.splitlines()[0] if error.message else 'no reason given'}",
        subject=name,
        remedy=remedy.format(version=VERSION),
        log=error.log,
    )


def _prove(exported: Exported, samples: Sequence[Arrays], progress: Progress) -> None:
    """Compare the ONNX in onnxruntime with PyTorch's answers, and tell the figures."""
    session = equality.Session(exported.onnx)
    found = [
        difference
        for sample, answer in zip(samples, exported.answers, strict=True)
        for difference in equality.compare(answer, session.run(sample))
    ]
    for difference in found:
        if not difference.passed:
            raise ProofFailed(
                f"what PyTorch wrote as ONNX does not compute what the TorchScript module does: {difference}",
                subject=difference.name,
                remedy="export the model to ONNX where it was trained",
            )
    worst = max(difference.max_abs for difference in found)
    progress.note(
        f"as ONNX, the model computes what PyTorch does (at most {worst:.2g} apart, {SAMPLES} generated images)"
    )

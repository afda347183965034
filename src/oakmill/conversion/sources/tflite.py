"""A TFLite model as a source: written as ONNX by tf2onnx, and proved to compute what LiteRT makes of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.inputs import ResolvedInput, match, resolve
from oakmill.conversion.prepare import as_preprocessing
from oakmill.errors import DynamicShape, ProofFailed, SpecError, UnsupportedModel
from oakmill.graph import equality, preprocessing
from oakmill.model import read_onnx
from oakmill.model.source import SourceFormat, SourceModel, Tensor
from oakmill.model.tflite import Quantization, TfliteModel, TfliteTensor, describe_tflite, mended_tflite
from oakmill.settings import Settings
from oakmill.spec import InputSpec
from oakmill.toolchains.base import Toolchain
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.installing import install_missing
from oakmill.toolchains.tflite.toolchain import Converted, TfliteToolchain, command

SAMPLES = 2
QUANTIZED_DB = 20.0
"""Integer arithmetic rounds otherwise than float arithmetic at each step; 35 dB and more remained on trained models."""
CLOSE_DB = 20.0
"""Below it, leaving out a model's quantizers changes results visibly."""
_STEPS = 2  # of an output's own quantization, which two ways of rounding may be apart

Arrays = Mapping[str, NDArray[Any]]


def toolchains(source_format: str, settings: Settings) -> list[Toolchain]:
    """What a conversion of such a source takes besides its platform's toolchains."""
    return [TfliteToolchain(settings)] if source_format == SourceFormat.TFLITE else []


def commands(source_format: str, name: str) -> list[list[str]]:
    """The command lines that say the same as is done to such a source of that name before its conversion."""
    return [command(name)] if source_format == SourceFormat.TFLITE else []


def as_onnx(
    source: SourceModel, inputs: Sequence[InputSpec], job: Path, seed: int, settings: Settings, progress: Progress
) -> SourceModel:
    """The same source with a graph in ONNX, if it is TFLite; `files` and `sha256` stay those of the TFLite model.

    Names, order and layout of inputs and outputs stay as well. Where the model is quantized, the ONNX is not: its
    constants are the numbers that the integers stand for, and the platform quantizes anew. Inputs of quantized integers
    take the same integers as floats; outputs give what their integers stand for.

    Args:
        source: of any format; all but TFLite are given back as they are.
        inputs: what is asked of the inputs.
        job: a folder that does not exist yet.
        seed: of the generated images that the two are compared on.
        settings: where the toolchain lies, and whether it is installed when missing.
        progress: is told the figures of the comparison.

    Raises:
        ToolchainMissing: tf2onnx is not installed.
        SpecError, DynamicShape: shapes do not fit, or stay open.
        UnsupportedModel: LiteRT cannot run the model, or tf2onnx not convert it.
        ProofFailed: the ONNX computes something else.
        ToolKilled, LimitExceeded: a tool did not come to an end.
    """
    if source.format is not SourceFormat.TFLITE:
        return source
    toolchain = TfliteToolchain(settings)
    install_missing([toolchain], settings, progress.note, progress.tool)
    toolchain.require()
    model = describe_tflite(source.graph, settings)
    samples = _Samples.of(model, source, inputs, seed)
    if model.written_out:
        named = " and ".join(map(repr, model.written_out))
        progress.note(
            f"MediaPipe's transposed convolution, which computes {named}, is written as TRANSPOSE_CONV and ADD"
        )
    file = _mended(source.graph, job, settings, progress)
    progress.doing("converting TFLite to ONNX")
    try:
        converted = toolchain.convert(
            file,
            job,
            samples.integers,
            quantized=model.quantization is Quantization.ACTIVATIONS,
            shapes={item.name: item.shape for item in samples.inputs},
            watch=progress.tool,
        )
    except RunnerError as error:
        raise _refused(error, source.graph.name) from error
    progress.doing("proving that the ONNX computes what LiteRT does")
    _Proof(model, converted, samples, progress).require()
    _tell_of_integers(model, samples.inputs, progress)
    read = read_onnx(converted.floating, settings)
    return replace(source, graph=converted.floating, inputs=read.inputs, outputs=read.outputs, opset=read.opset)


def _mended(graph: Path, job: Path, settings: Settings, progress: Progress) -> Path:
    """The file that tools can take: the source's own, or one beside the job's folder; what was changed is told."""
    found = mended_tflite(graph, settings)
    if not found.notes:
        return graph
    for note in found.notes:
        progress.note(note)
    file = job.with_name(f"{job.name}-{graph.name}")
    file.write_bytes(found.data)
    return file


def _refused(error: RunnerError, name: str) -> UnsupportedModel:
    """The refusal of LiteRT or tf2onnx, with the tensor that the operation computes."""
    operations: Mapping[str, str] = error.details.get("operations") or {}
    who = "LiteRT cannot run" if error.kind == "interpreter" else "tf2onnx cannot convert"
    tensor = next(iter(operations), "")
    place = f", which computes {tensor!r}" if tensor else ""
    return UnsupportedModel(
        f"{who} {name}: {_first_words(error.message) or 'no reason given'}{place}",
        subject=tensor or name,
        remedy="export the model to ONNX from the framework that it was trained in, or leave the operation out",
        log=error.log,
    )


def _first_words(message: str) -> str:
    """What is said first: LiteRT repeats a sentence for each tensor, and glues them together."""
    return re.split(r"(?<=[.!])(?=[A-Z])", message.strip())[0].splitlines()[0] if message.strip() else ""


@dataclass(frozen=True)
class _Samples:
    """Generated images as the model takes them: as floats, and with the integers of quantized inputs."""

    inputs: tuple[ResolvedInput, ...]
    floats: tuple[dict[str, NDArray[Any]], ...]
    integers: tuple[dict[str, NDArray[Any]], ...]

    @classmethod
    def of(cls, model: TfliteModel, source: SourceModel, asked: Sequence[InputSpec], seed: int) -> _Samples:
        tensors = {item.name: item for item in model.inputs}
        inputs = tuple(_resolved(tensors[name], spec) for name, spec in match(asked, source.inputs).items())
        floats = tuple(
            {item.name: _limited(_preprocessed(raw[item.name], item), tensors[item.name]) for item in inputs}
            for raw in SampleSet.generated(inputs, SAMPLES, seed)
        )
        integers = tuple(
            {name: values.astype(tensors[name].dtype) for name, values in sample.items()} for sample in floats
        )
        return cls(inputs, floats, integers)


def _resolved(tensor: TfliteTensor, asked: InputSpec) -> ResolvedInput:
    dtype = "float32" if tensor.quantized else tensor.dtype
    return resolve(asked, Tensor(tensor.name, _shape(tensor, asked.shape), dtype))


def _shape(tensor: TfliteTensor, asked: tuple[int, ...] | None) -> tuple[int, ...]:
    """The input's shape: an open batch is 1, all other open dimensions need to be asked for."""
    if asked is None:
        found = (1, *tensor.shape[1:]) if tensor.shape and tensor.shape[0] is None else tensor.shape
        if None in found:
            text = ",".join("?" if length is None else str(length) for length in tensor.shape)
            raise DynamicShape(
                f"input {tensor.name!r} has open dimensions: {text}",
                subject=tensor.name,
                remedy=f"fix them with --shape, for example {','.join(str(length or 320) for length in found)}",
            )
        return tuple(length for length in found if length is not None)
    fits = len(asked) == len(tensor.shape) and all(
        own in (None, length) for own, length in zip(tensor.shape, asked, strict=True)
    )
    if not fits:
        raise SpecError(
            f"input {tensor.name!r} has the shape {list(tensor.shape)} in the TFLite model; asked for was "
            f"{list(asked)}",
            subject=tensor.name,
            remedy="ask for a shape that fits, in the model's own layout (TFLite's is mostly NHWC)",
        )
    return asked


def _preprocessed(raw: NDArray[Any], item: ResolvedInput) -> NDArray[Any]:
    return preprocessing.apply(raw.astype(item.dtype), as_preprocessing(item))


def _limited(values: NDArray[Any], tensor: TfliteTensor) -> NDArray[Any]:
    """The values as an input of quantized integers can take them."""
    if not tensor.quantized:
        return values
    limits = np.iinfo(tensor.dtype)
    whole: NDArray[Any] = np.rint(values).clip(limits.min, limits.max).astype(np.float32)
    return whole


def _tell_of_integers(model: TfliteModel, inputs: Sequence[ResolvedInput], progress: Progress) -> None:
    signed = {item.name for item in model.inputs if item.quantized and item.dtype == "int8"}
    for item in inputs:
        if item.name in signed and item.is_image and not any(item.mean or ()):
            progress.warn(
                f"input {item.name!r} is int8 in the TFLite file and takes -128 to 127: for the pixels of a camera, "
                "0 to 255, give --mean-values 128"
            )


@dataclass(frozen=True)
class _Proof:
    """The comparison of what tf2onnx wrote with LiteRT's answers."""

    model: TfliteModel
    converted: Converted
    samples: _Samples
    progress: Progress

    def require(self) -> None:
        """Compare, and tell the figures.

        Raises:
            ProofFailed: an output differs by more than arithmetic explains.
        """
        if self.model.quantization is Quantization.NONE:
            self._require_equal()
        elif self.model.quantization is Quantization.WEIGHTS:
            self._require_close(self.converted.floating, self.samples.floats, "")
        elif self.model.wide:
            self._require_close(self.converted.floating, self.samples.floats, ", its quantizers of 16 bits left out")
        else:
            self._require_close(self.converted.faithful, self.samples.integers, ", quantizers and all")
            self._tell_of_quantizers()

    def _require_equal(self) -> None:
        worst = math.inf
        for found, wanted in self._pairs(self.converted.faithful, self.samples.floats):
            for difference in equality.compare(wanted, found):
                if not difference.passed:
                    raise _different(str(difference), difference.name)
                worst = min(worst, difference.snr_db)
        self._tell(worst, "")

    def _require_close(self, file: Path, feeds: Sequence[Arrays], what: str) -> None:
        found = self._lowest(file, feeds)
        for item in found:
            if not (item.decibels >= QUANTIZED_DB or item.within_steps):
                raise _different(f"output {item.name!r}: SNR {item.decibels:.1f} dB", item.name)
        self._tell(min(item.decibels for item in found), what)

    def _tell(self, worst: float, what: str) -> None:
        self.progress.note(
            f"as ONNX, the model computes what LiteRT does ({_in_words(worst)}, {SAMPLES} generated images){what}"
        )

    def _tell_of_quantizers(self) -> None:
        """How far the model without its quantizers, which is the one converted, is from LiteRT's answers."""
        worst = min(self._lowest(self.converted.floating, self.samples.floats), key=lambda item: item.decibels)
        note = "the TFLite model's own quantizers are left out, as the platform has its own number format"
        if worst.decibels >= CLOSE_DB or worst.within_steps:
            self.progress.note(
                f"{note}; what it computes stays the same but for rounding ({_in_words(worst.decibels)})"
            )
            return
        self.progress.note(note)
        self.progress.warn(
            f"the quantization inside the TFLite file changes its results a lot: output {worst.name!r} keeps "
            f"{worst.decibels:.1f} dB when it is left out, as it is here. Compare with the float model that the "
            "file was made from"
        )

    def _pairs(self, file: Path, feeds: Sequence[Arrays]) -> list[tuple[dict[str, Any], Arrays]]:
        """What the ONNX computes from each sample, outputs of quantized integers as real numbers; and LiteRT's."""
        session = equality.Session(file, integer_kernels=False)
        scales = {item.name: item for item in self.model.outputs if item.quantized}
        return [
            ({name: _real(values, scales.get(name)) for name, values in session.run(feed).items()}, answer)
            for feed, answer in zip(feeds, self.converted.answers, strict=True)
        ]

    def _lowest(self, file: Path, feeds: Sequence[Arrays]) -> list[_Closeness]:
        """For each output its sample farthest from LiteRT's answer."""
        lowest: dict[str, _Closeness] = {}
        steps = {item.name: _STEPS * item.scale[0] for item in self.model.outputs if item.quantized}
        for found, wanted in self._pairs(file, feeds):
            for name, answer in wanted.items():
                if name not in found or found[name].shape != answer.shape:
                    raise _different(f"output {name!r} is missing or of another shape", name)
                off = np.abs(found[name].astype(np.float64) - answer).max(initial=0.0)
                here = _Closeness(name, equality.snr_db(answer, found[name]), bool(off <= steps.get(name, 0.0)))
                lowest[name] = min(lowest.get(name, here), here, key=lambda item: (item.within_steps, item.decibels))
        return list(lowest.values())


@dataclass(frozen=True)
class _Closeness:
    """How near an output is to LiteRT's; `within_steps` means two steps of its own quantization at most."""

    name: str
    decibels: float
    within_steps: bool


def _in_words(decibels: float) -> str:
    return "bit for bit" if decibels == math.inf else f"{decibels:.0f} dB at least"


def _real(values: NDArray[Any], tensor: TfliteTensor | None) -> NDArray[Any]:
    if tensor is None or values.dtype.kind not in "iu":
        return values
    zero = tensor.zero_point[0] if tensor.zero_point else 0
    return ((values.astype(np.float32) - zero) * tensor.scale[0]).astype(np.float32)


def _different(what: str, name: str) -> ProofFailed:
    return ProofFailed(
        f"what tf2onnx wrote as ONNX does not compute what LiteRT makes of the TFLite model: {what}",
        subject=name,
        remedy="export the model to ONNX from the framework that it was trained in",
    )

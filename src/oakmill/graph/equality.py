"""Whether two models compute the same: both run in onnxruntime on the same data, their outputs compared."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import ModelProto, helper

from oakmill.errors import (
    BrokenModel,
    LimitExceeded,
    OakmillError,
    PreparationFailed,
    ProofFailed,
    UnsupportedModel,
)
from oakmill.graph import large
from oakmill.graph.skeleton import dimensions, source_inputs
from oakmill.model import weights
from oakmill.processes.deadline import watched

Array = NDArray[Any]

_NODE = re.compile(
    r"Name:'(?P<run>[^']*)'|with name '(?P<kernel>[^']*)'|In Node, \(\"(?P<check>[^\"]*)\""
    r"|Node \((?P<infer>[^)]*)\) Op|in node \((?P<type>[^)]*)\)"
)
_NO_MEMORY = re.compile(r"[Ff]ailed to allocate memory|bad_alloc|bad allocation")
_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
_NOISE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : |/\S+\.(?:cc|h):\d+ .*?\) ")  # its codes and source lines


@dataclass(frozen=True)
class Tolerance:
    """How far two outputs may be apart.

    Sums in another order leave 100 dB and more; swapped channels or a wrong scale leave less than 40 dB. As an
    output may hold large boxes beside small scores, which the ratio would not see, each value is also held to
    `relative` of itself plus `floor` of the output's largest, but for a share of `outliers`. Differences up to
    `rounding`, some steps of float32 around 1, count as none: a score of 1e-5 out of a sigmoid is made of larger sums.

    Values near zero are out of tolerance wherever sums are taken in another order, as their noise is that of the large
    values beside them. So from `even_db` on, one value in twenty, `mild_outliers`, may be out by up to `mild` times as
    much, where every slice along every axis, of `slice_values` and more, has `slice_db` of its own, which no swapped
    channel leaves: a joined output has its parts along an axis. Measured on MediaPipe's TFLite models as ONNX: 0.47 %
    of a map of 256 x 256 by up to 10 times, at 75.8 dB, and 2 of 117 landmarks, at 84.8 dB; on UltraFace with a scale
    that is wrong by a hundredth, the mildest fault there is: 13 and 46 % by 53 and 40 times, at 68 and 64 dB.
    """

    snr_db: float = 60.0
    relative: float = 1e-3
    floor: float = 1e-5
    outliers: float = 1e-3
    rounding: float = 1e-6
    slice_values: int = 16
    slice_db: float = 40.0
    even_db: float = 72.0
    mild_outliers: float = 0.05
    mild: float = 20.0


@dataclass(frozen=True)
class Difference:
    """How far one output is from its reference.

    `snr_db` is 10 log10(sum ref^2 / sum (ref - candidate)^2), inf where they are equal; `cosine` is between the two
    as vectors; `outside` is the share of values out of tolerance, for integers and truth values of those that differ.
    """

    name: str
    max_abs: float
    snr_db: float
    cosine: float
    outside: float
    passed: bool
    note: str = ""

    def __str__(self) -> str:
        text = (
            f"output {self.name!r}: SNR {self.snr_db:.1f} dB, largest difference {self.max_abs:.3g}, "
            f"{self.outside:.2%} of the values out of tolerance"
        )
        return f"{text} ({self.note})" if self.note else text


class Session:
    """A model, loaded into onnxruntime on the CPU.

    A model over 2 GB in memory is written to a temporary folder first; weights that stay in files are mapped from
    there, and not packed anew, which would copy them. With `optimise` off, every node runs as it
    stands. What lies between quantizers is computed in float, as they mean it, and products of bytes in full, unless
    `integer_kernels` is on: those saturate on processors without VNNI, whose answer is another.

    Raises:
        BrokenModel: the file at a path cannot be loaded.
        PreparationFailed: a model in memory cannot be loaded.
    """

    def __init__(self, model: ModelProto | Path, *, optimise: bool = True, integer_kernels: bool = False) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        options.use_deterministic_compute = True
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not integer_kernels:
            options.add_session_config_entry("session.disable_quant_qdq", "1")
            options.add_session_config_entry("session.x64quantprecision", "1")  # of QLinearConv, MatMulInteger, ...
        if not optimise:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._model = model
        self._optimised = optimise
        failure = BrokenModel if isinstance(model, Path) else PreparationFailed
        try:
            source = str(model) if isinstance(model, Path) else self._source(model, options)
            with watched("onnxruntime's loading of the model"):
                self._session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except EncodeError as error:
            raise PreparationFailed("The model is over 2 GB even without its weights.") from error
        except OSError as error:
            raise PreparationFailed(
                f"The model is over 2 GB, and cannot be written to a temporary folder: {error.strerror}",
                remedy="Make room there, or set TMPDIR to a folder with more.",
            ) from error
        except _runtime_errors() as error:
            raise _translated(error, failure, "loaded") from error

    def _source(self, model: ModelProto, options: Any) -> bytes | str:
        """What the runtime loads: the model itself, or the file that holds a large one as long as this session."""
        files = {file for _, file in weights.references(model)}
        if files:
            folder = weights.folder_of(files)
            options.add_session_config_entry(_WEIGHTS_FOLDER, str(folder))
            options.add_session_config_entry("session.disable_prepacking", "1")
            model = weights.located(model, {file: str(file.relative_to(folder)) for file in files})
        if not large.is_large(model):
            return bytes(model.SerializeToString())
        self._folder = TemporaryDirectory(prefix="oakmill-")
        return str(large.save(model, Path(self._folder.name) / "model.onnx"))

    def output_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """The outputs' shapes as onnxruntime inferred them while optimising; None for each open dimension."""
        return {
            item.name: tuple(size if isinstance(size, int) else None for size in item.shape)
            for item in self._session.get_outputs()
        }

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """Run once and return the outputs by name, all or those asked for.

        Raises:
            PreparationFailed: the model cannot be run on this data; the message names the node.
        """
        names = list(outputs or (item.name for item in self._session.get_outputs()))
        try:
            arrays = {name: np.asarray(values) for name, values in feeds.items()}  # numpy's scalars are none
            with watched("onnxruntime's run of the model"):
                return dict(zip(names, self._session.run(names, arrays), strict=True))
        except _runtime_errors() as error:
            if self._optimised:  # which renames nodes
                Session(self._model, optimise=False).run(feeds, names)
            raise _translated(error, PreparationFailed, "run") from error


def run(model: ModelProto | Path, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
    """Run a model once in onnxruntime; see `Session` for several runs and for what is raised."""
    return Session(model).run(feeds, outputs)


def run_each(model: ModelProto, samples: Iterable[Mapping[str, Array]]) -> list[dict[str, Array]]:
    """The outputs on each sample; the session is gone afterwards, and with it the memory that it took."""
    session = Session(model)
    return [session.run(sample) for sample in samples]


def random_inputs(
    model: ModelProto, seed: int = 0, limits: Mapping[str, tuple[int, int]] | None = None
) -> dict[str, Array]:
    """Random data for each input of a model with fixed shapes, the same for the same seed.

    Images (1, 3 or 4 channels, first or last) get whole numbers from 0 to 255, as a camera gives them; other floats
    are normal; integers are 0 or 1, which are valid as index, mask and token alike, or within `limits`, by name.

    Raises:
        UnsupportedModel: an input is not a tensor of numbers, or its shape is open.
    """
    random = np.random.default_rng(seed)
    feeds: dict[str, Array] = {}
    for value in source_inputs(model):
        shape = dimensions(value.type.tensor_type)
        if not value.type.tensor_type.elem_type or shape is None or None in shape:
            raise UnsupportedModel(f"Input {value.name!r} is not a tensor of fixed shape.", subject=value.name)
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
        fixed = tuple(size or 0 for size in shape)
        if limits and value.name in limits and dtype.kind in "iu":
            feeds[value.name] = np.asarray(random.integers(*limits[value.name], fixed)).astype(dtype)
        else:
            feeds[value.name] = _random(random, fixed, dtype, value.name)
    return feeds


def _random(random: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> Array:
    if dtype.kind not in "fiub":
        raise UnsupportedModel(f"Input {name!r} holds {dtype}, not numbers.", subject=name)
    if dtype == np.uint8 or (dtype.kind == "f" and _is_image(shape)):
        return np.asarray(random.integers(0, 256, shape)).astype(dtype)
    if dtype.kind == "f":
        return np.asarray(random.standard_normal(shape)).astype(dtype)
    return np.asarray(random.integers(0, 2, shape)).astype(dtype)


def _is_image(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and (shape[1] in (1, 3, 4) or shape[3] in (1, 3, 4))


def compare(
    reference: Mapping[str, Array], candidate: Mapping[str, Array], tolerance: Tolerance | None = None
) -> tuple[Difference, ...]:
    """Compare outputs by name, in the reference's order. NaN or infinity in the same place counts as equal."""
    tolerance = tolerance or Tolerance()
    return tuple(_compare(name, wanted, candidate.get(name), tolerance) for name, wanted in reference.items())


def _compare(name: str, wanted: Array, found: Array | None, tolerance: Tolerance) -> Difference:
    if found is None or found.shape != wanted.shape or found.dtype != wanted.dtype:
        got = "is missing" if found is None else f"is {found.dtype}{list(found.shape)}"
        note = f"{got}, not {wanted.dtype}{list(wanted.shape)}"
        return Difference(name, np.inf, -np.inf, 0.0, 1.0, passed=False, note=note)
    a, b = wanted.astype(np.float64).ravel(), found.astype(np.float64).ravel()
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    finite = np.isfinite(a) & np.isfinite(b)
    if not np.all(finite | same):
        note = f"{np.count_nonzero(~finite & ~same)} values are NaN or infinite in one only"
        return Difference(name, np.inf, -np.inf, 0.0, float(np.mean(~same)), passed=False, note=note)
    note = "" if finite.all() else f"{np.count_nonzero(~finite)} values are NaN or infinite in both"
    difference = _measure(name, a[finite], b[finite], tolerance, note, exact=wanted.dtype.kind != "f")
    if difference.passed or wanted.dtype.kind != "f" or not finite.all() or difference.snr_db < tolerance.even_db:
        return difference
    even = _evenly_close(a.reshape(wanted.shape), b.reshape(wanted.shape), tolerance)
    return replace(difference, passed=even)


def _measure(name: str, a: Array, b: Array, tolerance: Tolerance, note: str, *, exact: bool) -> Difference:
    off = np.abs(a - b)
    bound = 0.0 if exact else _bound(a, tolerance)
    outside = float(np.mean(off > bound)) if a.size else 0.0
    snr = snr_db(a, b)
    close = outside <= tolerance.outliers and (exact or snr >= tolerance.snr_db)
    passed = close or (not exact and bool(off.max(initial=0.0) <= tolerance.rounding))
    return Difference(name, float(off.max(initial=0.0)), snr, cosine(a, b), outside, passed, note)


def _bound(reference: Array, tolerance: Tolerance) -> Array:
    """How far each value may be apart."""
    size = np.abs(reference)
    bound: Array = tolerance.relative * size + tolerance.floor * size.max(initial=0.0)
    return bound


def _evenly_close(a: Array, b: Array, tolerance: Tolerance) -> bool:
    """Whether the noise is spread as the signal is; see `Tolerance`."""
    off, bound = np.abs(a - b), _bound(a, tolerance)
    if np.mean(off > bound) > tolerance.mild_outliers or np.any(off > tolerance.mild * bound):
        return False
    axes = [axis for axis, size in enumerate(a.shape) if size > 1 and a.size // size >= tolerance.slice_values]
    return all(_slices_close(np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0), tolerance) for axis in axes)


def _slices_close(a: Array, b: Array, tolerance: Tolerance) -> bool:
    near = max(tolerance.rounding, tolerance.floor * float(np.abs(a).max()))
    a, off = a.reshape(len(a), -1), (a - b).reshape(len(a), -1)
    enough = np.sum(off**2, 1) <= np.sum(a**2, 1) / 10 ** (tolerance.slice_db / 10)
    return bool(np.all(enough | (np.abs(off).max(1) <= near)))


def snr_db(reference: Array, candidate: Array) -> float:
    """Signal to noise in dB: 10 log10(sum ref^2 / sum (ref - candidate)^2); inf where there is no noise."""
    a, b = reference.astype(np.float64), candidate.astype(np.float64)
    signal, noise = float(np.sum(a * a)), float(np.sum((a - b) ** 2))
    return decibels(signal, noise)


def decibels(signal: float, noise: float) -> float:
    """The ratio of two powers in dB; infinite without noise, NaN where either is not a number."""
    if math.isnan(signal) or math.isnan(noise):
        return math.nan
    if noise == 0:
        return math.inf
    ratio = signal / noise
    return 10 * math.log10(ratio) if ratio > 0 else -math.inf


def cosine(reference: Array, candidate: Array) -> float:
    """The cosine between two tensors taken as vectors; 1 where both are zero."""
    a, b = reference.astype(np.float64).ravel(), candidate.astype(np.float64).ravel()
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b / length) if length else float(np.array_equal(a, b))


def require_equal(
    reference: Mapping[str, Array], candidate: Mapping[str, Array], tolerance: Tolerance | None = None
) -> tuple[Difference, ...]:
    """Compare outputs and return the differences for the record.

    Raises:
        ProofFailed: an output is out of tolerance, or missing.
    """
    differences = compare(reference, candidate, tolerance)
    for difference in differences:
        if not difference.passed:
            raise ProofFailed(
                f"The prepared model does not compute what the source model computes: {difference}.",
                subject=difference.name,
                remedy="A step of the preparation is at fault: please report it. Ending the network before it "
                "(--outputs) may avoid it.",
            )
    return differences


def _runtime_errors() -> tuple[type[Exception], ...]:
    """All that onnxruntime raises: classes of its own, without a common base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    named = (item for item in vars(state).values() if isinstance(item, type) and issubclass(item, Exception))
    return (*named, RuntimeError, ValueError)


def no_memory(what: str, node: str = "") -> LimitExceeded:
    """The error for what asks for more memory than it gets."""
    return LimitExceeded(
        f"{what} needs more memory than there is",
        subject=node,
        remedy="export the model with smaller tensors, or convert it on a machine with more memory",
    )


def _translated(error: Exception, kind: type[OakmillError], what: str) -> OakmillError:
    text = _NOISE.sub("", str(error)).strip()
    match = _NODE.search(text)
    node = next((name for name in match.groups() if name), "") if match else ""
    at = f" at node {node!r}" if node else ""
    if _NO_MEMORY.search(text):
        return no_memory(f"The model{at}", node)
    detail = text.splitlines()[0] if text else type(error).__name__
    return kind(f"The model cannot be {what}{at}: {detail}", subject=node)

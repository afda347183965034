"""Sends a one-operator model through the product's own stages to a platform, and says what became of it."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from making import Case
from numpy.typing import NDArray
from onnx import ModelProto, defs, helper

from oakmill.calibration.samples import Samples
from oakmill.conversion import registry
from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.platform import Images, Network, Platform
from oakmill.conversion.prepare import Prepared, prepare
from oakmill.conversion.rvc4.simulate import Simulated
from oakmill.errors import CompileFailed, LimitExceeded, OakmillError, ToolFailed, ToolKilled
from oakmill.graph import equality
from oakmill.graph.skeleton import dimensions, freeze
from oakmill.model.source import SourceFormat, SourceModel, Tensor
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, Encoding, InputSpec, Precision, Rvc2Spec, Rvc3Spec, Rvc4Spec

Outcome = list[str]
"""One of the words below, and the reason."""

OK, POOR, WRONG, REFUSED, FAILED, CRASHED = "ok", "poor", "wrong", "refused", "failed", "crashed"

MODES: Mapping[str, Mapping[str, ConversionSpec]] = {
    "rvc2": {"fp16": Rvc2Spec(blob=True)},
    "rvc3": {"ir": Rvc3Spec(target_precision=Precision.FP16_STANDARD)},
    "rvc4": {
        "int8": Rvc4Spec(target_precision=Precision.INT8_STANDARD),
        "fp16": Rvc4Spec(target_precision=Precision.FP16_STANDARD),
    },
}
"""What is measured of each platform. Another platform is one more entry, and a branch of `Judge._run`."""

WRONG_BELOW_DB = {"rvc2": 40.0, "rvc3": 30.0, "rvc4": 30.0}
"""Between source and converted model: in float32 for RVC2, with float16 weights for RVC3, in float16 for RVC4."""
SIMULATION_DB = 15.0
"""Between the finished INT8 file and the quantized graph that it was made of."""
POOR_BELOW_DB = 12.0
"""Between source and INT8 model."""
INTEGERS_OFF = 0.05
"""Share of whole numbers that may differ in float16, where two values are the same."""

Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Proof:
    """How far the converted model is from its source, and from what it was compiled from."""

    source_db: float
    compiled_db: float
    integers_off: float


class Judge:
    """Judges models for one platform, in its modes."""

    def __init__(self, platform: str, settings: Settings, folder: Path) -> None:
        self.name = platform
        self.folder = folder
        self._platforms = {mode: registry.of(spec, settings) for mode, spec in MODES[platform].items()}
        self._known: dict[str, Outcome] = {}
        self._case = ""
        self._numbers = itertools.count()

    def judge(self, item: Case, model: ModelProto) -> dict[str, Outcome]:
        """The outcome in each mode."""
        if item.name != self._case:
            self._case, self._known = item.name, {}
        found = {}
        for mode, platform in self._platforms.items():
            try:
                prepared = self._prepared(model, MODES[self.name][mode], platform)
            except OakmillError as error:
                found[mode] = [REFUSED, _words(error)]
                continue
            key = f"{mode} {_digest(prepared)}"
            if key not in self._known:
                self._known[key] = self._outcome(item, prepared, mode, platform)
            found[mode] = self._known[key]
        return found

    def _prepared(self, model: ModelProto, spec: ConversionSpec, platform: Platform) -> Prepared:
        copy = ModelProto()
        copy.CopyFrom(model)
        source = _source(copy)
        asked = [
            InputSpec(name=item.name, encoding_from=Encoding.NONE, encoding_to=Encoding.NONE) for item in source.inputs
        ]
        return prepare(copy, source, asked, spec, platform.needs, Progress())

    def _outcome(self, item: Case, prepared: Prepared, mode: str, platform: Platform) -> Outcome:
        job = self.folder / f"{self.name}-{next(self._numbers)}"
        job.mkdir(parents=True)
        try:
            return self._compiled(item, prepared, mode, platform, job)
        except (ToolKilled, LimitExceeded) as error:
            return [CRASHED, _words(error)]
        except (CompileFailed, ToolFailed) as error:
            return [FAILED, _words(error)]
        except OakmillError as error:
            return [REFUSED, _words(error)]
        finally:
            shutil.rmtree(job, ignore_errors=True)

    def _compiled(self, item: Case, prepared: Prepared, mode: str, platform: Any, job: Path) -> Outcome:
        progress = Progress()
        samples = [_raw(item.feeds(place), prepared) for place in range(2)]
        network: Network = platform.network(prepared, job / "network", progress)
        if platform.calibrates:
            drawn = _sample_set(prepared, samples)
            network = platform.calibrate(prepared, Images(drawn, drawn), network, job / "calibrate", progress)
        built = platform.compile(prepared, network, job / "compile", progress)
        ran = list(self._run(prepared, network, built, samples, platform, job / "run"))
        if item.attributes.get("sorted", 1) == 0:
            return [OK, ""]  # any order is right
        return self._verdict(
            _proof(prepared, network, samples, ran, quantized=platform.calibrates), platform.calibrates
        )

    def _run(
        self, prepared: Prepared, network: Network, built: Any, samples: Sequence[Outputs], platform: Any, job: Path
    ) -> Iterator[Outputs]:
        """What the converted model computes on the host: the network for RVC2 and RVC3, the finished file for RVC4."""
        if self.name == "rvc2":
            return iter(platform.toolchain.infer(network.file, job, samples))
        if self.name == "rvc3":
            names = [tensor.name for tensor in prepared.outputs]
            return iter(platform.toolchain.infer(network.file, job, samples, names))
        stored = [
            {port.name: np.ascontiguousarray(raw[port.name].astype(port.dtype)) for port in built.inputs}
            for raw in samples
        ]
        return iter(platform.toolchain.infer(built.file, job, stored, half=not platform.calibrates))

    def _verdict(self, proof: Proof, quantized: bool) -> Outcome:
        if quantized:
            if proof.compiled_db < SIMULATION_DB:
                return [WRONG, f"the finished file differs from its simulation: {proof.compiled_db:.0f} dB"]
            poor = proof.source_db < POOR_BELOW_DB
            return [POOR, f"8 bits leave {proof.source_db:.0f} dB"] if poor else [OK, ""]
        if proof.source_db < WRONG_BELOW_DB[self.name]:
            return [WRONG, f"it computes something else: {proof.source_db:.0f} dB"]
        if proof.integers_off > (INTEGERS_OFF if self.name == "rvc4" else 0.0):
            return [WRONG, f"{proof.integers_off:.0%} of its whole numbers are others"]
        return [OK, ""]


def _source(model: ModelProto) -> SourceModel:
    freeze(model)

    def tensor(value: Any) -> Tensor:
        kind = value.type.tensor_type
        return Tensor(value.name, dimensions(kind) or (), helper.tensor_dtype_to_np_dtype(kind.elem_type).name)

    inputs, outputs = (tuple(map(tensor, side)) for side in (model.graph.input, model.graph.output))
    return SourceModel(SourceFormat.ONNX, Path("one.onnx"), (), "one", "", 0, inputs, outputs)


def _digest(prepared: Prepared) -> str:
    """By the graph, and the versions of its operators: opsets that change none of them are the same."""
    model = prepared.model
    opset = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    versions = [
        defs.get_schema(node.op_type, opset, "").since_version if defs.has(node.op_type, opset, "") else 0
        for node in model.graph.node
    ]
    graph = model.graph.SerializeToString(deterministic=True)
    return hashlib.sha256(graph + repr((versions, [item.dtype for item in prepared.boundary])).encode()).hexdigest()


def _raw(feeds: Outputs, prepared: Prepared) -> dict[str, NDArray[Any]]:
    return {item.name: feeds[item.name].astype(item.dtype).reshape(item.shape) for item in prepared.boundary}


def _sample_set(prepared: Prepared, samples: Sequence[Outputs]) -> SampleSet:
    def made(name: str) -> Samples:
        values = [sample[name] for sample in samples]
        digests = tuple(hashlib.sha256(array.tobytes()).hexdigest() for array in values)
        return Samples("cases", tuple(f"sample-{place}" for place in range(len(values))), digests, values.__getitem__)

    return SampleSet(prepared.boundary, tuple(made(item.name) for item in prepared.boundary))


def _proof(
    prepared: Prepared, network: Network, samples: Sequence[Outputs], ran: Sequence[Outputs], *, quantized: bool
) -> Proof:
    """Over all samples and outputs, the worst."""
    session = equality.Session(prepared.original)
    simulated = Simulated(network.model, []) if quantized else None
    parts = []
    for raw, found in zip(samples, ran, strict=True):
        wanted = session.run(prepared.feeds(raw))
        parts.append(_distance(wanted, prepared.restored(found)))
        if simulated is not None:
            compiled, _ = _distance(simulated.run(raw), found)
            parts[-1] = (*parts[-1], compiled)
    return Proof(
        min(part[0] for part in parts),
        min((part[2] for part in parts if len(part) > 2), default=np.inf),
        max(part[1] for part in parts),
    )


def _distance(wanted: Outputs, found: Outputs) -> tuple[Any, ...]:
    """The worst SNR of a float output in dB, and the largest share of wrong whole numbers."""
    worst, off = np.inf, 0.0
    for name, array in wanted.items():
        a, b = array.astype(np.float64), found[name].astype(np.float64)
        if a.size != b.size:
            return -np.inf, 1.0
        a, b = a.ravel(), b.ravel()
        if array.dtype.kind == "f":
            known = np.isfinite(a)
            b = np.where(np.isfinite(b), b, 1e9)
            worst = min(worst, equality.snr_db(a[known], b[known]) if known.any() else np.inf)
        else:
            off = max(off, float(np.mean(a != b)) if a.size else 0.0)
    return worst, off


def _words(error: OakmillError) -> str:
    kind = "" if isinstance(error, CompileFailed) else f"{error.code}: "
    return f"{kind}{error.message}"


with contextlib.suppress(ImportError):  # quiet, as the product is
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)

__all__ = ["CRASHED", "FAILED", "MODES", "OK", "POOR", "REFUSED", "WRONG", "Judge", "Outcome"]

"""By which methods a conversion to RVC3 is measured: its IRs on OpenVINO's CPU plugin, against the source model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from oakmill.conversion.images.samples import Images
from oakmill.conversion.passport import Bounds
from oakmill.conversion.passport.bounds import PROVEN_HALF
from oakmill.conversion.passport.measure import (
    Method,
    Overflowing,
    Runnable,
    graph_overflows,
    source_model,
    stored_in_half,
)
from oakmill.conversion.prepare import Prepared
from oakmill.findings import Finding, Severity

_ON = "on OpenVINO 2022.3.2's CPU plugin"
_INT8 = f"the quantized IR {_ON}, in float32 between its quantizers, against the source"
QUANTIZED_IR = "INT8", f"{_INT8} model in onnxruntime"
QUANTIZED_SOURCE_IR = "INT8", f"{_INT8} IR there"
PLAIN = (
    "FP16 weights",
    f"the Model Optimizer's IR, as it is before any quantization, {_ON} in float32, against the source model in "
    "onnxruntime",
)
SOURCE_IR = (
    "float32",
    "the IR with its preprocessing, as it is before any quantization, against the source IR, both on OpenVINO "
    "2022.3.2's CPU plugin in float32",
)
WEIGHTS = Bounds(40, 20, 2**-11, PROVEN_HALF)
LABEL = "IR, not compiled"
NOT_COMPILED = Finding(
    "not_compiled",
    Severity.WARNING,
    "no camera runs this file: no public package has a compiler for RVC3, and no compile_tool of the vendor's is set",
    title=LABEL,
    remedy="docs/howto/rvc3-compile-tool.md says how to set one, and how to compile the IR by hand",
    evidence={"status": "needs_compiler"},
)


@dataclass(frozen=True)
class Plan:
    """The source model, by which methods it is compared with, what decides first, and what looks for overflows."""

    source: Runnable
    methods: tuple[Method, ...]
    overflowing: Overflowing | None = None


def of_onnx(prepared: Prepared, images: Images, plain: Runnable | None, quantized: Runnable | None) -> Plan:
    """Of an ONNX model: its IR before quantization, and the quantized one where there is one; one of them at least.

    What is not quantized is computed in FP16, and so are the outputs.
    """
    source, overflowing = source_model(prepared), partial(graph_overflows, prepared, images.held_out)
    before = [_before(PLAIN, plain, source, quantized)] if plain else []
    if quantized:
        after = Method(*QUANTIZED_IR, quantized, source, looks=True, as_device=True)
        return Plan(source, (after, *before), overflowing)
    return Plan(source, (*before, stored_in_half(prepared)), overflowing)


def of_ir(source: Runnable, plain: Runnable | None, quantized: Runnable | None) -> Plan:
    """Of a source that is an IR itself."""
    before = [_before(SOURCE_IR, plain, source, quantized)] if plain else []
    after = [Method(*QUANTIZED_SOURCE_IR, quantized, source, looks=True, as_device=True)] if quantized else []
    return Plan(source, (*after, *before))


def _before(words: tuple[str, str], plain: Runnable, source: Runnable, quantized: Runnable | None) -> Method:
    """The IR before any quantization; where there is none, it is what the device would run.

    It proves that the IR computes what its source does, which the SNR says, and no task.
    """
    last = quantized is None
    return Method(*words, plain, source, WEIGHTS, decides=False, looks=last, as_device=last)

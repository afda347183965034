"""By which methods a conversion to RVC2 is measured: OpenVINO's CPU plugin as the proof, FP16 as what decides."""

from __future__ import annotations

from oakmill.conversion.passport import HALF, Bounds
from oakmill.conversion.passport.bounds import PROVEN, PROVEN_HALF
from oakmill.conversion.passport.measure import Method, Runnable

_ON = "on OpenVINO's CPU plugin in float32, against the source model in onnxruntime"
SIMULATED = "float32", f"prepared network {_ON}"
OPTIMIZED = "float32", f"the Model Optimizer's network {_ON}"
COMPRESSED = (
    "FP16 weights",
    "the Model Optimizer's network, its weights stored in FP16, on OpenVINO's CPU plugin in float32, against the "
    "source model in onnxruntime",
)
OF_IR = "float32", "prepared network on OpenVINO's CPU plugin in float32, against the source network there"
IR_STORED = (
    "FP16 weights",
    "the prepared network with its weights rounded to FP16, on OpenVINO's CPU plugin in float32, against itself "
    "without",
)
FLOAT = Bounds(60, 40, 1e-6, PROVEN)
WEIGHTS = Bounds(40, 20, 2**-11, PROVEN_HALF)


def proof(words: tuple[str, str], network: Runnable, source: Runnable, bounds: Bounds = FLOAT) -> Method:
    """That the network computes what its source does: in float32, so that the SNR says it, and no task."""
    return Method(*words, network, source, bounds, decides=False, as_device=True)


def ir_stored(rounded: Runnable, network: Runnable) -> Method:
    """What FP16 does to the weights of an IR."""
    return Method(*IR_STORED, rounded, network, HALF, looks=True)

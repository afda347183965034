"""By which methods a conversion to RVC4 is measured: simulated on all images, the finished file on some."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oakmill.conversion.passport import HALF, QUANTIZED, Bounds, OutputAgreement, OutputEncoding
from oakmill.conversion.passport.measure import (
    Method,
    Run,
    Runnable,
    by_toolchain,
    half_estimate,
    in_process,
    source_model,
)
from oakmill.conversion.platform import Network
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4.simulate import Simulated
from oakmill.findings import Finding, Severity
from oakmill.spec import Rvc4Spec
from oakmill.toolchains.rvc4.toolchain import Port

AS_QUANTIZED = "QDQ", "the quantized graph in onnxruntime, in float between its quantizers, against the source model"
AS_HALF = (
    "FP16 estimate",
    "weights and activations rounded to FP16 in onnxruntime, against the source model: the processor computes in FP16 "
    "whatever the file stores",
)
PROOF = "HTP", "the finished DLC on Qualcomm's own HTP library, emulated on this machine, against the source model"
PROOF_RESOLUTION = 1e-2

LOST_DB, BROKEN_DB = 6.0, 10.0
"""How much worse than its simulation a file may be on the same images. The emulated processor rounds otherwise, which
a softmax can make 2 to 5 dB of; twice the noise is looked at, three times the noise is another network."""
GOOD_DB = 20.0
"""A file as good as that is what was wanted, however much better onnxruntime simulates it: of FP16 networks the
processor adds up products in FP16 too, which costs YOLOX-nano 18 of 43 dB."""
DIFFERS = "file_differs"
_BITS = {"uint8": 8, "int8": 8, "uint16": 16, "int16": 16}


def methods(
    spec: Rvc4Spec, prepared: Prepared, network: Network, ports: Sequence[Port], infer: Run
) -> tuple[Runnable, tuple[Method, ...]]:
    """The source model, and the methods; `infer` runs the finished file on the vendor's own library."""
    source, is_float = source_model(prepared), spec.target_precision.is_float
    simulated = (
        half_estimate(prepared)
        if is_float
        else in_process(prepared, lambda: Simulated(network.model, prepared.image_inputs))
    )
    source_names = {port.name: prepared.names.get(port.name, port.name) for port in ports}
    steps = {source_names[port.name]: 3 * port.scale for port in ports if port.scale}
    encodings = {
        source_names[port.name]: OutputEncoding(port.scale, port.offset or 0, _BITS[port.dtype])
        for port in ports
        if port.scale and port.dtype in _BITS
    }
    own = Method(
        *(AS_HALF if is_float else AS_QUANTIZED),
        simulated,
        source,
        HALF if is_float else QUANTIZED,
        looks=True,
        encodings=encodings,
    )
    proof = Method(
        *PROOF,
        by_toolchain(prepared, infer, spec.proof_images),
        source,
        Bounds(20, 10, PROOF_RESOLUTION) if is_float else Bounds(0, 0, PROOF_RESOLUTION),
        # On so few images a share says little: it is shown, and what is judged is whether the file does as simulated.
        decides=False,
        encodings=encodings,
        simulated=simulated,
        differs=lambda ours, theirs: differs(ours, theirs, steps.get(theirs.name, 1e-3)),
    )
    return source, (own, proof)


def differs(simulated: OutputAgreement, found: OutputAgreement, step: float) -> Finding | None:
    """A file that is further from the float model than its own simulation, on the same images: it is not the same.

    Nothing within `step`, some steps of the output's number format, counts as apart.
    """
    lost = min(simulated.snr_db, GOOD_DB + BROKEN_DB) - min(found.snr_db, GOOD_DB + BROKEN_DB)
    apart = found.max_abs > step or not np.isfinite(found.max_abs)
    if not apart or found.snr_db >= GOOD_DB or (lost <= LOST_DB and not np.isnan(lost)):
        return None
    return Finding(
        DIFFERS,
        Severity.WARNING if lost <= BROKEN_DB else Severity.ERROR,
        f"output {found.name!r} of the finished file has an SNR of {found.snr_db:.1f} dB, the same graph simulated "
        f"{simulated.snr_db:.1f} dB on the same images",
        title="The file does not compute what was simulated",
        remedy="convert again; where it stays, the vendor's library computes an operation otherwise than ONNX does: "
        "compare with --target-precision FP16",
        subject=found.name,
        evidence={"output": found.name, "file_db": found.snr_db, "simulated_db": simulated.snr_db},
    )

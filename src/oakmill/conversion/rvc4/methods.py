"""By which methods a conversion to RVC4 is measured: simulated on all images, the finished file on some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oakmill.conversion.passport import HALF, QUANTIZED, Bounds, OutputEncoding
from oakmill.conversion.passport.measure import (
    Method,
    Run,
    Runnable,
    by_toolchain,
    half_estimate,
    in_process,
    source_model,
)
from oakmill.conversion.passport.tasks import TaskAgreement
from oakmill.conversion.passport.twins import Twin, Twins
from oakmill.conversion.platform import Network
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4.simulate import Simulated
from oakmill.findings import Finding, Severity
from oakmill.graph.skeleton import all_graphs
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
"""How much further from the float model a file may be than its simulation on the same images: twice the noise is looked
at, three times the noise is another network."""
OWN_NOISE_DB, EXACT_HALF_DB, EXACT_DB = 20.0, 50.0, 40.0
"""How near to its simulation the emulated processor stays by itself. It looks functions such as a sigmoid up, right to
0.004: where layers build on that, YOLOX-nano is left 25 dB. Others agree to 59 dB (a reader of plates) to 68 dB
(ultraface) in FP16, and to 44 dB in 8 bits."""
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
LOOKED_UP = frozenset({
    "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "InstanceNormalization", "LayerNormalization", "Log",
    "LogSoftmax", "LpNormalization", "Mish", "Pow", "Reciprocal", "Selu", "Sigmoid", "Softmax", "Softplus", "Sqrt",
    "Swish", "Tanh",
})  # fmt: skip
GAIN, BROKEN_GAIN = 0.03, 0.1
"""A factor between file and simulation, where their direction agrees to 0.98: rounding leaves 0.006 (YuNet's scores) to
0.022 (squeezenet's probabilities in 8 bits, 3 images)."""
COLUMN_DB, COLUMN_APART = 6.0, 0.05
"""Of one class or coordinate: below, half of what it says is another, and some value by as much as moves a threshold.
Ultraface's face scores in 8 bits have 18 dB. YOLOX-nano's rarest classes have 4, by its own noise, so that there it is
what is decided that counts, and without that all of what a column says: 0 dB."""
COUNTED = {"classification": ("top1", ""), "detection": ("f1", "boxes"), "text": ("texts", "")}
"""By the kind of a task the share that agrees, and the number of what it is a share of; else that of images."""
MOVED = ("confidence_shift", "score_shift", "mean_iou", "pixels")
LEAST_IOU = 0.8
"""Of a mask on one image, as a passport asks of all: MediaPipe's net of persons in FP16 kept 0.71 of one in four, which
large masks on the other images hid."""
FEW_VALUES = 32
"""Below, a factor is that of the one or two largest values: of three scores 0.97 and 0.62 were rounding."""
DIFFERS = "file_differs"
_BITS = {"uint8": 8, "int8": 8, "uint16": 16, "int16": 16}


def methods(
    spec: Rvc4Spec, prepared: Prepared, network: Network, ports: Sequence[Port], infer: Run
) -> tuple[Runnable, tuple[Method, ...]]:
    """The source model, and the methods; `infer` runs the finished file on the vendor's own library.

    A file whose quantized graph is not at hand is judged by itself, on as many images as it runs.
    """
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
    if not (is_float or has_graph(network)):
        alone = Method(*PROOF, by_toolchain(prepared, infer), source, QUANTIZED, looks=True, encodings=encodings)
        return source, (alone,)
    own = Method(
        *(AS_HALF if is_float else AS_QUANTIZED),
        simulated,
        source,
        HALF if is_float else QUANTIZED,
        looks=True,
        encodings=encodings,
    )
    own_noise = own_noise_of(network, EXACT_HALF_DB if is_float else EXACT_DB)
    proof = Method(
        *PROOF,
        by_toolchain(prepared, infer, spec.proof_images),
        source,
        Bounds(20, 10, PROOF_RESOLUTION) if is_float else Bounds(0, 0, PROOF_RESOLUTION),
        # On so few images a share says little: it is shown, and what is judged is whether the file does as simulated.
        decides=False,
        encodings=encodings,
        simulated=simulated,
        differs=lambda twins: differs(twins, steps, own_noise),
        as_device=True,
    )
    return source, (own, proof)


def not_a_number(prepared: Prepared) -> tuple[Finding, ...]:
    """What to know of an IsNaN: on the emulated processor infinity and 70000 are NaN in FP16, in 8 bits nothing is.

    An Equal or GreaterOrEqual in its place was measured to say the same.
    """
    found = [node for graph in all_graphs(prepared.model.graph) for node in graph.node if node.op_type == "IsNaN"]
    if not found:
        return ()
    first, *others = (node.name or node.output[0] for node in found)
    return (
        Finding(
            "is_nan",
            Severity.WARNING,
            f"node {first!r} (IsNaN) takes infinity and all that is beyond FP16 for NaN too on RVC4, and never finds "
            "any in 8 bits; generated images show none of these",
            title="NaN and infinity are one",
            remedy="take it out of the model where it only guards, or end the network before it (--outputs)",
            subject=first,
            others=tuple(others),
        ),
    )


def has_graph(network: Network) -> bool:
    """Whether the network that was compiled is here, and not a finished file alone."""
    return network.file.is_file()


def differs(twins: Twins, steps: Mapping[str, float], own_noise_db: float) -> Iterator[Finding]:
    """Where a file does not compute what was simulated: in what it decides, else in an output's values.

    Nothing within some steps of an output's number format, or within `PROOF_RESOLUTION`, counts as apart.
    """
    alike: set[str] = set()
    for task in twins.tasks():
        if reasons := _decides_otherwise(task):
            yield _finding(task.outputs[0], Severity.WARNING, f"decides otherwise: {'; '.join(reasons)}", task.values)
        else:
            alike |= {*task.outputs}
    for twin in twins.outputs():
        step = max(steps.get(twin.name, 0.0), PROOF_RESOLUTION)
        apart = twin.direct.max_abs > step or not twin.direct.is_finite
        if apart and (found := _severity(twin, step, own_noise_db, alike=twin.name in alike)):
            severity, words = found
            numbers = {"file_db": twin.file.judged_db, "simulated_db": twin.simulated.judged_db}
            yield _finding(twin.name, severity, words, {"output": twin.name, **numbers, "gain": twin.direct.gain})


def _decides_otherwise(task: TaskAgreement) -> tuple[str, ...]:
    """Why the file decides otherwise than its simulation: of so few images, one that changes is chance.

    How much scores and places move is no matter of chance.
    """
    counted = COUNTED.get(task.kind)
    if counted and (1 - task.values[counted[0]]) * task.values.get(counted[1], task.images) >= 2:
        return task.reasons
    least = task.metrics.get("least_iou")
    if least and least.measured and least.value < LEAST_IOU:
        return (f"{least.words} is {least.value:.2f} (ok from {LEAST_IOU:g})",)
    moved = (metric for key, metric in task.metrics.items() if key in MOVED)
    return task.reasons if any(metric.verdict is Severity.ERROR for metric in moved) else ()


def _severity(twin: Twin, step: float, own_noise_db: float, *, alike: bool) -> tuple[Severity, str] | None:
    """What is wrong with an output that is apart, the worst first; `alike`: a task decides the same by both."""
    file, simulated, direct = twin.file.judged_db, twin.simulated.judged_db, twin.direct
    words = f"has an SNR of {file:.1f} dB, the same graph simulated {simulated:.1f} dB"
    if not direct.is_finite:
        return Severity.ERROR, "holds values that are not numbers where its simulation's are"
    if twin.lost_db > BROKEN_DB and file < OWN_NOISE_DB:
        return Severity.ERROR, words
    column = None if alike else twin.worst_column(max(step, COLUMN_APART))
    if column and column.about_mean_db < (COLUMN_DB if own_noise_db > OWN_NOISE_DB else 0.0) and twin.lost_db > 0:
        where = f"position {column.at} of axis {column.axis}"
        return Severity.WARNING, f"says something else at {where}: values are up to {column.max_abs:.3g} apart"
    off = abs(direct.gain - 1)
    few = twin.values < FEW_VALUES
    if direct.cosine >= 0.98 and off > (BROKEN_GAIN if few else GAIN):
        severity = Severity.ERROR if off > BROKEN_GAIN and not few else Severity.WARNING
        return severity, f"is {direct.gain:.2f} times the simulation's"
    if twin.lost_db > (BROKEN_DB if alike else LOST_DB) and direct.judged_db < own_noise_db:
        return Severity.WARNING, words
    exact = own_noise_db > OWN_NOISE_DB and not alike
    image = twin.image_apart(step, own_noise_db, BROKEN_DB) if exact else ""
    return (Severity.WARNING, f"is not what was simulated on {image}") if image else None


def own_noise_of(network: Network, exact_db: float) -> float:
    """How near the processor comes to a simulation of this network: less, where a layer builds on what is looked up."""
    built_on: set[str] = set()
    for node in network.model.graph.node:
        inexact = node.op_type in LOOKED_UP or not built_on.isdisjoint(node.input)
        if inexact and node.op_type in WEIGHTED:
            return OWN_NOISE_DB
        if inexact:
            built_on.update(node.output)
    return exact_db


def _finding(subject: str, severity: Severity, words: str, evidence: Mapping[str, Any]) -> Finding:
    return Finding(
        DIFFERS,
        severity,
        f"output {subject!r} of the finished file {words}; the file and its simulation ran on the same images",
        title="The file does not compute what was simulated",
        remedy="convert again; where it stays, the vendor's library computes an operation otherwise than ONNX does: "
        "compare with another --target-precision",
        subject=subject,
        evidence=evidence,
    )

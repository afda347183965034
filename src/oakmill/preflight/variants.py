"""Names the variant of an operator that a node is: what compilers tell apart, and the measured tables are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnx import NodeProto

from oakmill.preflight import sliding
from oakmill.preflight.graph import STANDARD, Facts, argument, attributes
from oakmill.preflight.sliding import Details, Rule, computed, is_used


@dataclass(frozen=True)
class Variant:
    """An operator, with the attributes that matter, on tensors of such a type and rank."""

    op: str
    details: str = ""
    tensors: str = ""

    @property
    def parts(self) -> frozenset[str]:
        """The details one by one."""
        return frozenset(self.details.split(", ")) - {""}

    @property
    def dtype(self) -> str:
        """Numpy's name of the numbers' type; empty where it is not known."""
        first = self.tensors.partition(" ")[0]
        return "" if first.endswith("-D") else first

    @property
    def words(self) -> str:
        """For people: `Resize (cubic, half_pixel) on float32 4-D`."""
        details = f" ({self.details})" if self.details else ""
        return f"{self.op}{details}" + (f" on {self.tensors}" if self.tensors else "")


def variant_of(node: NodeProto, facts: Facts) -> Variant:
    """The variant that a node is; what is not known of its tensors is omitted."""
    op = node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}"
    rule = _RULES.get(op) or (_reduction if op.startswith("Reduce") else None)
    details = rule(node, facts, attributes(node)) if rule else ()
    return Variant(op, ", ".join(filter(None, (*details, *_ports(node, facts)))), _tensors(node, facts))


PLAIN = ("", "float32", "int32", "int64")
"""Types of numbers that a converted model's inputs and outputs have without further ado; 64 bits become 32."""


def _ports(node: NodeProto, facts: Facts) -> Details:
    """Other types of numbers that the node takes from the model's inputs, or gives to its outputs, as they are."""
    inputs, outputs = ({value.name for value in side} for side in (facts.inputs, facts.graph.output))
    for word, names in (("fed", inputs.intersection(node.input)), ("given as", outputs.intersection(node.output))):
        kinds = {facts.dtype(name) for name in names} - set(PLAIN)
        yield from (f"{word} {kind}" for kind in sorted(kinds))


def _tensors(node: NodeProto, facts: Facts) -> str:
    """Type and rank of what is computed on: the first input, or of several the highest rank."""
    names = [name for name in node.input if name] or list(node.output)
    if not names:
        return ""
    main = names[:2] if node.op_type in _BROADCASTING else names[:1]
    ranks = [facts.rank(name) for name in main]
    rank = max((item for item in ranks if item is not None), default=None) if None not in ranks else None
    return " ".join(filter(None, [facts.dtype(main[0]), "" if rank is None else f"{rank}-D"]))


_BROADCASTING = {
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "MatMul", "Max", "Mean", "Min",
    "Mod", "Mul", "Or", "Pow", "Sub", "Sum", "Xor",
}  # fmt: skip


def _reduction(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    axes = facts.value(argument(node, 1)) if argument(node, 1) else given.get("axes")
    count = None if axes is None else len(list(axes))
    everything = (count is None and not given.get("noop_with_empty_axes", 0)) or count == facts.rank(node.input[0])
    keep = given.get("keepdims", 1)
    yield ("to a scalar" if not keep else "all axes kept") if everything else "" if keep else "axes dropped"
    yield computed(facts, argument(node, 1), "axes")


def _gather(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    yield computed(facts, argument(node, 1), "indices")
    yield "scalar index" if facts.rank(argument(node, 1)) == 0 else ""
    yield "of a constant" if facts.is_constant(node.input[0]) else ""
    yield f"batch_dims {given['batch_dims']}" if given.get("batch_dims", 0) else ""


def _scatter(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    if given.get("reduction", "none") != "none":
        yield f"reduction {given['reduction']}"
        yield computed(facts, argument(node, 2), "updates")
    yield computed(facts, argument(node, 1), "indices")
    yield "negative indices" if _has_negative(facts, argument(node, 1)) else ""


def _has_negative(facts: Facts, name: str) -> bool:
    known = facts.value(name)
    return known is not None and bool(known.size) and bool((known < 0).any())


def _slice(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    steps = facts.value(argument(node, 4)) if argument(node, 4) else None
    yield "backwards" if steps is not None and (steps < 0).any() else ""
    yield "in steps" if steps is not None and (steps > 1).any() else ""
    yield "computed bounds" if any(not facts.is_constant(name) for name in node.input[1:] if name) else ""


def _split(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    parts = facts.value(argument(node, 1)) if argument(node, 1) else given.get("split")
    yield "uneven" if parts is not None and len({int(part) for part in parts}) > 1 else ""
    yield "with an empty part" if parts is not None and 0 in parts else ""
    yield computed(facts, argument(node, 1), "sizes")


def _softmax(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    rank, axis = facts.rank(node.input[0]), given.get("axis", -1 if facts.opset >= 13 else 1)
    if rank is not None:
        axis %= rank
        yield "last axis" if axis == rank - 1 else f"axis {axis}"
        behind = (facts.shape(node.input[0]) or ())[axis + 1 :]
        yield "flattened from there" if facts.opset < 13 and set(behind) - {1} else ""  # which newer opsets do not


def _recurrent(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    yield given.get("direction", "forward")
    yield "batch first" if given.get("layout", 0) else ""
    yield "linear before reset" if given.get("linear_before_reset", 0) else ""
    yield "clip" if "clip" in given else ""
    yield "own activations" if "activations" in given else ""
    yield "sequence lengths" if argument(node, 4) else ""
    yield "peepholes" if argument(node, 7) else ""
    yield computed(facts, argument(node, 1), "weights")
    shape = facts.shape(node.input[0])
    steps = shape[1 if given.get("layout", 0) else 0] if shape else None
    outputs = [is_used(facts, name) for name in node.output]
    yield "last step alone" if outputs and not outputs[0] else ""
    yield "over 64 steps" if steps is not None and steps > 64 else ""


def _matmul(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    yield "computed factors" if not any(facts.is_constant(name) for name in node.input[:2]) else ""
    yield "vector" if 1 in (facts.rank(name) for name in node.input[:2]) else ""


def _gemm(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    yield "transA" if given.get("transA", 0) else ""
    yield "scaled" if given.get("alpha", 1.0) != 1 or given.get("beta", 1.0) != 1 else ""
    yield computed(facts, argument(node, 1), "weights")


def _prelu(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    slope = facts.shape(argument(node, 1))
    if slope is not None and None not in slope:
        yield "one slope" if all(size == 1 for size in slope) else ""
    yield computed(facts, argument(node, 1), "slope")


def _norm(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    axis, rank = given.get("axis", -1), facts.rank(node.input[0])
    if node.op_type in ("LayerNormalization", "RMSNormalization") and rank is not None:
        yield "" if axis in (-1, rank - 1) else f"last {-axis if axis < 0 else rank - axis} axes"
    yield "training" if given.get("training_mode", 0) else ""
    yield "with statistics" if any(is_used(facts, name) for name in node.output[1:]) else ""
    yield computed(facts, argument(node, 1), "scale")


def _named(*names: str) -> Rule:
    """The values of attributes, where they are given."""

    def rule(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
        for name in names:
            if name in given:
                yield f"{name} {given[name]}"

    return rule


def _flags(*names: str) -> Rule:
    """Attributes that are on."""

    def rule(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
        for name in names:
            yield name if given.get(name, 0) else ""

    return rule


def _shape_given(what: str, index: int = 1) -> Rule:
    """Whether an input that is a shape is computed from data."""

    def rule(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
        yield computed(facts, argument(node, index), what)

    return rule


def _reshape(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    rank = facts.rank(node.output[0])
    yield f"to {rank}-D" if rank is not None else ""
    yield computed(facts, argument(node, 1), "shape")


def _cast(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    from onnx import TensorProto

    known = given.get("to", 0) in TensorProto.DataType.values()
    name = TensorProto.DataType.Name(given["to"]).lower() if known else ""
    plain = {"float": "float32", "double": "float64"}.get(name, name)
    yield f"to {plain}" if plain != facts.dtype(node.input[0]) else "to the same"


def _where(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    """The first input is the condition; what is chosen may be of any type."""
    dtype = facts.dtype(argument(node, 1))
    yield f"of {dtype}" if dtype not in ("", "float32") else ""


def _roi_align(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    yield "as many samples as fit" if not given.get("sampling_ratio", 0) else ""
    yield given.get("mode", "avg")
    yield given.get("coordinate_transformation_mode", "half_pixel" if facts.opset >= 16 else "output_half_pixel")


def _one_hot(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    yield computed(facts, argument(node, 1), "depth")
    yield "" if given.get("axis", -1) in (-1, facts.rank(node.input[0])) else "not last"


def _top_k(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    yield "" if given.get("largest", 1) else "smallest"
    yield "" if given.get("sorted", 1) else "unsorted"
    yield computed(facts, argument(node, 1), "k")


def _arg(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    yield "" if given.get("keepdims", 1) else "axis dropped"
    yield "last index" if given.get("select_last_index", 0) else ""


def _grid_sample(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    mode = given.get("mode", "linear")
    yield {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    yield given.get("padding_mode", "zeros")
    yield "align_corners" if given.get("align_corners", 0) else ""
    yield "constant grid" if facts.is_constant(argument(node, 1)) else ""


def _quantizer(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    yield "per channel" if facts.rank(argument(node, 1)) == 1 and facts.shape(argument(node, 1)) != (1,) else ""
    yield facts.dtype(argument(node, 2)) if node.op_type == "QuantizeLinear" else ""
    yield "of a constant" if facts.is_constant(node.input[0]) else ""
    yield computed(facts, argument(node, 1), "scale")


def _erf(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    """Compilers know Gelu by its Erf: x / sqrt 2 goes in, and 1 is added to what comes out."""
    before = facts.makers.get(node.input[0])
    after = facts.readers.get(node.output[0], [])
    scaled = before is not None and before.op_type in ("Mul", "Div")
    yield "in Gelu" if scaled and len(after) == 1 and after[0].op_type == "Add" else ""


def _power(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    yield computed(facts, argument(node, 1), "exponent")


def _clip(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    yield "computed bounds" if any(not facts.is_constant(name) for name in node.input[1:]) else ""
    yield "bounds of one dimension" if any(facts.rank(name) == 1 for name in node.input[1:] if name) else ""


def _cumulative_sum(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    yield from _flags("exclusive", "reverse")(node, facts, given)
    yield computed(facts, argument(node, 1), "axis")


def _triangle(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    yield from _named("upper")(node, facts, given)
    yield computed(facts, argument(node, 1), "diagonal")


def _einsum(node: NodeProto, facts: Facts, given: dict[str, Any]) -> Details:
    """The equation, its letters renamed in their order."""
    letters: dict[str, str] = {}
    text = str(given.get("equation", "")).replace(" ", "")
    yield "".join(letters.setdefault(c, chr(97 + len(letters))) if c.isalpha() else c for c in text)


_RULES: Mapping[str, Rule] = {
    "ArgMax": _arg, "ArgMin": _arg,
    "AveragePool": sliding.pool, "LpPool": sliding.pool, "MaxPool": sliding.pool,
    "BatchNormalization": _norm, "InstanceNormalization": _norm, "LayerNormalization": _norm,
    "RMSNormalization": _norm, "GroupNormalization": _norm,
    "BitShift": _named("direction"),
    "Cast": _cast,
    "Clip": _clip,
    "CenterCropPad": _shape_given("shape"),
    "ConstantOfShape": _shape_given("shape", 0),
    "Conv": sliding.convolution, "ConvTranspose": sliding.convolution, "DeformConv": sliding.convolution,
    "CumSum": _cumulative_sum,
    "DepthToSpace": _named("mode"),
    "DequantizeLinear": _quantizer, "QuantizeLinear": _quantizer,
    "Einsum": _einsum,
    "Erf": _erf,
    "Expand": _shape_given("shape"),
    "GRU": _recurrent, "LSTM": _recurrent, "RNN": _recurrent,
    "Gather": _gather, "GatherElements": _gather, "GatherND": _gather,
    "Gelu": _named("approximate"),
    "Gemm": _gemm,
    "GridSample": _grid_sample,
    "LogSoftmax": _softmax, "Softmax": _softmax, "Hardmax": _softmax,
    "LpNormalization": _named("p"),
    "MatMul": _matmul,
    "Mod": _flags("fmod"),
    "OneHot": _one_hot,
    "PRelu": _prelu,
    "Pad": sliding.pad,
    "Pow": _power,
    "Range": _shape_given("bounds"),
    "Reshape": _reshape,
    "Resize": sliding.resize,
    "ReverseSequence": _shape_given("lengths"),
    "RoiAlign": _roi_align,
    "ScatterElements": _scatter, "ScatterND": _scatter,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _shape_given("axes"), "Unsqueeze": _shape_given("axes"),
    "Tile": _shape_given("repeats"),
    "TopK": _top_k,
    "Trilu": _triangle,
    "Upsample": _shape_given("scales"),
    "Where": _where,
}  # fmt: skip

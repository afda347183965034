"""Which operators a platform's preparation writes in others, so that what a table says of them does not count."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from oakmill.preflight.graph import Facts
from oakmill.preflight.variants import Variant

Rule = Callable[[frozenset[str]], bool]
"""Says of a variant's details, number type and rank ("4-D") whether it is written in others."""


def rewritten(platform: str, variant: Variant) -> bool:
    """Whether a platform's compiler never meets this variant.

    `graph.decompose`, `graph.exact` and `graph.quantizers` write them; each was seen to come out right,
    by models of one operator as those of the tables, and RVC4's quantizers and pools in 8 bits too.
    """
    rule = _RULES.get(platform, {}).get(variant.op)
    computed = {item for item in variant.parts if item.startswith("computed ")}
    computed -= _WRITTEN_COMPUTED.get(variant.op, set())
    return rule is not None and not computed and rule(variant.parts | set(variant.tensors.split()))


def in_plain_numbers(variant: Variant) -> Variant:
    """The variant in float32 and int32, as `graph.number_types` writes a model for platforms of these."""
    dtype = variant.dtype
    kept = [item for item in variant.details.split(", ") if not _is_port(item)] if variant.details else []
    plain = _PLAIN.get(dtype, dtype)
    if variant.op == "Cast":
        kinds = (_PLAIN.get(kind, kind) for kind in (item.removeprefix("to ") for item in kept))
        kept = ["to the same" if kind in (plain, "the same") else f"to {kind}" for kind in kinds]
    return replace(variant, details=", ".join(kept), tensors=variant.tensors.replace(dtype, plain, 1))


def is_quantized(facts: Facts) -> bool:
    """Whether whole numbers stay what they are, as those of a quantized model do."""
    return any("Linear" in node.op_type or "Integer" in node.op_type for node in facts.nodes)


def _is_port(detail: str) -> bool:
    kind = detail.removeprefix("fed ").removeprefix("given as ")
    return kind != detail and kind in _PLAIN


_PLAIN = {
    **dict.fromkeys(("int8", "int16", "uint16", "uint32", "uint64"), "int32"),
    **dict.fromkeys(("float16", "float64"), "float32"),
}


def _unless(*words: str) -> Rule:
    return lambda details: details.isdisjoint(words)


def _with(*words: str) -> Rule:
    return lambda details: details.issuperset(words)


def _reduces(details: Collection[str]) -> bool:
    return any(item.startswith("reduction") for item in details)


def _resize(details: Collection[str]) -> bool:
    """Nearest and linear, of fixed ratios, without what newer opsets added."""
    added = {"antialias", "outside excluded", "tf_crop_and_resize", "half_pixel_symmetric"}
    return not added.intersection(details) and any(mode in details for mode in ("nearest", "linear"))


_ALWAYS = _unless()
_WRITTEN_COMPUTED = {"Clip": {"computed bounds"}, "PRelu": {"computed slope"}}
_BOTH: Mapping[str, Rule] = {
    "Acosh": _ALWAYS,
    "ArgMax": _with("last index"),
    "ArgMin": _with("last index"),
    "Asinh": _ALWAYS,
    "Atanh": _ALWAYS,
    "Cast": _with("to the same"),
    "Clip": _with("computed bounds"),
    "Cosh": _ALWAYS,
    "GridSample": _with("constant grid"),
    "Hardmax": _unless("flattened from there"),
    "LpNormalization": _ALWAYS,
    "LpPool": _unless("dilated", "ceil"),
    "ReduceProd": _ALWAYS,
    "ReverseSequence": _ALWAYS,
    "ScatterElements": _reduces,
    "Sinh": _ALWAYS,
}
_RULES: Mapping[str, Mapping[str, Rule]] = {
    "rvc2": {
        **_BOTH,
        **dict.fromkeys(("Acos", "Asin", "Atan", "Cos", "Sin", "Tan"), _ALWAYS),
        "Cast": lambda details: not details.isdisjoint({"to the same", "to bool"}),
        "Equal": _ALWAYS,
        "Greater": _ALWAYS,
        "GreaterOrEqual": _ALWAYS,
        "Less": _ALWAYS,
        "LessOrEqual": _ALWAYS,
        "Mod": _ALWAYS,
        "Not": _ALWAYS,
        "OneHot": _ALWAYS,
        "Or": _ALWAYS,
        "PRelu": _with("computed slope"),
        "Pad": _unless("axes named", "of infinity", "wrap", "3-D", "4-D"),
        "ScatterND": _ALWAYS,
        "Sign": _ALWAYS,
        "Trilu": _ALWAYS,
        "Where": _ALWAYS,
        "Xor": _ALWAYS,
    },
    "rvc4": {
        **_BOTH,
        "Acos": _ALWAYS,
        "Asin": _ALWAYS,
        "AveragePool": _unless("dilated"),
        "Celu": _ALWAYS,
        "DequantizeLinear": _ALWAYS,
        "Mean": _ALWAYS,
        "MeanVarianceNormalization": _ALWAYS,
        "Mish": _ALWAYS,
        "OneHot": _ALWAYS,
        "Pad": _with("edge"),
        "QuantizeLinear": _ALWAYS,
        "ReduceL1": _ALWAYS,
        "ReduceLogSum": _ALWAYS,
        "ReduceLogSumExp": _ALWAYS,
        "ReduceSumSquare": _ALWAYS,
        "Resize": _resize,
        "ScatterND": _reduces,
        "Shrink": _ALWAYS,
        "Softsign": _ALWAYS,
    },
}

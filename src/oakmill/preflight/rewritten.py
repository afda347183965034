"""Which operators a platform's preparation writes in others, so that what a table says of them does not count."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from oakmill.preflight.variants import Variant

Rule = Callable[[frozenset[str]], bool]
"""Says of a variant's details whether it is written in others."""


def rewritten(platform: str, variant: Variant) -> bool:
    """Whether a platform's compiler never meets this variant.

    `graph.exact` and `graph.quantizers` write them for RVC4; each was seen to come out right in FP16 and in 8 bits, by
    the same models of one operator as the tables. Of others that these write, the tables were measured since.
    """
    rule = _RULES.get(platform, {}).get(variant.op)
    details = frozenset(variant.details.split(", ")) if variant.details else frozenset[str]()
    computed = any(item.startswith("computed ") for item in details)
    return rule is not None and not computed and rule(details)


def _unless(*words: str) -> Rule:
    return lambda details: details.isdisjoint(words)


def _with(*words: str) -> Rule:
    return lambda details: details.issuperset(words)


def _resize(details: Collection[str]) -> bool:
    """Nearest and linear, of fixed ratios, without what newer opsets added."""
    added = {"antialias", "outside excluded", "tf_crop_and_resize", "half_pixel_symmetric"}
    return not added.intersection(details) and any(mode in details for mode in ("nearest", "linear"))


_RULES: Mapping[str, Mapping[str, Rule]] = {
    "rvc4": {
        "AveragePool": _unless("dilated"),
        "DequantizeLinear": _unless(),
        "Pad": _with("edge"),
        "QuantizeLinear": _unless(),
        "Resize": _resize,
    }
}

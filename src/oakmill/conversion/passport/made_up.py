"""Looks what a model does with numbers that nobody gave examples of, where FP16 could not hold what it makes of them.

An input that is no image is measured on made-up numbers, most of them near zero, and nobody says how large the real
ones are. So the float model is asked about two kinds that those do not show: whole numbers of a size that is met
everywhere, whose product may be beyond FP16; and numbers far from zero, where it may live by differences that FP16 does
not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.inputs import ResolvedInput
from oakmill.conversion.passport.agreement import Outputs
from oakmill.findings import Finding, Severity
from oakmill.graph.half import LARGEST

USUAL = 16
"""Whole numbers up to this one are met everywhere; a product of twelve of them is not in FP16."""
FAR = 10_000.0
"""Where FP16 counts by eights, and float32 by thousandths."""
_STEP = 8
_NEAR = 1e-3
"""How far apart outputs may be that count as the same, as a part of their largest value."""
Run = Callable[[Sequence[Outputs]], Iterable[Outputs]]

_REMEDY = "give examples of what it is fed, as --images FOLDER with a .npy for each, so that these are measured; or "


def findings(inputs: tuple[ResolvedInput, ...], samples: SampleSet, run: Run) -> Iterator[Finding]:
    """What FP16 may not hold: a warning for each output that leaves its range, and for an only input far from zero.

    Of several inputs one that an attention takes an offset off, as of its keys, is no matter of what is fed.

    Args:
        inputs: of the converted model.
        samples: what it is measured on, two at least for the second kind.
        run: runs the source model on samples, and gives the outputs of each.
    """
    open_ended = [item for item in inputs if not item.is_image and item.dtype.startswith("float")]
    if not open_ended:
        return
    first = samples[0]
    (usual,) = run([{**first, **{item.name: _whole(item.shape) for item in open_ended}}])
    yield from _too_large(usual)
    if len(samples) > 2 and len(inputs) == 1:
        (name,) = first
        far = {name: first[name] + np.float32(FAR)}
        if _is_carried_off(*run([first, far, samples[2]])):
            yield _lost_differences(name)


def _whole(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.RandomState(USUAL).randint(1, USUAL + 1, shape).astype(np.float32)


def _too_large(outputs: Outputs) -> Iterator[Finding]:
    for name, values in outputs.items():
        if values.dtype.kind != "f" or not values.size or not np.isfinite(values).all():
            continue
        if (peak := float(np.abs(values).max())) > LARGEST:
            yield Finding(
                "beyond_half",
                Severity.WARNING,
                f"output {name!r} reaches {peak:.2g} where the inputs are whole numbers of 1 to {USUAL}, and FP16 ends "
                f"at {LARGEST:.0f}: the device gives infinity",
                title="An output that leaves FP16's range",
                remedy=_REMEDY + "scale it down within the model",
                subject=name,
                evidence={"output": name, "peak": peak},
            )


def _is_carried_off(first: Outputs, far: Outputs, changed: Outputs) -> bool:
    """Whether the model takes an offset off its input, so that it lives by what is beside it."""
    return _same(first, far) and not _same(first, changed)


def _same(a: Mapping[str, NDArray[Any]], b: Mapping[str, NDArray[Any]]) -> bool:
    return all(
        np.isfinite(values).all() and np.allclose(values, b[name], rtol=0, atol=_NEAR * np.abs(values).max(initial=0))
        for name, values in a.items()
    )


def _lost_differences(name: str) -> Finding:
    return Finding(
        "far_from_zero",
        Severity.WARNING,
        f"the model gives the same for input {name!r} and for {FAR:,.0f} more, so it lives by differences, and FP16 "
        f"counts by {_STEP} there: it makes one number of those that are nearer to each other",
        title="Numbers far from zero lose their differences",
        remedy=_REMEDY + "take the offset off before they are fed",
        subject=name,
        evidence={"input": name, "offset": FAR},
    )

"""The functions of angles by polynomials, in the numbers of the host and of RVC2."""

from __future__ import annotations

import numpy as np
import pytest

from oakmill.graph import equality
from oakmill.graph.decompose import decompose
from oakmill.graph.half import half_estimate
from oakmill.graph.trigonometry import POLYNOMIALS
from tests.unit.graph.building import Array, ops, parse

TURNS = np.linspace(-12, 12, 2001).astype("f")
BOUNDED = np.linspace(-1, 1, 2001).astype("f")
VALUES = {
    "Acos": BOUNDED,
    "Asin": BOUNDED,
    "Atan": np.concatenate([BOUNDED, [0, 1e-7, -3, 60000, np.inf, -np.inf]]).astype("f"),
    "Cos": TURNS,
    "Sin": TURNS,
    "Tan": BOUNDED * np.float32(1.5),
}


@pytest.mark.parametrize("op", VALUES)
def test_a_polynomial_computes_the_same(op: str) -> None:
    """BirdNET's net of places and weeks (a TFLite of 7 MB) was refused for RVC2: its compiler has no Sin."""
    wanted, found = both(op, VALUES[op])
    np.testing.assert_allclose(found, wanted, rtol=3e-6, atol=2e-6)
    assert POLYNOMIALS.keys() == VALUES.keys()


@pytest.mark.parametrize(("op", "most"), [("Sin", 2e-3), ("Cos", 3e-3), ("Atan", 2e-3), ("Asin", 4e-3)])
def test_an_angle_in_float16_keeps_its_digits(op: str, most: float) -> None:
    """A sine's series cancels near half a turn: in float16 it was 0.01 off there."""
    values = np.clip(VALUES[op], -7, 7).astype(np.float16).astype(np.float32)
    wanted, found = both(op, values, half=True)
    assert np.abs(found - wanted).max() < most


def test_whole_turns_are_taken_off_exactly() -> None:
    x = np.array([1e4, -1e4, 40 * np.pi], "f")
    wanted, found = both("Sin", x)
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def both(op: str, x: Array, *, half: bool = False) -> tuple[Array, Array]:
    """What onnxruntime makes of the operator, and of its polynomial, in float16 where asked."""
    model = parse(f"y = {op}(x)", inputs=f"float[{len(x)}] x", outputs=f"float[{len(x)}] y")
    changed = decompose(model, POLYNOMIALS)
    assert op not in ops(changed)
    if half:
        changed = half_estimate(changed)
    return equality.run(model, {"x": x})["y"], equality.run(changed, {"x": x})["y"]

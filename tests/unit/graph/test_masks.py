from __future__ import annotations

import numpy as np
import pytest

from oakmill.graph import equality
from oakmill.graph.decompose import decompose
from oakmill.graph.masks import with_finite_masks
from tests.unit.graph.building import parse

INPUTS, CONSTANTS = "float[2,8,6,5] x, bool[6,5] mask", "float low = {-inf}, float zero = {0}, int64[1] last = {-1}"
ATTENTION = (
    "bias = Where(mask, zero, low) s = Add(x, bias) soft = Softmax(s) m = ReduceMax<axes=[-1]>(bias) {compared} "
    "y = Where(none, zero, soft)"
)
COMPARED = {
    "with -inf": "none = Equal(m, low)",
    "the other way round": "none = Equal(low, m)",
    "with what was cast": "cast = CastLike(low, m) none = Equal(m, cast)",
}


@pytest.mark.parametrize("compared", COMPARED)
def test_a_row_that_is_masked_whole_is_computed_without_infinity(compared: str) -> None:
    """OpenVINO made NaN of such a row, its comparison with -inf did not find it, and attention was refused."""
    model = parse(ATTENTION.format(compared=COMPARED[compared]), inputs=INPUTS, constants=CONSTANTS)
    changed = decompose(with_finite_masks(model), ("Softmax",))
    random = np.random.default_rng(0)
    mask = random.random((6, 5)) < 0.5
    mask[2], mask[3] = False, True
    data = {"x": random.normal(size=(2, 8, 6, 5)).astype("f"), "mask": mask}
    equality.require_equal(equality.run(model, data), equality.run(changed, data))
    inner = [f"{name}" for node in changed.graph.node for name in node.output if node.op_type == "Softmax"]
    changed.graph.output.extend(type(changed.graph.output[0])(name=name) for name in inner)
    assert np.isfinite(equality.run(changed, data)[inner[0]]).all()


def test_infinity_that_is_given_out_stays() -> None:
    body = ATTENTION.format(compared=COMPARED["with -inf"]).replace("y =", "z =") + " y = Add(z, bias)"
    model = parse(body, inputs=INPUTS, constants=CONSTANTS)
    assert with_finite_masks(model) is model


def test_without_a_choice_behind_the_softmax_all_stays() -> None:
    model = parse("bias = Where(mask, zero, low) s = Add(x, bias) y = Softmax(s)", inputs=INPUTS, constants=CONSTANTS)
    assert with_finite_masks(model) is model
    assert decompose(model, ("Softmax",)) is model or len(decompose(model, ("Softmax",)).graph.node) == 3

"""What is selected or scattered by constant indices comes out the same as a Gather, a product or a sum."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper

from oakmill.errors import UnsupportedModel
from oakmill.graph import equality
from oakmill.graph.decompose import decompose
from oakmill.graph.opset import lower_opset
from oakmill.graph.scattering import SCATTERING
from tests.unit.graph.building import feeds, in_8_bits, ops, parse

UPDATES = "float[2,3] u"
CASES = {
    "ScatterND": ("y = ScatterND(x, i, u)", "int64[2,1] i = {3, 0}", 16),
    "ScatterND by negative indices": ("y = ScatterND(x, i, u)", "int64[2,1] i = {-1, 1}", 16),
    "ScatterND of sums": ('y = ScatterND<reduction="add">(x, i, c)', "int64[2,1] i = {1, 1}", 16),
    "ScatterElements": ("y = ScatterElements<axis=1>(x, i, u)", "int64[2,3] i = {2, -3, 1, 0, 1, -1}", 16),
    "ScatterElements of products": (
        'y = ScatterElements<axis=0, reduction="mul">(x, i, c)', "int64[2,3] i = {0, 0, 1, 0, 2, 3}", 16,
    ),
    "ScatterElements of the largest": (
        'y = ScatterElements<axis=0, reduction="max">(x, i, c)', "int64[2,3] i = {0, 0, 1, 0, 2, 3}", 18,
    ),
}  # fmt: skip
TWO_BY_THREE = "float[2,3] c = {0.5, -2, 0.25, 3, -0.125, 0}"


@pytest.mark.parametrize("name", CASES)
def test_a_scattering(name: str) -> None:
    """RVC2's compiler has no ScatterND, and adds where ScatterElements replaces: 8 dB."""
    body, constants, opset = CASES[name]
    inputs = "float[4,3] x, float[2,3] u" if "u)" in body else "float[4,3] x"
    model = parse(body, inputs=inputs, outputs="float[4,3] y", constants=f"{constants}, {TWO_BY_THREE}", opset=opset)
    data = feeds(model)
    changed = decompose(lower_opset(model), SCATTERING)
    assert not {"ScatterND", "ScatterElements"} & set(ops(changed))
    assert np.array_equal(equality.run(model, data)["y"], equality.run(changed, data)["y"])


def test_indices_that_are_computed() -> None:
    """RVC2's compiler has ScatterElements, and no ScatterND."""
    inputs, y = "float[4,3] x, int64[2,3] i, int64[2,1] n", "float[4,3] y"
    kept = parse("y = ScatterElements<axis=0>(x, i, c)", inputs=inputs, outputs=y, constants=TWO_BY_THREE)
    assert ops(decompose(kept, SCATTERING)) == ["ScatterElements"]
    with pytest.raises(UnsupportedModel, match="computed while the model runs"):
        decompose(parse("y = ScatterND(x, n, c)", inputs=inputs, outputs=y, constants=TWO_BY_THREE), SCATTERING)


@pytest.mark.parametrize(
    ("mode", "opset", "sides"), [("bilinear", 16, (5, 4)), ("linear", 20, (5, 4)), ("nearest", 20, (3, 4, 2))]
)
def test_a_constant_grid_is_a_matrix(mode: str, opset: int, sides: tuple[int, ...]) -> None:
    """A lens is straightened by a constant grid; RVC2's compiler has no GridSample."""
    grid = np.random.default_rng(0).uniform(-1.2, 1.2, (2, 3, *[2] * (len(sides) - 1), len(sides))).astype(np.float32)
    shape = ",".join(map(str, (2, 3, *sides)))
    body = f'y = GridSample<mode="{mode}", padding_mode="border">(x, g)'
    model = parse(body, inputs=f"float[{shape}] x", outputs=f"float[{','.join('?' * (len(sides) + 2))}] y", opset=opset)
    model.graph.initializer.append(numpy_helper.from_array(grid, "g"))
    data = feeds(model)
    changed = decompose(lower_opset(model), SCATTERING)
    assert ops(changed) == ["Reshape", "MatMul", "Reshape"]
    equality.require_equal(equality.run(model, data), equality.run(changed, data))


def test_a_grid_of_a_large_image_is_refused() -> None:
    model = parse("y = GridSample(x, g)", inputs="float[1,1,2048,2048] x")
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 2, 1, 2), np.float32), "g"))
    with pytest.raises(UnsupportedModel, match="too large for a constant matrix"):
        decompose(model, SCATTERING)


@pytest.mark.parametrize(("reduction", "wanted"), [("min", [2, 6, -7, 3]), ("max", [5, 6, -7, 8])])
def test_the_least_and_the_largest_of_whole_numbers(reduction: str, wanted: list[int]) -> None:
    """Places without an update were compared with the largest float, which as a whole number is the lowest."""
    body = f'y = ScatterND<reduction="{reduction}">(x, i, c)'
    constants = "int64[2,1] i = {0, 3}, int32[2] c = {2, 3}"
    model = parse(body, inputs="int32[4] x", outputs="int32[4] y", constants=constants, opset=18)
    data = {"x": np.array([5, 6, -7, 8], np.int32)}
    assert equality.run(decompose(model, SCATTERING), data)["y"].tolist() == wanted


def test_the_largest_in_8_bits() -> None:
    """The lowest float stood beside the updates in one constant: 8 bits of both held no update."""
    body = 'y = ScatterND<reduction="max">(x, i, c)'
    constants = "int64[2,1] i = {0, 3}, float[2] c = {2, 3}"
    model = parse(body, inputs="float[4] x", outputs="float[4] y", constants=constants, opset=18)
    data = {"x": np.array([1, -2, 0.5, 4], np.float32)}
    np.testing.assert_allclose(in_8_bits(decompose(model, SCATTERING), data)["y"], [2, -2, 0.5, 4], atol=0.05)

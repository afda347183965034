from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.errors import DynamicShape, PreparationFailed, SpecError, UnsupportedModel
from oakmill.graph import equality
from oakmill.graph.shapes import fix_input_shapes
from oakmill.graph.skeleton import copy_of, dimensions
from tests.unit.graph.building import names, parse


def shapes(model: ModelProto) -> dict[str, tuple[int | None, ...] | None]:
    graph = model.graph
    values = (*graph.input, *graph.value_info, *graph.output)
    return {value.name: dimensions(value.type.tensor_type) for value in values}


def two_inputs() -> ModelProto:
    return parse("s = Add(a, b) y = Relu(s)", inputs="float[N,3,H,W] a, float[N,3,H,W] b", outputs="float[N,3,H,W] y")


def test_an_open_batch_becomes_one_and_is_noted() -> None:
    fixed = fix_input_shapes(parse("y = Relu(x)", inputs="float[batch,3,8,8] x"), {})
    assert shapes(fixed.model) == {"x": (1, 3, 8, 8), "y": (1, 3, 8, 8)}
    assert fixed.notes == ("The open batch dimension 'batch' of input 'x' was set to 1.",)


def test_a_nameless_open_batch_becomes_one() -> None:
    fixed = fix_input_shapes(parse("y = Relu(x)", inputs="float[?,3,8,8] x"), {})
    assert shapes(fixed.model)["y"] == (1, 3, 8, 8)
    assert len(fixed.notes) == 1


def test_a_batch_of_zero_is_refused_until_somebody_says_what_it_is() -> None:
    """A model of no elements was converted as one of a batch of 1, and green: it took other shapes than it said."""
    model = parse("y = Relu(x)", inputs="float[0,5] x", outputs="float[0,5] y")
    with pytest.raises(DynamicShape, match="has no elements: its first dimension is 0") as caught:
        fix_input_shapes(copy_of(model), {})
    assert "--shape x=1,5" in caught.value.remedy
    assert shapes(fix_input_shapes(model, {"x": (1, 5)}).model)["y"] == (1, 5)


def test_a_fixed_model_is_left_as_it_is() -> None:
    fixed = fix_input_shapes(parse("y = Relu(x)"), {"x": (2, 8, 6, 5)})
    assert shapes(fixed.model)["y"] == (2, 8, 6, 5)
    assert fixed.notes == ()


def test_a_symbol_gets_the_same_number_everywhere() -> None:
    fixed = fix_input_shapes(two_inputs(), {"a": (1, 3, 4, 6)})
    assert set(shapes(fixed.model).values()) == {(1, 3, 4, 6)}
    assert names(fixed.model) == (["a", "b"], ["y"])


def test_the_batch_of_one_input_is_that_of_the_others() -> None:
    model = parse("s = Add(a, b) y = Relu(s)", inputs="float[N,3,4,4] a, float[1,N,1,1] b")
    assert shapes(fix_input_shapes(model, {}).model)["b"] == (1, 1, 1, 1)


def test_two_numbers_for_one_symbol_are_refused() -> None:
    with pytest.raises(SpecError, match="'H' is one number throughout the model, but 4 and 5"):
        fix_input_shapes(two_inputs(), {"a": (1, 3, 4, 6), "b": (1, 3, 5, 6)})


@pytest.mark.parametrize("placeholder", ["?", "None", "-1"])
def test_a_placeholder_is_no_name(placeholder: str) -> None:
    """PaddlePaddle's text classifier names its height and its width "?": asked for 48 x 192, it was refused."""
    model = parse("y = Relu(x)", inputs="float[N,3,H,W] x", outputs="float[N,3,H,W] y")
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim[2:]:
            dim.dim_param = placeholder
    assert shapes(fix_input_shapes(model, {"x": (1, 3, 48, 192)}).model)["y"] == (1, 3, 48, 192)


def test_stale_shapes_of_the_exporter_are_forgotten() -> None:
    model = parse("h = Relu(x) y = Flatten(h)", inputs="float[N,2,4,4] x", outputs="float[M,99] y")
    model.graph.value_info.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, [7, 7, 7, 7]))
    assert shapes(fix_input_shapes(model, {}).model) == {"x": (1, 2, 4, 4), "h": (1, 2, 4, 4), "y": (1, 32)}


def test_shapes_are_propagated_through_computed_shapes() -> None:
    model = parse(
        "s = Shape(x) n = Gather(s, i) m = Concat<axis=0>(n, k) y = Reshape(x, m)",
        inputs="float[N,3,H,W] x",
        outputs="float[?,?] y",
        constants="int64[1] i = {0}, int64[1] k = {-1}",
    )
    assert shapes(fix_input_shapes(model, {"x": (1, 3, 4, 5)}).model)["y"] == (1, 60)


def test_open_dimensions_are_named_with_an_option_that_fixes_them() -> None:
    with pytest.raises(DynamicShape, match="Input 'a' has open dimensions: 'N', 'H', 'W' in N,3,H,W") as raised:
        fix_input_shapes(two_inputs(), {})
    assert "--shape a=1,3,320,320" in raised.value.remedy
    assert raised.value.subject == "a"


def test_an_open_batch_beside_an_open_side_is_not_guessed() -> None:
    with pytest.raises(DynamicShape, match="'N', 'W'"):
        fix_input_shapes(parse("y = Relu(x)", inputs="float[N,3,4,W] x"), {})


def test_an_input_of_unknown_rank_is_named() -> None:
    model = parse("y = Relu(x)")
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(DynamicShape, match="'x' has no shape at all"):
        fix_input_shapes(model, {})
    assert shapes(fix_input_shapes(model, {"x": (1, 2, 3, 4)}).model)["y"] == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"z": (1, 3, 4, 4)}, "no input 'z'"),
        ({"a": (1, 3, 4)}, "has 4 dimensions .N,3,H,W., the shape asked for has 3"),
        ({"a": (1, 4, 4, 4)}, "dimension 1 is 3 in the model, 4 was asked for"),
        ({"a": (1, 3, 0, 4)}, "1,3,0,4 is not a shape"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(asked: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        fix_input_shapes(two_inputs(), asked)


def test_an_input_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="'x' is not a tensor"):
        fix_input_shapes(parse("y = SequenceAt(x, i)", inputs="seq(float[2]) x", constants="int64 i = {0}"), {})


def test_a_shape_that_contradicts_the_graph_is_refused_by_node() -> None:
    model = parse(
        "<name> h = Relu(x) y = Concat<axis=0>(h, k)".replace("<name> ", ""),
        inputs="float[N,3,H,4] x",
        constants="float[1,3,2,1] k = {1, 2, 3, 4, 5, 6}",
    )
    model.graph.node[1].name = "join"
    with pytest.raises(PreparationFailed, match="join") as raised:
        fix_input_shapes(model, {"x": (1, 3, 5, 4)})
    assert raised.value.subject == "join"
    assert raised.value.remedy


def test_a_contradiction_that_only_running_shows_names_the_node() -> None:
    model = parse("h = Relu(x) y = Reshape(h, s)", inputs="float[N,3,H,4] x", constants="int64[4] s = {1, 3, 2, 4}")
    fixed = fix_input_shapes(model, {"x": (1, 3, 5, 4)})
    with pytest.raises(PreparationFailed, match="at node 'y'") as raised:
        equality.run(fixed.model, equality.random_inputs(fixed.model))
    assert raised.value.subject == "y"


def test_initializers_that_are_listed_as_inputs_become_constants() -> None:
    model = parse("y = Add(x, w)", inputs="float[N,3,1,1] x")
    model.ir_version = 3
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32).reshape(3, 1, 1), "w"))
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 1, 1]))
    fixed = fix_input_shapes(model, {})
    assert names(fixed.model) == (["x"], ["y"])
    onnx.checker.check_model(fixed.model, full_check=True)


def test_weights_are_neither_copied_nor_changed() -> None:
    model = parse("y = MatMul(x, w)", inputs="float[N,64] x", outputs="float[?,?] y")
    weights = np.random.default_rng(0).normal(size=[64, 64]).astype("f")
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    tensor = model.graph.initializer[0]
    fixed = fix_input_shapes(model, {})
    assert fixed.model is model
    assert model.graph.initializer[0] is tensor
    np.testing.assert_array_equal(numpy_helper.to_array(tensor), weights)
    assert shapes(model)["y"] == (1, 64)


def test_a_real_detector_with_open_height_and_width_is_fixed(shared_data: Path) -> None:
    model = onnx.load(shared_data / "models" / "yunet_n_dynamic.onnx")
    before = names(model)
    fixed = fix_input_shapes(model, {"input": (1, 3, 320, 320)})
    assert names(fixed.model) == before
    found = {value.name: dimensions(value.type.tensor_type) for value in fixed.model.graph.output}
    outputs = equality.run(fixed.model, equality.random_inputs(fixed.model))
    assert found == {name: array.shape for name, array in outputs.items()}

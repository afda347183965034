from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.errors import ProofFailed, SpecError
from oakmill.graph import equality
from oakmill.graph.preprocessing import Preprocessing, apply, embed
from oakmill.graph.shapes import fix_input_shapes
from tests.unit.graph.building import convolution, names, ops, parse

MEAN = (123.675, 116.28, 103.53)
SCALE = (58.395, 57.12, 57.375)
FULL = Preprocessing("x", "NCHW", MEAN, SCALE, reverse_channels=True)


def prove(model: ModelProto, steps: Sequence[Preprocessing]) -> ModelProto:
    """Embed, and prove: the result on raw data equals the source on data that numpy preprocessed."""
    raw = equality.random_inputs(model)
    before, bits = names(model), model.SerializeToString()
    wanted = equality.run(model, {**raw, **{item.name: apply(raw[item.name], item) for item in steps}})
    result = embed(model, steps)
    assert names(result) == before
    assert model.SerializeToString() == bits
    onnx.checker.check_model(result, full_check=True)
    equality.require_equal(wanted, equality.run(result, raw), equality.Tolerance(snr_db=90))
    return result


def test_the_oracle_reverses_then_subtracts_then_divides() -> None:
    pixels = np.array([10, 20, 30], np.float32).reshape(1, 3, 1, 1)
    item = Preprocessing("x", "NCHW", (1, 2, 3), (2, 4, 8), reverse_channels=True)
    np.testing.assert_allclose(apply(pixels, item).ravel(), [(30 - 1) / 2, (20 - 2) / 4, (10 - 3) / 8])


def test_the_oracle_finds_the_channels_by_the_layout() -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 4, 5, 3)).astype("f")
    last = apply(pixels, replace(FULL, layout="NHWC"))
    first = apply(pixels.transpose(0, 3, 1, 2), FULL)
    np.testing.assert_array_equal(last, first.transpose(0, 2, 3, 1))
    assert last.dtype == np.float32


def test_the_reversal_goes_into_the_first_convolution() -> None:
    assert ops(prove(convolution(), [FULL])) == ["Mul", "Add", "Conv", "Relu"]


def test_the_reversal_goes_through_a_transpose() -> None:
    result = prove(convolution(layout="NHWC"), [replace(FULL, layout="NHWC")])
    assert ops(result) == ["Mul", "Add", "Transpose", "Conv", "Relu"]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (replace(FULL, mean=None), ["Mul"]),
        (replace(FULL, scale=None), ["Add"]),
        (replace(FULL, scale=(1, 1, 1), mean=(0, 0, 0)), []),
        (replace(FULL, mean=(127.5,), scale=(127.5,)), ["Mul", "Add"]),
        (replace(FULL, reverse_channels=False), ["Mul", "Add"]),
        (replace(FULL, gray=True), ["Mul", "Add"]),
    ],
)
def test_neutral_steps_leave_no_node(item: Preprocessing, expected: list[str]) -> None:
    assert ops(prove(convolution(), [item])) == [*expected, "Conv", "Relu"]


def test_nothing_to_do_gives_the_same_model() -> None:
    model = convolution()
    assert embed(model, [Preprocessing("x", "NCHW", (0, 0, 0), (1.0,))]) is model
    assert embed(model, []) is model


def test_a_gray_input_takes_one_mean_and_scale() -> None:
    item = Preprocessing("x", "NCHW", (127.5,), (255.0,), reverse_channels=True, gray=True)
    assert ops(prove(convolution(channels=1), [item])) == ["Mul", "Add", "Conv", "Relu"]


def test_data_without_channels_takes_one_mean_and_scale() -> None:
    model = parse("y = Relu(x)", inputs="float[1,7] x", outputs="float[?,?] y")
    assert ops(prove(model, [Preprocessing("x", "NF", (1.0,), (4.0,))])) == ["Mul", "Add", "Relu"]


def test_half_precision_input_stays_half() -> None:
    model = parse("y = Relu(x)", inputs="float16[1,3,4,4] x", outputs="float16[1,3,4,4] y")
    result = embed(model, [replace(FULL, mean=(1.0,), scale=(2.0,))])
    raw = equality.random_inputs(model)
    assert equality.run(result, raw)["y"].dtype == np.float16


def shared_weight() -> ModelProto:
    """Two convolutions with one weight: one on the image, one on something else."""
    model = convolution()
    graph = model.graph
    graph.node.append(helper.make_node("Conv", ["r", "w"], ["z"], "other", pads=[1, 1, 1, 1]))
    graph.input.append(helper.make_tensor_value_info("r", TensorProto.FLOAT, [1, 3, 8, 6]))
    graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    return model


def test_a_weight_that_others_use_is_copied() -> None:
    result = prove(shared_weight(), [FULL])
    assert len(result.graph.initializer) == 4
    assert ops(result).count("Gather") == 0


def test_a_weight_that_two_convolutions_of_the_image_share_is_reversed_once() -> None:
    model = convolution()
    model.graph.node.append(helper.make_node("Conv", ["x", "w"], ["z"], "other"))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    result = prove(model, [FULL])
    assert ops(result) == ["Mul", "Add", "Conv", "Relu", "Conv"]
    assert len(result.graph.initializer) == 3


def test_weights_in_a_constant_node_are_reversed() -> None:
    model = convolution()
    weight = model.graph.initializer.pop()
    model.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=weight))
    assert "Gather" not in ops(prove(model, [FULL]))


@pytest.mark.parametrize("body", ["y = Relu(x)", "a = Conv(x, w) b = Relu(x) y = Add(a, b)"])
def test_where_the_reversal_cannot_be_folded_a_gather_does_it(body: str) -> None:
    model = parse(body, inputs="float[1,3,6,5] x")
    if "w" in body:
        weight = np.random.default_rng(0).normal(size=[3, 3, 1, 1]).astype("f")
        model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    assert ops(prove(model, [FULL]))[:3] == ["Gather", "Mul", "Add"]


def test_a_grouped_convolution_is_not_folded() -> None:
    model = convolution(channels=3)
    weight = np.random.default_rng(0).normal(size=[3, 1, 3, 3]).astype("f")
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))
    model.graph.node[0].attribute.append(helper.make_attribute("group", 3))
    assert ops(prove(model, [FULL]))[0] == "Gather"


def test_computed_weights_are_not_folded() -> None:
    model = convolution()
    model.graph.initializer.pop()
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3, 3, 3]))
    assert ops(prove(model, [FULL]))[0] == "Gather"


def test_an_input_that_is_an_output_too_is_still_raw_there() -> None:
    model = convolution()
    model.graph.output.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 6]))
    result = embed(model, [FULL])
    raw = equality.random_inputs(model)
    np.testing.assert_array_equal(equality.run(result, raw)["x"], raw["x"])


def test_each_input_gets_its_own() -> None:
    model = parse("y = Add(a, b)", inputs="float[1,3,6,5] a, float[1,3,6,5] b")
    steps = [replace(FULL, name="a"), Preprocessing("b", "NCHW", (1, 2, 3))]
    assert ops(prove(model, steps)) == ["Add", "Gather", "Mul", "Add", "Add"]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (replace(FULL, name="z"), "no input 'z'"),
        (replace(FULL, mean=(1, 2)), "3 channels, but 2 mean values"),
        (replace(FULL, scale=(1, 2, 3, 4)), "3 channels, but 4 scale values"),
        (replace(FULL, layout="NHWC"), "has 6 channels"),
        (replace(FULL, layout="CHW"), "4 dimensions, its layout CHW names 3"),
        (replace(FULL, layout="NDHW"), "no channels"),
    ],
)
def test_what_does_not_fit_the_input_is_refused(item: Preprocessing, message: str) -> None:
    with pytest.raises(SpecError, match=message) as raised:
        embed(convolution(), [item])
    assert raised.value.subject == item.name


def test_a_reversal_of_four_channels_is_refused() -> None:
    with pytest.raises(SpecError, match="has 4 channels; RGB and BGR have three"):
        embed(convolution(channels=4), [Preprocessing("x", "NCHW", reverse_channels=True)])


def test_nothing_is_applied_twice() -> None:
    with pytest.raises(SpecError, match="two preprocessings"):
        embed(convolution(), [FULL, replace(FULL, mean=None)])


def test_arithmetic_on_whole_numbers_is_refused() -> None:
    model = parse("f = Cast<to=1>(x) y = Relu(f)", inputs="uint8[1,3,6,5] x")
    with pytest.raises(SpecError, match="is uint8"):
        embed(model, [FULL])


WRONG = {
    "channels not reversed": replace(FULL, reverse_channels=False),
    "mean and scale in the other order": replace(FULL, mean=MEAN[::-1], scale=SCALE[::-1]),
    "mean forgotten": replace(FULL, mean=None),
    "scale off by a hundredth": replace(FULL, scale=(58.979, 57.691, 57.949)),
    "mean and scale swapped": replace(FULL, mean=SCALE, scale=MEAN),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_the_proof_finds_a_wrong_preprocessing(mistake: str) -> None:
    model = convolution()
    raw = equality.random_inputs(model)
    wanted = equality.run(model, {"x": apply(raw["x"], WRONG[mistake])})
    with pytest.raises(ProofFailed):
        equality.require_equal(wanted, equality.run(embed(model, [FULL]), raw))


@pytest.mark.parametrize("name", ["squeezenet1.1_fp32", "yolox_nano_416", "ultraface_rfb_320"])
def test_real_models_are_proved_and_mistakes_found(shared_data: Path, name: str) -> None:
    model = fix_input_shapes(onnx.load(shared_data / "models" / f"{name}.onnx"), {}).model
    item = replace(FULL, name=names(model)[0][0])
    raw = equality.random_inputs(model)
    candidate = equality.run(embed(model, [item]), raw)
    source = equality.Session(model)
    equality.require_equal(source.run({item.name: apply(raw[item.name], item)}), candidate)
    for wrong in WRONG.values():
        wanted = source.run({item.name: apply(raw[item.name], replace(wrong, name=item.name))})
        with pytest.raises(ProofFailed):
            equality.require_equal(wanted, candidate)

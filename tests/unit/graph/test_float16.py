from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from oakmill.errors import PreparationFailed
from oakmill.graph import equality
from oakmill.graph.float16 import to_half
from tests.unit.graph.building import convolution, feeds, names, parse

SMOOTH = "s = Sigmoid (x) e = Exp (s) y = Softmax <axis=1> (e)"


@pytest.mark.parametrize("model", [convolution(), convolution(layout="NHWC"), parse(SMOOTH)])
def test_a_network_in_half_is_near_the_one_in_float(model: object) -> None:
    data = feeds(model)  # type: ignore[arg-type]
    half = to_half(model)  # type: ignore[arg-type]
    expected, found = equality.run(model, data)["y"], equality.run(half, data)["y"]  # type: ignore[arg-type]
    assert found.dtype == np.float32
    assert equality.snr_db(expected, found) > 50
    assert (found != expected).any(), "nothing was rounded"


def test_it_takes_and_gives_float32_by_the_same_names() -> None:
    half = to_half(convolution())
    assert names(half) == (["x"], ["y"])
    ports = (*half.graph.input, *half.graph.output)
    assert {value.type.tensor_type.elem_type for value in ports} == {TensorProto.FLOAT}


def test_weights_take_two_bytes_each() -> None:
    half = to_half(convolution())
    (weight,) = (item for item in half.graph.initializer if item.dims)
    assert weight.data_type == TensorProto.FLOAT16


def test_weights_beyond_float16_saturate() -> None:
    model = convolution()
    values = numpy_helper.to_array(model.graph.initializer[0]).copy()
    values[0, 0, 0, 0], values[0, 0, 0, 1] = 1e6, -1e6
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "w"))
    half = to_half(model)
    (weight,) = (numpy_helper.to_array(item) for item in half.graph.initializer if item.dims)
    assert np.isfinite(weight).all()
    assert weight.max() > 9000
    assert weight.min() < -9000


def test_integers_stay_what_they_are() -> None:
    model = parse("y = Gather <axis=1> (x, ids)", inputs="float[1,3,2,2] x, int64[2] ids", outputs="float[1,2,2,2] y")
    half = to_half(model)
    kinds = {value.name: value.type.tensor_type.elem_type for value in half.graph.input}
    assert kinds == {"x": TensorProto.FLOAT, "ids": TensorProto.INT64}
    x = np.arange(12, dtype="f").reshape(1, 3, 2, 2)
    found = equality.run(half, {"x": x, "ids": np.array([2, 0], np.int64)})["y"]
    np.testing.assert_array_equal(found, x[:, [2, 0]])


def test_operators_without_a_half_form_stay_in_float() -> None:
    sizes = numpy_helper.from_array(np.array([1, 1, 2, 2], "f"), "scales")
    model = parse('r = Resize <mode="linear"> (x, , scales) y = Relu (r)', inputs="float[1,1,3,3] x")
    model.graph.initializer.append(sizes)
    data = feeds(model)
    assert equality.snr_db(equality.run(model, data)["y"], equality.run(to_half(model), data)["y"]) > 50


def test_the_model_itself_is_not_changed() -> None:
    model = convolution()
    before = model.SerializeToString(deterministic=True)
    to_half(model)
    assert model.SerializeToString(deterministic=True) == before


def test_what_the_converter_cannot_do_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise ValueError("no such type")

    monkeypatch.setattr("onnxruntime.transformers.float16.convert_float_to_float16", refuse)
    with pytest.raises(PreparationFailed, match="no such type") as caught:
        to_half(convolution())
    assert "FP32_STANDARD" in caught.value.remedy

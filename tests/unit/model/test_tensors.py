from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.errors import BrokenModel
from oakmill.model.tensors import byte_size, find_bad_weights, require_finite_weights, tensors, weight_bytes

Build = Callable[..., ModelProto]


def constant(name: str, *values: float, dtype: type[np.generic] = np.float32) -> TensorProto:
    return numpy_helper.from_array(np.array(values, dtype), name)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("FLOAT", 20), ("FLOAT16", 10), ("INT64", 40), ("BOOL", 5), ("INT4", 3), ("STRING", 0)],
)
def test_a_tensors_size_follows_from_its_dimensions_and_type(kind: str, expected: int) -> None:
    assert byte_size(TensorProto(dims=[5, 1], data_type=TensorProto.DataType.Value(kind))) == expected


def test_weight_bytes_count_all_initializers(build: Build) -> None:
    model = build()
    model.graph.initializer.append(constant("half", 1, 2, dtype=np.float16))
    assert weight_bytes(model) == 4 * 3 * 3 * 3 * 4 + 4


def test_tensors_are_found_wherever_a_model_holds_them(build: Build) -> None:
    sparse = helper.make_sparse_tensor(constant("values", 1), constant("indices", 0, dtype=np.int64), [4])
    output = [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])]
    inner = helper.make_node("Constant", [], ["z"], value=constant("attribute", 1))
    branch = helper.make_graph([inner], "branch", [], output, [constant("inner", 1)])
    model = build(nodes=[helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)])
    model.graph.sparse_initializer.append(sparse)
    function = [helper.make_node("Constant", [], ["b"], value=constant("function", 1))]
    model.functions.append(helper.make_function("custom", "f", [], ["b"], function, list(model.opset_import)))
    names = {tensor.name for tensor in tensors(model)}
    assert names == {"w", "values", "indices", "attribute", "inner", "function"}


def test_nan_is_found_anywhere_and_infinity_in_weights_alone(build: Build) -> None:
    model = build(
        nodes=[
            helper.make_node("Constant", [], ["k"], value=constant("unnamed", np.nan)),
            helper.make_node("MatMul", ["x", "weight"], ["a"]),
            helper.make_node("Clip", ["a", "", "bound"], ["b"]),
            helper.make_node("Add", ["b", "mask"], ["y"]),
        ],
        initializer=[
            constant("weight", 1, np.inf, dtype=np.float16),
            constant("bound", np.inf),
            constant("mask", 0, -np.inf),
            constant("spoilt", np.nan, dtype=np.float64),
            constant("fine", 1, 2),
            constant("whole", 1, dtype=np.int64),
        ],
    )
    assert find_bad_weights(model) == ("weight", "spoilt", "k")


def test_a_model_with_spoilt_weights_is_refused(build: Build) -> None:
    require_finite_weights(build())
    with pytest.raises(BrokenModel, match="weight 'w' holds NaN") as caught:
        require_finite_weights(build(initializer=[constant("w", np.nan)]))
    assert caught.value.subject == "w"

"""Inputs without dimensions are refused by name, for an NN Archive cannot describe them."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from oakmill.errors import UnsupportedModel
from oakmill.preflight import check


@pytest.mark.parametrize("mode", ["fp16", None])
def test_a_truth_value_without_dimensions_is_refused_before_the_proof(mode: str | None) -> None:
    """A model with such an input failed in the proof with "Unable to handle object of type numpy.bool"."""
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8]),
        helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])]
    node = helper.make_node("Where", ["flag", "x", "x"], ["y"], "choose")
    model = helper.make_model(helper.make_graph([node], "g", inputs, outputs))
    with pytest.raises(UnsupportedModel, match="input 'flag' is a single number without dimensions"):
        check.require(model, "rvc2", mode)
    assert "scalar" in {item.code for item in check.Preflight(model).report("rvc4").findings}

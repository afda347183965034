from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from oakmill.model.pruning import drop_unneeded


def test_a_constant_that_is_listed_among_the_inputs_goes_whole() -> None:
    """UltraFace lists its constants as inputs (IR version 3): without a value, they were asked for at each run."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("image", "used", "unread", "out")
    ]
    weights = [numpy_helper.from_array(np.ones(2, np.float32), name) for name in ("used", "unread")]
    graph = helper.make_graph(
        [helper.make_node("Add", ["image", "used"], ["out"])], "old", values[:3], values[3:], weights
    )
    drop_unneeded(graph)
    assert [value.name for value in graph.input] == ["image", "used"]
    assert [tensor.name for tensor in graph.initializer] == ["used"]

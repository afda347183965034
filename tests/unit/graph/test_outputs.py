"""Outputs keep their names though OpenVINO's reader drops Identity nodes."""

from __future__ import annotations

import numpy as np
from onnx import parser

from oakmill.graph import equality, outputs

MODEL = """
    <ir_version: 8, opset_import: ["": 16]>
    agraph (float[1,4] x) => (float[1,4] y, float[1,4] z)
    {
        z = Relu (x)
        y = Identity (z)
    }
"""


def test_an_identity_before_an_output_becomes_a_node_that_stays() -> None:
    """A model with an Identity at its end came out with another output name than it had, and failed to verify."""
    model = parser.parse_model(MODEL)
    feeds = {"x": np.array([[-1, 0, 1, 2]], np.float32)}
    before = equality.run(parser.parse_model(MODEL), feeds)
    after = equality.run(outputs.keep_names(model), feeds)
    assert [node.op_type for node in model.graph.node] == ["Relu", "Cast"]
    assert list(after) == ["y", "z"]
    equality.require_equal(before, after)

"""OpenVINO's own messages, as its compiler gave them, become errors that name the ONNX node and a remedy."""

from __future__ import annotations

import pytest
from onnx import ModelProto, parser

from oakmill.toolchains.rvc2 import failures

PLACE = "/home/onnxruntimedev/openvino/src/plugins/intel_myriad/graph_transformer/src"


@pytest.fixture
def model() -> ModelProto:
    return parser.parse_model("""
        <ir_version: 8, opset_import: ["": 16]>
        agraph (float[1,3,8,8] image) => (float[1,3,8,8] sampled)
        {
            hidden = Relu (image)
            sampled = GridSample (hidden, hidden)
        }
    """)


@pytest.mark.parametrize(
    ("message", "words", "subject"),
    [
        (
            f'[ GENERAL_ERROR ] \n{PLACE}/frontend/frontend.cpp:594 Failed to compile layer "sampled": '
            'unsupported layer type "GridSample"',
            "has no GridSample (node 'sampled', GridSample)",
            "sampled",
        ),
        (
            "Check 'unknown_operators.empty()' failed at frontends/onnx/frontend/src/core/graph.cpp:209:\n"
            "OpenVINO does not support the following ONNX operations: GridSample",
            "does not know the operation GridSample (node 'sampled', GridSample)",
            "sampled",
        ),
        (
            f'[ GENERAL_ERROR ] \n{PLACE}/frontend/frontend.cpp:594 Failed to compile layer "hidden": '
            f"[ GENERAL_ERROR ] \n{PLACE}/stages/interpolate.cpp:57 Current Interpolate supports 'nearest' and "
            "'linear' modes only, actual cubic",
            "by nearest and linear only, not by cubic",
            "hidden",
        ),
        ("something new", "refused the model: something new", ""),
    ],
)
def test_a_message_names_the_node_and_what_helps(model: ModelProto, message: str, words: str, subject: str) -> None:
    error = failures.explain(message, model)
    assert words in error.message
    assert error.subject == subject
    assert error.remedy
    assert error.log == message
    assert "/home/" not in error.message


def test_a_layer_that_openvino_made_up_is_found_by_its_kind() -> None:
    recurrent = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 14]>
        agraph (float[4,1,8] x, float[1,24,8] w, float[1,24,8] r) => (float[4,1,1,8] y)
        { y = GRU <hidden_size=8> (x, w, r) }
    """)
    message = 'Failed to compile layer "GRUSequenceIE_2362": unsupported layer type "GRUSequence"'
    assert failures.explain(message, recurrent).subject == "y"

"""OpenVINO's own messages, as its compiler gave them, become errors that name the ONNX node and a remedy."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper, parser

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


MEMORY = (
    f"[ GENERAL_ERROR ] \n{PLACE}/middleend/passes/adjust_data_location.cpp:227 [Internal Error]: Memory allocation "
    "failed: unable to satisfy requirements for stage TopK_168 with type TopK"
)


def soft_argmax(*names: str) -> ModelProto:
    ends = "\n".join(f"[{name}] {name}_out = ArgMax (image)" for name in names)
    outputs = ", ".join(f"int64[1,3,8,8] {name}_out" for name in names)
    return parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 16]> agraph (float[1,3,8,8] image) => ({outputs}) {{ {ends} }}'
    )


def test_a_superblob_that_lacks_some_shaves_names_those_that_it_could_have() -> None:
    """ "Use a smaller input shape" was said, where a blob for 2 SHAVEs and more compiles, and TopK is no node there."""
    details = {"works": [2, *range(4, 17)], "fails": [1, 3]}
    error = failures.explain(MEMORY, soft_argmax("peak"), details)
    assert error.subject == "peak"
    assert error.message.startswith("with 1, 3 SHAVEs, a stage of the network needs more")
    assert "(node 'peak', ArgMax)" in error.message
    assert error.remedy.startswith("--blob --shaves 8: it compiles for 2, 4 to 16 SHAVEs")


def test_where_no_number_works_the_usual_remedy_is_told() -> None:
    error = failures.explain(MEMORY, soft_argmax("peak"), {"works": [], "fails": [8, 16]})
    assert "SHAVE" not in error.message
    assert error.remedy.startswith("use a smaller input shape")


def test_of_several_nodes_that_it_may_be_none_is_picked() -> None:
    assert "(one of the nodes 'x', 'y', ArgMax)" in failures.explain(MEMORY, soft_argmax("x", "y")).message


def test_a_node_that_the_reader_refuses_is_named() -> None:
    """The words had the node, and the error had none: "see the log with -v"."""
    said = """Check '(false)' failed at frontends/onnx/frontend/src/op/resize.cpp:93:
While validating ONNX node '<Node(Resize): up>':
tf_crop_and_resize - this type of coordinate transformation mode is not supported."""
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 16]>
        agraph (float[1,3,8,8] image, float[8] roi, float[4] by) => (float[1,3,16,16] y)
        { [up] y = Resize (image, roi, by) }
    """)
    error = failures.explain(said, model)
    assert error.subject == "up"
    assert "does not take this form of Resize (node 'up', Resize)" in error.message
    assert "end the network before it" in error.remedy


def test_an_assertion_of_the_memorys_planner_is_a_want_of_memory() -> None:
    error = failures.explain("[ GENERAL_ERROR ]  AssertionFailed: cmxDataProducerInd < failedStageInd")
    assert "needs more of RVC2's fast memory than there is" in error.message


def test_a_pad_by_infinity_is_named_among_other_pads() -> None:
    """ "Unsupported pad value" named no node, and the remedy was to see the log."""
    padded = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 16]>
        agraph (float[1,3,8,8] image) => (float[1,3,12,12] y)
        <int64[8] p = {0, 0, 1, 1, 0, 0, 1, 1}, float zero = {0}, float low = {-1}>
        { by_zero = Pad (image, p, zero) by_low = Pad (by_zero, p, low) y = Relu (by_low) }
    """)
    low = next(tensor for tensor in padded.graph.initializer if tensor.name == "low")
    low.CopyFrom(numpy_helper.from_array(np.array(-np.inf, np.float32), "low"))
    error = failures.explain("[ GENERAL_ERROR ] Unsupported pad value", padded)
    assert error.subject == "by_low"
    assert "-65504" in error.remedy

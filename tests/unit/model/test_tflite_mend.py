"""TFLite files that LiteRT or tf2onnx refuse for what means nothing to the network."""

from __future__ import annotations

from dataclasses import replace

from oakmill.model.tflite import parse_tflite
from oakmill.model.tflite_mend import POSTPROCESS, mended
from tests.conversion import tflite_makers as makers
from tests.conversion.tflite_writer import OperatorOf, TensorOf, as_bytes


def test_nothing_is_changed_where_nothing_is_wrong() -> None:
    for made in (makers.convolution(), makers.quantized(), makers.one_operation(1)):
        data = as_bytes(made)
        assert mended(data).data is data
        assert mended(data).notes == ()


def test_a_bias_that_is_quantized_along_a_dimension_of_the_filter_gets_its_own() -> None:
    """Person detection of TFLite Micro: "quantized_dimension must be in range [0, 1). Was 3.", 14 times."""
    data = as_bytes(makers.old_biases())
    found = mended(data)
    assert len(found.data) == len(data)
    assert [a for a, b in zip(data, found.data, strict=True) if a != b] == [3]
    (note,) = found.notes
    assert "1 tensors of one dimension, 'bias' the first" in note


def test_the_filter_keeps_its_dimension() -> None:
    made = makers.quantized()
    tensors = list(made.tensors)
    steps = [makers.WEIGHT_STEP] * 3
    tensors[1] = replace(tensors[1], scale=steps, zero=[0] * 3, dimension=3)
    data = as_bytes(replace(made, tensors=tensors))
    assert mended(data).data is data


def test_a_detector_ends_before_its_post_processing() -> None:
    """It was refused at reading, whatever --outputs said: an operation that is cut off needs no counterpart."""
    made = makers.detector()
    found = mended(as_bytes(made))
    model = parse_tflite(found.data, "some.tflite")
    assert [item.name for item in model.outputs] == ["features", makers.OUTPUT]
    assert "CUSTOM" not in model.operations
    (note,) = found.notes
    assert f"ends at 'features' and '{makers.OUTPUT}', before {POSTPROCESS}" in note
    assert [item.name for item in parse_tflite(as_bytes(made), "some.tflite").outputs] == ["features", makers.OUTPUT]


def test_post_processing_that_others_come_after_stays() -> None:
    """What reads its results cannot be kept without it; the refusal then names it."""
    made = makers.detector()
    follows = OperatorOf(14, [6], [10])
    tensors = [*made.tensors, TensorOf("after", (1, 10))]
    data = as_bytes(replace(made, tensors=tensors, operators=[*made.operators, follows], outputs=[10]))
    assert mended(data).data is data

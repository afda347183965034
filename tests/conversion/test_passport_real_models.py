"""Real models, quantized well and badly, on real photos: the passport tells them apart, and names what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from oakmill.calibration import read_image
from oakmill.conversion.passport import Measurement, OutputEncoding, detectors, tasks_of
from oakmill.conversion.passport.confidence import Confidence
from oakmill.findings import Severity
from oakmill.graph import boundary, encodings, equality, opset, preprocessing, quantize, simplify
from oakmill.graph.preprocessing import Preprocessing
from oakmill.spec import Encoding, Resize
from tests.unit.conversion.passport.building import Out

CAFFE_MEAN = (104.0, 117.0, 123.0)
Images = list[NDArray[Any]]


def load(path: Path, mean: tuple[float, ...] | None = None) -> onnx.ModelProto:
    model = opset.raise_opset(simplify.simplify(onnx.load(path)), 13)
    name = model.graph.input[0].name
    return preprocessing.embed(model, [Preprocessing(name, "NCHW", mean, None, False)]) if mean else model


def photos(paths: Iterable[Path], model: onnx.ModelProto, encoding: Encoding = Encoding.BGR) -> Images:
    shape = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    return [read_image(path, shape, "NCHW", encoding, resize=Resize.STRETCH) for path in paths]


def quantized(model: onnx.ModelProto, images: Images, bits: int = 8) -> onnx.ModelProto:
    """With the lowest and highest values that the images bring forth."""
    wanted = encodings.activations(model)
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    known = {value.name for value in (*model.graph.output, *model.graph.input)}
    watched.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in wanted.measured
        if name not in known
    )
    session, entry = equality.Session(watched), model.graph.input[0].name
    ranges: dict[str, tuple[float, float]] = {}
    for image in images:
        for name, values in {**session.run({entry: image}), entry: image}.items():
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = (min(low, float(values.min())), max(high, float(values.max())))
    return quantize.quantize(model, wanted.complete(ranges), quantize.Plan(bits), [entry])


def measured(model: onnx.ModelProto, candidate: onnx.ModelProto, images: Images, bits: int = 8) -> Measurement:
    entry = model.graph.input[0]
    size = tuple(dim.dim_value for dim in entry.type.tensor_type.shape.dim)[2:]
    outputs = [
        Out(value.name, tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim))
        for value in model.graph.output
    ]
    found = {output.name: boundary.encoding_of(candidate, output.name) for output in outputs}
    stated = {name: OutputEncoding(item[0], -item[1], bits) for name, item in found.items() if item}
    measurement = Measurement(outputs, None, (size[0], size[1]), stated)
    reference, other = equality.Session(model), equality.Session(candidate)
    for index, image in enumerate(images):
        values = other.run({entry.name: image.astype(np.uint8)})
        real = {
            name: (value.astype(np.float32) + stated[name].offset) * stated[name].scale if name in stated else value
            for name, value in values.items()
        }
        measurement.add(f"image {index}", reference.run({entry.name: image}), real)
    return measurement


@pytest.fixture(scope="module")
def squeezenet(shared_data: Path) -> tuple[onnx.ModelProto, Images, Images]:
    """The model, 24 photos to calibrate on and 24 others."""
    model = load(shared_data / "models" / "squeezenet1.1_fp32.onnx", CAFFE_MEAN)
    images = photos(sorted((shared_data / "images" / "imagenet").iterdir())[:480:10], model)
    return model, images[::2], images[1::2]


def test_a_classifier_calibrated_on_photos_is_ok(squeezenet: tuple[onnx.ModelProto, Images, Images]) -> None:
    model, calibration, held_out = squeezenet
    measurement = measured(model, quantized(model, calibration), held_out)
    check = measurement.check("QDQ", "onnxruntime")
    assert check.verdict is Severity.OK, check.reasons
    assert measurement.findings() == ()


def test_a_classifier_calibrated_on_noise_is_an_error(squeezenet: tuple[onnx.ModelProto, Images, Images]) -> None:
    model, calibration, held_out = squeezenet
    random = np.random.default_rng(0)
    noise = [random.integers(0, 256, calibration[0].shape).astype(np.float32) for _ in range(16)]
    check = measured(model, quantized(model, noise), held_out).check("QDQ", "onnxruntime")
    assert check.verdict is Severity.ERROR
    assert check.reasons[0].startswith("top-1 agreement")


def test_a_scale_that_was_changed_in_the_file_is_an_error(
    squeezenet: tuple[onnx.ModelProto, Images, Images],
) -> None:
    model, calibration, held_out = squeezenet
    broken = quantized(model, calibration)
    name = max((item.name for item in broken.graph.initializer if item.name.endswith("_scale")), key=len)
    place = next(item for item in broken.graph.initializer if item.name == name)
    place.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(place) * np.float32(4), name))
    assert measured(model, broken, held_out).check("QDQ", "onnxruntime").verdict is Severity.ERROR


def test_exchanged_colours_are_found_on_photos(squeezenet: tuple[onnx.ModelProto, Images, Images]) -> None:
    model, calibration, held_out = squeezenet
    session, entry = equality.Session(model), model.graph.input[0].name
    images = calibration + held_out
    shape = tuple(dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim)
    tasks = tasks_of([Out(model.graph.output[0].name, shape)])
    exchanged = [np.ascontiguousarray(image[:, ::-1]) for image in images]
    right, wrong = (
        Confidence(tuple(tasks[0].certainty(session.run({entry: image})) for image in fed), 1000)
        for fed in (images, exchanged)
    )
    assert detectors.colour_order(wrong, right) is not None
    assert detectors.colour_order(right, wrong) is None
    assert detectors.low_confidence(right) is None


def test_a_detector_that_loses_its_boxes_in_8_bits_keeps_them_in_16(shared_data: Path) -> None:
    """A person detector of 8 bits in one tensor kept one box of nine; its SNR alone said as little in 16 bits."""
    model = load(shared_data / "models" / "person_detector_yolox_192.onnx")
    images = photos(sorted((shared_data / "images" / "coco" / "train2017").iterdir())[:32], model)
    calibration, held_out = images[::2], images[1::2]
    bad = measured(model, quantized(model, calibration), held_out)
    assert bad.check("QDQ", "onnxruntime").verdict is Severity.ERROR
    assert "joined_scales" in [item.code for item in bad.findings()]
    good = measured(model, quantized(model, calibration, bits=16), held_out, bits=16)
    check = good.check("QDQ", "onnxruntime")
    assert check.tasks[0].values["f1"] > 0.9
    assert check.verdict is Severity.OK, check.reasons
    assert "joined_scales" not in [item.code for item in good.findings()]

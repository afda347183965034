"""The real TFLite toolchain: what tf2onnx writes is run in onnxruntime, beside what LiteRT says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from oakmill.calibration.images import read_image
from oakmill.graph.equality import snr_db
from oakmill.model.tflite_mend import mended
from oakmill.settings import current
from oakmill.spec import Encoding
from oakmill.toolchains import catalog
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.tflite.toolchain import OPSET, TfliteToolchain
from tests.conversion import tflite_makers as makers
from tests.conversion.tflite_writer import as_bytes
from tests.tools import installed

PICTURE = np.random.RandomState(1).randint(-60, 60, (1, makers.SIDE, makers.SIDE, 3))


@pytest.fixture(scope="session")
def toolchain() -> TfliteToolchain:
    return installed(TfliteToolchain(current()))


def run(file: Path, picture: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(file)
    assert [item.name for item in session.get_inputs()] == [makers.INPUT]
    return np.asarray(session.run(None, {makers.INPUT: picture})[0])


def test_it_verifies_itself_and_is_known_by_name(toolchain: TfliteToolchain) -> None:
    assert toolchain.verify()["onnx_bytes"] > 100
    assert catalog.find("sources", current()).name == toolchain.name
    assert toolchain.status().versions["tf2onnx"] == "1.17.0"


def test_names_layout_and_numbers_stay(toolchain: TfliteToolchain, tmp_path: Path) -> None:
    model = makers.written(makers.convolution(), tmp_path / "small.tflite")
    sample = PICTURE.astype(np.float32)
    converted = toolchain.convert(model, tmp_path / "job", [{makers.INPUT: sample}])
    assert converted.floating == converted.faithful
    written = onnx.load(converted.faithful)
    assert [item.version for item in written.opset_import if not item.domain] == [OPSET]
    assert [value.name for value in written.graph.output] == [makers.OUTPUT]
    wanted = converted.answers[0][makers.OUTPUT]
    assert wanted.shape == (1, 8, 8, 4)
    np.testing.assert_allclose(run(converted.faithful, sample), wanted, atol=1e-6)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_integers_are_kept_in_one_file_and_left_out_in_the_other(
    dtype: str, toolchain: TfliteToolchain, tmp_path: Path
) -> None:
    model = makers.quantized(dtype)
    output = model.tensors[model.outputs[0]].name
    whole = (PICTURE + (128 if dtype == "uint8" else 0)).astype(dtype)
    converted = toolchain.convert(
        makers.written(model, tmp_path / "small.tflite"), tmp_path / "job", [{makers.INPUT: whole}], quantized=True
    )
    wanted = converted.answers[0][output]
    assert wanted.dtype == np.float32
    assert {node.op_type for node in onnx.load(converted.faithful).graph.node} >= {"QuantizeLinear"}
    assert not {"QuantizeLinear", "DequantizeLinear"} & {
        node.op_type for node in onnx.load(converted.floating).graph.node
    }
    steps = run(converted.faithful, whole).astype(np.float32)
    zero = 0 if dtype == "uint8" else -128
    np.testing.assert_allclose((steps - zero) * makers.OUTPUT_STEP, wanted, atol=2 * makers.OUTPUT_STEP)
    np.testing.assert_allclose(run(converted.floating, whole.astype(np.float32)), wanted, atol=0.02)


@pytest.mark.slow
def test_the_same_file_gives_the_same_bytes(toolchain: TfliteToolchain, shared_data: Path, tmp_path: Path) -> None:
    """tf2onnx kept nodes in sets, by their addresses in memory: each run wrote them in another order."""
    model = shared_data / "models" / "tflite" / "yolox_nano_416_fp16.tflite"
    files = [toolchain.convert(model, tmp_path / name).faithful.read_bytes() for name in ("first", "second")]
    assert files[0] == files[1]


def test_an_open_batch_is_brought_to_the_shape_asked_for(toolchain: TfliteToolchain, tmp_path: Path) -> None:
    model = makers.written(makers.convolution(signature=(-1, 16, 16, 3)), tmp_path / "small.tflite")
    sample = np.concatenate([PICTURE, PICTURE]).astype(np.float32)
    converted = toolchain.convert(
        model, tmp_path / "job", [{makers.INPUT: sample}], shapes={makers.INPUT: sample.shape}
    )
    np.testing.assert_allclose(run(converted.faithful, sample), converted.answers[0][makers.OUTPUT], atol=1e-6)


def test_operations_that_tf2onnx_does_not_know_are_named(toolchain: TfliteToolchain, tmp_path: Path) -> None:
    model = makers.written(makers.one_operation(makers.GELU), tmp_path / "small.tflite")
    with pytest.raises(RunnerError, match="no conversion for GELU") as caught:
        toolchain.convert(model, tmp_path / "job")
    assert caught.value.kind == "conversion"
    assert caught.value.details["operations"] == {"y": "TFL_GELU"}


def test_what_litert_refuses_is_told_in_its_words(toolchain: TfliteToolchain, tmp_path: Path) -> None:
    model = makers.written(makers.one_operation(makers.CUSTOM, "Unheard"), tmp_path / "small.tflite")
    with pytest.raises(RunnerError, match="Unheard") as caught:
        toolchain.convert(model, tmp_path / "job")
    assert caught.value.kind == "interpreter"


def test_real_models_compute_on_photos_what_litert_does(
    toolchain: TfliteToolchain, shared_data: Path, tmp_path: Path
) -> None:
    """The INT8 file cuts its boxes off at 1; without its quantizers it is the network that it was made from."""
    photos = sorted((shared_data / "images" / "coco" / "train2017").glob("*.jpg"))[:3]
    samples = [read_image(path, (1, 3, 416, 416), "NCHW", Encoding.BGR, dtype=np.float32) for path in photos]
    original = ort.InferenceSession(shared_data / "models" / "yolox_nano_416.onnx")
    for name, least in (("fp16", 90.0), ("int8", 60.0)):
        converted = toolchain.convert(
            shared_data / "models" / "tflite" / f"yolox_nano_416_{name}.tflite",
            tmp_path / name,
            [{"serving_default_images:0": sample} for sample in samples],
            quantized=name == "int8",
        )
        faithful, floating = (ort.InferenceSession(file) for file in (converted.faithful, converted.floating))
        for sample, answer in zip(samples, converted.answers, strict=True):
            feed = {"serving_default_images:0": sample}
            assert snr_db(answer["PartitionedCall:0"], faithful.run(None, feed)[0]) > least
            real = original.run(None, {original.get_inputs()[0].name: sample})[0]
            assert snr_db(real, floating.run(None, feed)[0]) > (100.0 if name == "int8" else 35.0)


def test_what_old_converters_write_and_post_processing_are_mended_for_the_tools(
    toolchain: TfliteToolchain, tmp_path: Path
) -> None:
    """Both were refused: by LiteRT for a number that means nothing, at reading for an operation at the end."""
    data = as_bytes(makers.old_biases())
    (tmp_path / "old.tflite").write_bytes(data)
    with pytest.raises(RunnerError, match="quantized_dimension"):
        toolchain.convert(tmp_path / "old.tflite", tmp_path / "refused")
    for made, sample in ((makers.old_biases(), PICTURE.astype(np.int8)), (makers.detector(), PICTURE / 64)):
        (tmp_path / "mended.tflite").write_bytes(mended(as_bytes(made)).data)
        feed = {makers.INPUT: sample.astype(made.tensors[0].dtype)}
        job = tmp_path / f"job-{len(made.outputs)}"
        converted = toolchain.convert(tmp_path / "mended.tflite", job, [feed])
        session = ort.InferenceSession(converted.faithful)
        for name, values in zip(converted.answers[0], session.run(None, feed), strict=True):
            wanted = converted.answers[0][name]
            found = values if values.dtype == np.float32 else (values.astype(np.float32) + 128) * makers.OUTPUT_STEP
            np.testing.assert_allclose(found, wanted, atol=2 * makers.OUTPUT_STEP)


def test_mediapipes_transposed_convolution_is_written_out(toolchain: TfliteToolchain, tmp_path: Path) -> None:
    """MediaPipe's selfie segmentation ends with an operation of its own, and was refused for it."""
    made = makers.transposed()
    sample = PICTURE.astype(np.float32)
    converted = toolchain.convert(
        makers.written(made, tmp_path / "t.tflite"), tmp_path / "job", [{makers.INPUT: sample}]
    )
    weights, bias = made.tensors[1].data, made.tensors[2].data
    assert weights is not None
    wanted = np.einsum("nijc,oabc->niajbo", sample, weights).reshape(1, 32, 32, -1) + bias
    np.testing.assert_allclose(run(converted.faithful, sample), wanted, atol=1e-3)
    np.testing.assert_allclose(converted.answers[0][makers.OUTPUT], wanted, atol=1e-3)


def test_sparse_weights_are_written_out(toolchain: TfliteToolchain, tmp_path: Path) -> None:
    """Pruned models store the weights that are left, and were refused for DENSIFY. LiteRT reads them by itself."""
    sample = PICTURE.astype(np.float32)
    model = makers.written(makers.pruned(), tmp_path / "pruned.tflite")
    converted = toolchain.convert(model, tmp_path / "job", [{makers.INPUT: sample}])
    wanted = converted.answers[0][makers.OUTPUT]
    assert wanted.std() > 0.01
    np.testing.assert_allclose(run(converted.faithful, sample), wanted, atol=1e-6)


def test_a_transposed_convolution_that_is_none_of_mediapipes_is_refused(
    toolchain: TfliteToolchain, tmp_path: Path
) -> None:
    file = makers.written(makers.transposed((7, 2, 2)), tmp_path / "t.tflite")
    with pytest.raises(RunnerError, match="not as MediaPipe's"):
        toolchain.convert(file, tmp_path / "job", [])

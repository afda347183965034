from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.errors import (
    BrokenModel,
    DynamicShape,
    OakmillError,
    SourceError,
    UnsafeSource,
    UnsupportedModel,
    UnsupportedOpset,
)
from oakmill.model import load_onnx, onnx_model, read_onnx, weight_bytes
from oakmill.model.source import SourceFormat, Tensor
from oakmill.settings import Settings

Build = Callable[..., ModelProto]

REAL = {
    "cifar10_smallcnn": (("batch_size", 3, 32, 32), 10),
    "fns_candy_720": (("None", 3, 720, 720), 7),
    "mnist_cntk": ((1, 1, 28, 28), 8),
    "person_detector_yolox_192": ((1, 3, 192, 192), 11),
    "plate_rec_48x168": ((1, 3, 48, 168), 11),
    "squeezenet1.1_fp32": ((1, 3, 224, 224), 12),
    "ultraface_rfb_320": ((1, 3, 240, 320), 9),
    "yolox_nano_416": ((1, 3, 416, 416), 11),
    "yunet_n_dynamic": (("batch", 3, "height", "width"), 11),
}


def refuse(model: ModelProto, folder: Path, expected: type[Exception], words: str) -> None:
    path = folder / "refused.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(expected, match=words) as caught:
        read_onnx(path, Settings())
    assert type(caught.value) is expected


@pytest.mark.parametrize("name", REAL)
def test_real_models_are_described(shared_data: Path, settings: Settings, name: str) -> None:
    path = shared_data / "models" / f"{name}.onnx"
    source = read_onnx(path, settings)
    assert ((source.inputs[0].shape, source.opset), len(source.inputs)) == (REAL[name], 1)
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (source.format, source.files, source.size) == (SourceFormat.ONNX, (path,), path.stat().st_size)
    assert load_onnx(source) == onnx.load(path)


def test_a_model_is_described_by_its_tensors_opset_and_producer(model_file: Path, settings: Settings) -> None:
    source = read_onnx(model_file, settings)
    assert source.inputs == (Tensor("x", (1, 3, 8, 8), "float32"),)
    assert source.outputs == (Tensor("y", (1, 4, 6, 6), "float32"),)
    assert (source.name, source.opset, source.producer, source.archive) == ("small", 17, "tests 1", None)


def test_open_dimensions_keep_their_name_or_have_none(tmp_path: Path, build: Build, settings: Settings) -> None:
    model = build(inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, None, -1])])
    onnx.save(model, tmp_path / "open.onnx")
    assert read_onnx(tmp_path / "open.onnx", settings).inputs[0].shape == ("batch", 3, None, None)


def test_initializers_listed_as_inputs_are_no_inputs(tmp_path: Path, build: Build, settings: Settings) -> None:
    model = build()
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3, 3, 3]))
    onnx.save(model, tmp_path / "old.onnx")
    assert [tensor.name for tensor in read_onnx(tmp_path / "old.onnx", settings).inputs] == ["x"]


def test_a_truncated_file_is_never_taken_for_whole(model_file: Path, settings: Settings) -> None:
    whole = model_file.read_bytes()
    for size in range(1, len(whole), 7):
        model_file.write_bytes(whole[:size])
        with pytest.raises(OakmillError):
            read_onnx(model_file, settings)
    model_file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BrokenModel, match="damaged or cut off"):
        read_onnx(model_file, settings)


def test_a_single_file_of_2_gib_is_refused_at_once(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(BrokenModel, match="protobuf") as caught:
        read_onnx(path, settings)
    assert "external data" in caught.value.remedy


def field(number: int, content: bytes) -> bytes:
    """A protobuf field of bytes, as onnx's own helpers refuse to nest it."""
    size, varint = len(content), b""
    while size > 0x7F:
        varint, size = varint + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([number << 3 | 2]) + varint + bytes([size]) + content


def test_graphs_nested_without_end_are_refused(tmp_path: Path, settings: Settings) -> None:
    graph = b""
    for _ in range(200):
        graph = field(1, field(5, field(6, graph)))  # GraphProto.node, NodeProto.attribute, AttributeProto.g
    path = tmp_path / "deep.onnx"
    path.write_bytes(b"\x08\x08" + field(7, graph))
    with pytest.raises(BrokenModel, match="nested too deep"):
        read_onnx(path, settings)


@pytest.mark.parametrize("opset", [0, 99])
def test_an_unknown_opset_is_refused_by_name(tmp_path: Path, build: Build, opset: int) -> None:
    refuse(build(opset=opset), tmp_path, UnsupportedOpset, f"of opset {opset}; known are 1 to")


def test_a_model_without_opset_is_refused(tmp_path: Path, build: Build) -> None:
    model = build()
    del model.opset_import[:]
    refuse(model, tmp_path, UnsupportedOpset, "states no ONNX opset")


def test_an_unknown_ir_version_is_refused(tmp_path: Path, build: Build) -> None:
    model = build()
    model.ir_version = 99
    refuse(model, tmp_path, UnsupportedModel, "IR version 99")


def test_an_input_without_any_shape_is_refused(tmp_path: Path, build: Build) -> None:
    model = build(inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, None)])
    refuse(model, tmp_path, DynamicShape, "'x' does not state its number of dimensions")


def test_inputs_that_are_no_tensors_are_refused(tmp_path: Path, build: Build) -> None:
    model = build(inputs=[helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [1])])
    refuse(model, tmp_path, UnsupportedModel, "'x' is a sequence, not a tensor")


def test_an_unknown_element_type_is_refused(tmp_path: Path, build: Build) -> None:
    model = build()
    model.graph.input[0].type.tensor_type.elem_type = 999
    refuse(model, tmp_path, BrokenModel, "unknown type 999")


def test_a_missing_file_is_named(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(SourceError, match=r"none\.onnx cannot be read"):
        read_onnx(tmp_path / "none.onnx", settings)


def test_unknown_operators_and_domains_are_not_the_readers_business(
    tmp_path: Path, build: Build, settings: Settings
) -> None:
    node = helper.make_node("Mystery", ["x", "w"], ["y"], domain="com.example")
    onnx.save(build(nodes=[node]), tmp_path / "custom.onnx")
    assert read_onnx(tmp_path / "custom.onnx", settings).outputs[0].name == "y"


def test_a_model_with_external_data_is_described_and_loaded(tmp_path: Path, build: Build, settings: Settings) -> None:
    path, data = tmp_path / "model.onnx", tmp_path / "model.data"
    onnx.save(build(), path, save_as_external_data=True, location="model.data", size_threshold=0)
    source = read_onnx(path, settings)
    assert source.files == (path, data)
    assert source.size == path.stat().st_size + data.stat().st_size
    assert source.sha256 == hashlib.sha256(path.read_bytes() + data.read_bytes()).hexdigest()
    weight = numpy_helper.to_array(load_onnx(source).graph.initializer[0])
    np.testing.assert_array_equal(weight, np.full((4, 3, 3, 3), 0.5, np.float32))


def test_external_data_that_vanished_since_is_named_when_loading(
    tmp_path: Path, build: Build, settings: Settings
) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(build(), path, save_as_external_data=True, location="model.data", size_threshold=0)
    source = read_onnx(path, settings)
    (tmp_path / "model.data").unlink()
    with pytest.raises(BrokenModel, match=r"'model\.data' is missing"):
        load_onnx(source)


def test_more_data_than_the_settings_allow_is_refused(tmp_path: Path, build: Build) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(external_model(build, 3 << 20).SerializeToString())
    (tmp_path / "weights.bin").write_bytes(bytes(3 << 20))
    with pytest.raises(UnsafeSource, match="3 MB with its external data; allowed are 2"):
        read_onnx(path, Settings(source_max_mb=2))


def with_a_hole(folder: Path, build: Build, size: int) -> tuple[Path, ModelProto]:
    """A model beside `size` bytes of external data that take no disk."""
    path, model = folder / "model.onnx", external_model(build, size)
    path.write_bytes(model.SerializeToString())
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(size)
    return path, model


def test_external_data_is_never_loaded_to_describe_a_model(tmp_path: Path, build: Build) -> None:
    path, _ = with_a_hole(tmp_path, build, 64 << 20)
    tracemalloc.start()
    try:
        read_onnx(path, Settings())
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_gigabytes_of_external_data_are_counted_whole(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than protobuf's limit; to hash so much takes ten seconds, and is what the test above does with less."""
    size = (1 << 31) + 8
    path, model = with_a_hole(tmp_path, build, size)
    monkeypatch.setattr(onnx_model, "file_sha256", lambda *files: "0" * 64)
    assert read_onnx(path, Settings()).size > size
    assert weight_bytes(model) == size


def external_model(build: Build, size: int) -> ModelProto:
    """A model whose one weight is `size` bytes of the file weights.bin."""
    weight = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[size])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights.bin")
    return build(initializer=[weight])

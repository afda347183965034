from __future__ import annotations

import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oakmill.errors import BrokenModel, OakmillError, UnsafeSource, UnsupportedModel
from oakmill.model import SourceFormat, flatbuffer, open_source
from oakmill.model.source import Tensor
from oakmill.model.tflite import Quantization, describe_tflite, parse_tflite, read_tflite
from oakmill.settings import Settings
from tests.conversion import tflite_makers as makers
from tests.conversion.tflite_writer import ModelOf, OperatorOf, TensorOf, as_bytes


def refuse(model: ModelOf | bytes, kind: type[OakmillError], words: str) -> None:
    with pytest.raises(kind, match=words):
        parse_tflite(model if isinstance(model, bytes) else as_bytes(model), "some.tflite")


def test_what_goes_in_and_out_is_read(tmp_path: Path, settings: Settings) -> None:
    path = makers.written(makers.convolution(), tmp_path / "named_otherwise")
    source = open_source(path, tmp_path / "work", settings)
    assert (source.format, source.graph, source.files) == (SourceFormat.TFLITE, path, (path,))
    assert source.inputs == (Tensor(makers.INPUT, (1, 16, 16, 3), "float32"),)
    assert source.outputs == (Tensor(makers.OUTPUT, (1, 8, 8, 4), "float32"),)
    assert source.size == path.stat().st_size


def test_operations_and_quantization_are_read(tmp_path: Path) -> None:
    model = parse_tflite(as_bytes(makers.quantized()), "some.tflite")
    assert model.operations == {"CONV_2D": 1, "LOGISTIC": 1}
    assert (model.quantization, model.wide) == (Quantization.ACTIVATIONS, False)
    (item,) = model.inputs
    assert (item.dtype, item.scale, item.zero_point) == ("int8", (makers.INPUT_STEP,), (makers.INPUT_ZERO,))
    assert parse_tflite(as_bytes(makers.convolution()), "some.tflite").quantization is Quantization.NONE


def test_quantized_constants_alone_are_told_apart() -> None:
    model = makers.convolution()
    weights = TensorOf("weights", makers.WEIGHTS.shape, "int8", makers.WEIGHTS, scale=[0.1], zero=[0])
    model = replace(model, tensors=[model.tensors[0], weights, *model.tensors[2:]])
    assert parse_tflite(as_bytes(model), "some.tflite").quantization is Quantization.WEIGHTS


def test_an_open_dimension_is_none() -> None:
    (item,) = parse_tflite(as_bytes(makers.convolution(signature=(-1, 16, 16, 3))), "some.tflite").inputs
    assert (item.shape, item.default) == ((None, 16, 16, 3), (1, 16, 16, 3))


def test_operations_without_counterpart_are_refused_by_name() -> None:
    refuse(makers.one_operation(makers.CUSTOM, "TFLite_Detection_PostProcess"), UnsupportedModel, "Detection_PostProc")
    refuse(
        makers.one_operation(makers.CUSTOM, "FlexErf"), UnsupportedModel, "'y' is computed by TensorFlow's own.*'Erf'"
    )
    refuse(makers.one_operation(5000), UnsupportedModel, "'y' is computed by operation number 5000")


def test_contradictions_are_refused() -> None:
    good = makers.convolution()
    refuse(replace(good, version=2), UnsupportedModel, "schema 2")
    refuse(replace(good, inputs=[99]), BrokenModel, "an input is the tensor 99")
    refuse(replace(good, inputs=[]), BrokenModel, "no inputs")
    refuse(replace(good, outputs=[4, 4]), UnsupportedModel, "two outputs.*are called")
    refuse(replace(good, operators=[OperatorOf(0, [0, 77], [4])]), BrokenModel, "reads the tensor 77")
    short = TensorOf("weights", (4, 3, 3, 3), data=np.zeros(5, np.float32))
    tensors = [good.tensors[0], short, *good.tensors[2:]]
    refuse(replace(good, tensors=tensors), BrokenModel, "'weights' .* needs 432 bytes, but holds 20")


def test_texts_in_and_out_are_refused() -> None:
    good = makers.convolution()
    text = TensorOf(makers.INPUT, (1,), "string")
    refuse(replace(good, tensors=[text, *good.tensors[1:]]), UnsupportedModel, "is string, not a tensor of numbers")


def test_no_damage_leads_outside_the_file() -> None:
    """Every cut, and a thousand spoilt numbers: each is read as something, or refused as an error of Oakmill's."""
    data = as_bytes(makers.quantized())
    for length in range(0, len(data), 3):
        _survives(data[:length])
    random = np.random.RandomState(0)
    for _ in range(1000):
        spoilt = bytearray(data)
        at = random.randint(8, len(data) - 4)
        spoilt[at : at + 4] = random.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\1\0"])
        _survives(bytes(spoilt))


def _survives(data: bytes) -> None:
    try:
        parse_tflite(data, "some.tflite")
    except OakmillError:
        return


def _table(fields: dict[int, int], slots: int) -> tuple[bytes, dict[int, int]]:
    """A table of offsets yet to be filled in, its list of fields before it; where in it each field lies."""
    places = {slot: 4 + 4 * index for index, slot in enumerate(fields)}
    listed = [places.get(slot, 0) for slot in range(slots)]
    head = struct.pack(f"<HH{slots}H", 4 + 2 * slots, 4 + 4 * len(fields), *listed)
    return head + struct.pack("<i", len(head)) + bytes(4 * len(fields)), {s: len(head) + p for s, p in places.items()}


def test_a_file_that_repeats_its_parts_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """3,000 graphs that are one and the same, with 3,000 operations that are: nine million, out of 24 kB."""
    monkeypatch.setattr(flatbuffer, "_MOST_STEPS", 200_000)
    count = 3000
    data = bytearray(b"\0\0\0\0TFL3")

    def add(fields: dict[int, int], slots: int) -> tuple[int, dict[int, int]]:
        start = len(data)
        content, places = _table(fields, slots)
        data.extend(content)
        return start + 4 + 2 * slots, {slot: start + place for slot, place in places.items()}

    def refer(at: int, target: int) -> None:
        struct.pack_into("<I", data, at, target - at)

    def repeat(at: int) -> int:
        """A vector of offsets to what follows it."""
        start = len(data)
        refer(at, start)
        data.extend(struct.pack("<I", count))
        end = start + 4 + 4 * count
        data.extend(b"".join(struct.pack("<I", end - place) for place in range(start + 4, end, 4)))
        return end

    root, places = add({0: 3, 1: 0, 2: 0}, 3)
    refer(0, root)
    struct.pack_into("<I", data, places[0], 3)
    codes = len(data)
    refer(places[1], codes)
    data.extend(struct.pack("<II", 1, 0))
    refer(codes + 4, add({}, 4)[0])
    end = repeat(places[2])
    graph, places = add({3: 0}, 4)
    for place in range(end - 4 * count, end, 4):
        refer(place, graph)
    end = repeat(places[3])
    operation, _ = add({}, 4)
    for place in range(end - 4 * count, end, 4):
        refer(place, operation)
    refuse(bytes(data), BrokenModel, "refers to its parts too often")


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.tflite"
    path.write_bytes(as_bytes(makers.convolution()) + bytes(2 << 20))
    with pytest.raises(UnsafeSource, match="2 MB; allowed are 1"):
        read_tflite(path, Settings(source_max_mb=1))


def test_real_models_are_read(shared_data: Path, settings: Settings) -> None:
    folder = shared_data / "models" / "tflite"
    half = describe_tflite(folder / "yolox_nano_416_fp16.tflite", settings)
    assert half.operations["CONV_2D"] == 83
    assert half.quantization is Quantization.NONE
    assert half.inputs[0].name == "serving_default_images:0"
    int8 = describe_tflite(folder / "yolox_nano_416_int8.tflite", settings)
    assert int8.quantization is Quantization.ACTIVATIONS


def test_an_nn_archive_may_hold_tflite(tmp_path: Path, settings: Settings) -> None:
    makers.written(makers.convolution(), tmp_path / "small.tflite")
    config = '{"model": {"metadata": {"name": "small", "path": "small.tflite"}, "inputs": [], "outputs": []}}'
    (tmp_path / "config.json").write_text(config)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("small.tflite", "config.json"):
            archive.add(tmp_path / name, name)
    source = open_source(tmp_path / "a.tar", tmp_path / "work", settings)
    assert source.format is SourceFormat.TFLITE
    assert source.archive is not None

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.errors import SpecError
from oakmill.graph import equality
from oakmill.graph.aimet import Encodings, read_encodings
from oakmill.graph.boundary import encoding_of
from oakmill.graph.quantize import Encoding, Plan, quantize

CHANNELS = 4


def network() -> ModelProto:
    """image -> Conv with a bias -> Relu -> out, in NCHW."""
    random = np.random.default_rng(3)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "weight", "bias"], ["features"], name="conv"),
            helper.make_node("Relu", ["features"], ["out"], name="relu"),
        ],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, CHANNELS, 6, 6])],
        [
            numpy_helper.from_array(random.normal(size=[CHANNELS, 3, 3, 3]).astype("f") / 255, "weight"),
            numpy_helper.from_array(random.normal(size=[CHANNELS]).astype("f"), "bias"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def read(document: Any, folder: Path) -> Encodings:
    path = folder / "encodings.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return read_encodings(path, network())


def form_0_6(bits: int = 8, scale: float = 0.5, offset: int = -128, symmetric: bool = False) -> dict[str, Any]:
    return {
        "bitwidth": bits, "dtype": "int", "is_symmetric": str(symmetric), "max": 1.0, "min": -1.0,
        "offset": offset, "scale": scale,
    }  # fmt: skip


def form_1_0(name: str, scale: list[float], offset: list[int], *, bits: int = 8, sym: bool = False) -> dict[str, Any]:
    kind = "PER_CHANNEL" if len(scale) > 1 else "PER_TENSOR"
    return {"name": name, "bw": bits, "dtype": "INT", "enc_type": kind, "is_sym": sym, "offset": offset, "scale": scale}


SCALES = [0.01, 0.02, 0.03, 0.04]
ASYMMETRIC = Encoding(8, (0.5,), (7,))
BY_CHANNEL = Encoding(8, tuple(SCALES), (0,) * CHANNELS, axis=0, signed=True)

FORMS: dict[str, dict[str, Any]] = {
    "0.6": {
        "version": "0.6.1",
        "activation_encodings": {"out": [form_0_6(offset=-7)]},
        "param_encodings": {"weight": [form_0_6(scale=scale, symmetric=True) for scale in SCALES]},
    },
    "1.0": {
        "version": "1.0.0",
        "activation_encodings": [form_1_0("out", [0.5], [-7])],
        "param_encodings": [form_1_0("weight", SCALES, [-128] * CHANNELS, sym=True)],
    },
    "2.0": {
        "version": "2.0.0",
        "encodings": [
            {"name": "out", "output_dtype": "uint8", "y_scale": 0.5, "y_zero_point": 7},
            {"name": "weight", "output_dtype": "int8", "y_scale": SCALES, "y_zero_point": None, "axis": 0},
        ],
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_means_the_same(form: str, tmp_path: Path) -> None:
    found = read(FORMS[form], tmp_path)
    assert found.found == {"out": ASYMMETRIC, "weight": BY_CHANNEL}
    assert not found.left_out


@pytest.mark.parametrize("form", FORMS)
def test_what_was_read_is_what_the_graph_is_quantized_with(form: str, tmp_path: Path) -> None:
    """The rounded weights and outputs are on the grids that the file states."""
    model, ranges = network(), {"image": (0.0, 255.0), "features": (0.0, 9.0), "out": (0.0, 9.0)}
    written = quantize(model, ranges, Plan(encodings=dict(read(FORMS[form], tmp_path).found)), ["image"])
    assert encoding_of(written, "out") == (0.5, 7)
    stored = {item.name: numpy_helper.to_array(item) for item in written.graph.initializer}
    scale = next(values for values in stored.values() if values.shape == (CHANNELS,) and values.dtype == np.float32)
    np.testing.assert_allclose(scale, SCALES)
    image = np.random.default_rng(1).integers(0, 256, [1, 3, 8, 8])
    weight, bias = (numpy_helper.to_array(item) for item in model.graph.initializer)
    grid = np.array(SCALES)[:, None, None, None]
    rounded = np.clip(np.rint(weight / grid), -128, 127) * grid
    patches = np.lib.stride_tricks.sliding_window_view(image[0], (3, 3), axis=(1, 2))
    real = np.maximum(np.einsum("cyxij,ocij->oyx", patches, rounded) + bias[:, None, None], 0)
    expected = np.clip(np.rint(real / 0.5) + 7, 0, 255)
    found = equality.run(written, {"image": image.astype(np.uint8)})["out"][0]
    assert np.abs(found - expected).max() <= 1


def test_16_and_4_bits_are_taken(tmp_path: Path) -> None:
    document = {
        "activation_encodings": {"out": [form_0_6(16, offset=-32768)]},
        "param_encodings": {"weight": [form_0_6(4, offset=-8, symmetric=True)]},
    }
    found = read(document, tmp_path).found
    assert found == {"out": Encoding(16, (0.5,), (32768,)), "weight": Encoding(4, (0.5,), (0,), signed=True)}


def test_a_signed_activation_is_brought_to_the_unsigned_grid(tmp_path: Path) -> None:
    document = {"encodings": [{"name": "out", "output_dtype": "int8", "y_scale": 0.5, "y_zero_point": -3}]}
    assert read(document, tmp_path).found == {"out": Encoding(8, (0.5,), (125,))}


LEFT_OUT: dict[str, tuple[str, str, dict[str, Any]]] = {
    # what: the tensor, words of the reason, the entry in form 1.0
    "another tensor": ("gone", "no tensor of that name", form_1_0("gone", [0.5], [0])),
    "a float": ("out", "floating point", {"name": "out", "bw": 16, "dtype": "FLOAT"}),
    "a bias": ("bias", "32 bits; a bias gets its encoding", form_1_0("bias", [0.5], [0], bits=32)),
    "an activation of 4 bits": ("out", "4 bits", form_1_0("out", [0.5], [-8], bits=4)),
    "weights of 4 bits with an offset": ("weight", "4 bits are symmetric", form_1_0("weight", [0.5], [-3], bits=4)),
    "no scale": ("out", "0 scales and 1 offsets", form_1_0("out", [], [0])),
    "a scale of 0": ("out", "not a number above 0", form_1_0("out", [0.0], [0])),
    "a negative scale": ("out", "not a number above 0", form_1_0("out", [-1.0], [0])),
    "a scale without end": ("out", "not a number above 0", form_1_0("out", [float("inf")], [0])),
    "no number": ("out", "not a number above 0", form_1_0("out", [float("nan")], [0])),
    "more scales than offsets": ("weight", "4 scales and 1 offsets", form_1_0("weight", SCALES, [-128], sym=True)),
    "an offset above zero": ("out", "not within 8 bits", form_1_0("out", [0.5], [3])),
    "an offset too far": ("out", "not within 8 bits", form_1_0("out", [0.5], [-256])),
    "channels of an activation": ("out", "only weights of convolutions", form_1_0("out", SCALES, [0] * 4)),
    "other channels": ("weight", "scales for 3 channels, the prepared model's tensor has 4",
                       form_1_0("weight", SCALES[:3], [-128] * 3, sym=True)),
}  # fmt: skip


@pytest.mark.parametrize("what", LEFT_OUT)
def test_what_cannot_be_written_is_left_out_with_the_reason(what: str, tmp_path: Path) -> None:
    """Some of these ended in a traceback out of numpy, when the graph was written."""
    name, words, entry = LEFT_OUT[what]
    good = form_1_0("image", [1.0], [0])
    found = read({"activation_encodings": [good, entry], "param_encodings": []}, tmp_path)
    assert set(found.found) == {"image"}
    assert words in found.left_out[name]


def test_encodings_of_another_model_are_refused(tmp_path: Path) -> None:
    document = {"activation_encodings": {"conv1_out": [form_0_6()], "fc_out": [form_0_6()]}, "param_encodings": {}}
    with pytest.raises(SpecError, match="encodings of another model: not one of its 2 names") as caught:
        read(document, tmp_path)
    assert "'conv1_out'" in caught.value.message
    assert caught.value.remedy


def test_no_encodings_at_all_are_no_error(tmp_path: Path) -> None:
    assert read({"activation_encodings": {}, "param_encodings": {}}, tmp_path) == Encodings({}, {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ('{"activation_encodings": {', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1, 2]", "holds no encodings"),
        ('{"scales": [1]}', "holds no encodings"),
        ('{"activation_encodings": {"out": []}}', "not in a form"),
        ('{"activation_encodings": {"out": [{"scale": 1}]}}', "not in a form"),
        ('{"activation_encodings": {"out": 3}}', "not in a form"),
        ('{"activation_encodings": 3}', "not in a form"),
        ('{"activation_encodings": [{"bw": 8}]}', "not in a form"),
        ('{"activation_encodings": [{"name": "out", "bw": "eight"}]}', "not in a form"),
        ('{"activation_encodings": [{"name": "out", "bw": 8, "scale": ["x"], "offset": [0]}]}', "not in a form"),
        ('{"activation_encodings": {"out": [{"bitwidth": 8, "scale": 1, "offset": Infinity}]}}', "not in a form"),
        ('{"encodings": [{"name": "out"}]}', "not in a form"),
        ('{"encodings": ["out"]}', "not in a form"),
    ],
)
def test_a_file_of_another_form_is_refused_in_words(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        read(text, tmp_path)
    assert "export the encodings with AIMET again" in caught.value.remedy


def test_bytes_that_are_no_text_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(SpecError, match=r"bytes\.json is not JSON"):
        read_encodings(tmp_path / "bytes.json", network())
    with pytest.raises(SpecError, match=r"none\.json cannot be read"):
        read_encodings(tmp_path / "none.json", network())


def test_a_file_beyond_reason_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(SpecError, match="larger than 256 MB"):
        read_encodings(tmp_path / "large.json", network())

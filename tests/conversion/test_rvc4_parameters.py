"""Every parameter of a conversion to RVC4 does what it says, seen in the file that comes out."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.conversion.conftest import Answer, Convert
from tests.conversion.makers import SIDE, archive_of, archived, conv_model, saved, two_input_model

VERDICTS = {"ok", "warning", "error"}


@dataclass(frozen=True)
class Made:
    """A conversion that went well, and what is in its archive."""

    answer: Answer
    config: dict[str, Any]
    build: dict[str, Any]
    recipe: dict[str, Any]
    dlc: bytes

    @classmethod
    def of(cls, answer: Answer) -> Made:
        assert answer.exit_code == 0, (answer.error, answer.stderr)
        assert answer.result["verdict"] in VERDICTS
        files = archive_of(Path(answer.result["files"][0]))
        (dlc,) = (data for name, data in files.items() if name.endswith(".dlc"))
        config, build = (json.loads(files[name]) for name in ("config.json", "buildinfo.json"))
        return cls(answer, config, build, yaml.safe_load(files["recipe.yaml"]), dlc)

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """As the vendor's own reader found them in the finished file."""
        found: list[dict[str, Any]] = self.answer.result["passport"]["vendor_reader"]["inputs"]
        return found

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        return {item["name"]: item for item in self.answer.result["passport"]["vendor_reader"]["outputs"]}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return saved(conv_model(), tmp_path / "small.onnx")


PIXELS = {"name": "image", "dims": [1, SIDE, SIDE, 3], "dtype": "uint8", "scale": 1.0, "offset": 0}


@pytest.mark.parametrize(
    ("precision", "archived_as", "output"),
    [
        ("INT8", "int8", "uint8"),
        ("INT8_ACCURACY_FOCUSED", "int8", "uint8"),
        ("INT8_INT16_MIXED", "int8", "uint16"),
        ("INT8_INT16_MIXED_ACCURACY_FOCUSED", "int8", "uint16"),
        ("INT16_STANDARD", "int16", "uint16"),
        ("FP16", "float16", "float32"),
        ("FP32_STANDARD", "float32", "float32"),
    ],
)
def test_a_precision_is_in_the_file_at_a_boundary_that_depthai_takes(
    precision: str, archived_as: str, output: str, small: Path, photos: Path, tmp_path: Path, convert4: Convert
) -> None:
    """FP32 once failed: the float graph had been changed in place to take bytes."""
    teaches = [] if precision.startswith("FP") else ["--quantization-data", photos]
    made = Made.of(convert4(small, "--target-precision", precision, *teaches, "-o", tmp_path / "out"))
    assert made.inputs == [PIXELS]
    (scores,) = made.outputs.values()
    assert (scores["name"], scores["dims"], scores["dtype"]) == ("scores", [1, SIDE, SIDE, 4], output)
    (image,) = made.config["model"]["inputs"]
    assert (image["layout"], image["dtype"], image["shape"]) == ("NHWC", "uint8", [1, SIDE, SIDE, 3])
    assert image["preprocessing"]["dai_type"] == "BGR888i"
    assert image["preprocessing"]["mean"] == [0, 0, 0]
    (found,) = made.config["model"]["outputs"]
    assert (found["name"], found["dtype"], found["shape"]) == ("scores", output, [1, SIDE, SIDE, 4])
    assert made.config["model"]["metadata"]["precision"] == archived_as
    assert made.build["precision"].startswith(precision)
    assert ("snpe-dlc-quant" in made.build["cmd_info"]) is not precision.startswith("FP")
    assert bool(made.recipe["calibration"]) is not precision.startswith("FP")


def test_what_is_not_proven_is_said_and_no_cache_is_there_unasked(
    small: Path, photos: Path, tmp_path: Path, convert4: Convert
) -> None:
    made = Made.of(convert4(small, "--quantization-data", photos, "-o", tmp_path / "out"))
    assert made.build["min_runtime"] is None
    assert made.build["prepared_cache"] == []
    assert made.build["snpe_version"].startswith("v2.51")
    assert made.build["target_devices"] == ["qcs8550"]
    assert "not run on an RVC4 device" in made.build["not_proven"]
    assert not [name for name in zipfile.ZipFile(io.BytesIO(made.dlc)).namelist() if name.startswith("htp.")]
    recipe = made.recipe["calibration"]
    hashes = {path.name: digest(path) for path in photos.iterdir()}
    assert [hashes[name] for name in recipe["names"]] == recipe["sha256"]
    assert not set(recipe["sha256"]) & set(made.recipe["images"])
    assert set(recipe["sha256"]) | set(made.recipe["images"]) == set(hashes.values())
    assert made.recipe["toolchains"][0]["name"] == "rvc4/qairt-2.51"


def digest(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("came", "goes", "kind"), [("RGB", "RGB", "RGB888i"), ("RGB", "BGR", "BGR888i")])
def test_colours_have_depthais_names(came: str, goes: str, kind: str, tmp_path: Path, convert4: Convert) -> None:
    path = saved(conv_model(), tmp_path / "small.onnx")
    options = ["--encoding-from", came, "--encoding-to", goes, "--target-precision", "FP16"]
    made = Made.of(convert4(path, *options, "-o", tmp_path / "out"))
    assert made.config["model"]["inputs"][0]["preprocessing"]["dai_type"] == kind


def test_a_gray_input(photos: Path, tmp_path: Path, convert4: Convert) -> None:
    weight = np.random.default_rng(0).standard_normal((4, 1, 3, 3)).astype(np.float32) * 0.05
    path = saved(conv_model(shape=(1, 1, SIDE, SIDE), weight=weight), tmp_path / "gray.onnx")
    options = ["--mean-values", "100", "--scale-values", "50", "--quantization-data", photos]
    made = Made.of(convert4(path, *options, "-o", tmp_path / "out"))
    assert made.inputs == [{**PIXELS, "dims": [1, SIDE, SIDE, 1]}]
    assert made.config["model"]["inputs"][0]["preprocessing"]["dai_type"] == "GRAY8"


def test_a_source_of_nhwc_stays_so(photos: Path, tmp_path: Path, convert4: Convert) -> None:
    model = conv_model(shape=(1, SIDE, SIDE, 3))
    model.graph.node.insert(0, helper.make_node("Transpose", ["image"], ["planes"], "to_planes", perm=[0, 3, 1, 2]))
    model.graph.node[1].input[0] = "planes"
    path = saved(model, tmp_path / "last.onnx")
    made = Made.of(convert4(path, "--quantization-data", photos, "-o", tmp_path / "out"))
    assert made.inputs == [PIXELS]
    assert made.outputs["scores"]["dims"] == [1, 4, SIDE, SIDE]  # the source's own: nothing was turned


def test_a_native_file_is_a_zip_that_older_readers_open(
    small: Path, photos: Path, tmp_path: Path, convert4: Convert
) -> None:
    """The vendor's library writes zip64 with checksums of 0, which QAIRT 2.36 does not open."""
    answer = convert4(small, "--quantization-data", photos, "--format", "native", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    path = tmp_path / "out" / "small.rvc4.dlc"
    assert answer.result["files"][0] == str(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert 0x0001 not in fields(info.extra), "a zip64 field"
            assert info.extract_version <= 20
    data = path.read_bytes()
    assert b"PK\x06\x06" not in data[-200:]
    assert b"PK\x06\x07" not in data[-200:]


def fields(extra: bytes) -> list[int]:
    """The kinds of a zip entry's extra fields: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.5."""
    found = []
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        found.append(kind)
        extra = extra[4 + size :]
    return found


def test_a_cache_is_made_for_a_device_that_can_load_it(
    small: Path, photos: Path, tmp_path: Path, convert4: Convert
) -> None:
    options = ["--device-runtime", "2.51", "--htp-socs", "qcs8550", "--snpe-version", "2.51"]
    made = Made.of(convert4(small, "--quantization-data", photos, *options, "-o", tmp_path / "out"))
    assert made.build["prepared_cache"] == ["qcs8550"]
    assert made.build["min_runtime"] == "2.51"
    assert "snpe-dlc-graph-prepare" in made.build["cmd_info"]
    assert "htp.cache.qcs8550.0" in zipfile.ZipFile(io.BytesIO(made.dlc)).namelist()
    assert made.inputs == [PIXELS]


@pytest.mark.parametrize(
    ("options", "code", "words", "remedy"),
    [
        (["--device-runtime", "2.41"], "SpecError", "does not load on a device with QAIRT 2.41", "--qairt-root"),
        (["--snpe-version", "2.41.0"], "VersionNotAvailable", "SNPE 2.41.0 is not available", "--qairt-root"),
        (["--snpe-version", "2.32.6"], "VersionNotAvailable", "SNPE 2.32.6 is not available", "omit --snpe-version"),
        (["--snpe-dlc-quant-args", "--algorithms cle"], "ArgumentRefused", "needs Qualcomm's own tool", "--qairt-root"),
        (["--snpe-dlc-quant-args", "--act_bitwith 16"], "ArgumentRefused", "not one that is known", "--act_bitwidth"),
        (["--snpe-onnx-to-dlc-args", "-o /tmp/x.dlc"], "ArgumentRefused", "the conversion sets it", ""),
        (["--snpe-dlc-graph-prepare-args", "--vtcm_override 4"], "SpecError", "concern the prepared cache", "--device"),
        (["--shaves", "4"], "SpecError", "--shaves does not apply to a conversion to rvc4", "omit it"),
        (["--target-precision", "CUSTOM"], "SpecError", "CUSTOM needs AIMET's encodings", ""),
        (["--tensor", "gone=int16"], "SpecError", "no float tensor of that name", "--quantizer-search"),
        (["--tensor", "image=int16"], "SpecError", "the 8 bits that the camera gives", "omit it"),
    ],
)
def test_what_cannot_be_had_is_refused_plainly(
    options: list[str], code: str, words: str, remedy: str, small: Path, photos: Path, tmp_path: Path,
    convert4: Convert,
) -> None:  # fmt: skip
    answer = convert4(small, "--quantization-data", photos, *options, "-o", tmp_path / "out")
    assert (answer.exit_code, answer.error.get("code")) == (2, code), answer.error
    assert words in answer.error["message"], answer.error
    assert remedy in answer.error["remedy"], answer.error
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


# SNPE's arguments, without an SDK


def test_snpe_arguments_are_carried_out(small: Path, photos: Path, tmp_path: Path, convert4: Convert) -> None:
    options = ["--snpe-dlc-quant-args", "--act_bitwidth 16 --act_quantizer enhanced --bias_bitwidth 32"]
    made = Made.of(convert4(small, "--quantization-data", photos, *options, "-o", tmp_path / "out"))
    assert made.outputs["scores"]["dtype"] == "uint16"
    assert made.recipe["calibration"]["method"] == "mse"
    assert any("biases have 32 bits" in note for note in made.answer.result["notes"])


def test_the_converters_arguments_fix_shapes_and_colours(photos: Path, tmp_path: Path, convert4: Convert) -> None:
    path = saved(conv_model(shape=(1, 3, "height", "width")), tmp_path / "open.onnx")
    words = f"--input_dim image 1,3,{SIDE},{SIDE} --input_encoding image rgb rgb --no_simplification"
    options = ["--snpe-onnx-to-dlc-args", words, "--quantization-data", photos]
    made = Made.of(convert4(path, *options, "-o", tmp_path / "out"))
    assert made.inputs == [PIXELS]
    assert made.config["model"]["inputs"][0]["preprocessing"]["dai_type"] == "RGB888i"


def test_the_network_can_end_at_an_inner_tensor(small: Path, photos: Path, tmp_path: Path, convert4: Convert) -> None:
    options = ["--snpe-onnx-to-dlc-args", "--out_node features", "--quantization-data", photos]
    made = Made.of(convert4(small, *options, "-o", tmp_path / "out"))
    assert set(made.outputs) == {"features"}


# models


def test_integers_of_64_bits_become_32(photos: Path, tmp_path: Path, convert4: Convert) -> None:
    """The ranges of such a model could once not be measured: a note of the output's former type was left in it."""
    best = helper.make_node("ArgMax", ["hidden"], ["scores"], "best", axis=1, keepdims=0)
    model = conv_model(tail=[best])
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("scores", TensorProto.INT64, [1, SIDE, SIDE]))
    path = saved(model, tmp_path / "classes.onnx")
    made = Made.of(convert4(path, "--quantization-data", photos, "-o", tmp_path / "out"))
    assert made.outputs["scores"]["dtype"] == "int32"
    assert made.config["model"]["outputs"][0]["dtype"] == "int32"


def test_two_inputs_from_the_same_pictures_or_from_folders_of_their_own(
    photos: Path, tmp_path: Path, convert4: Convert
) -> None:
    path = saved(two_input_model(), tmp_path / "stereo.onnx")
    options = ["--mean-values", "left=1,2,3", "--encoding-to", "right=RGB"]
    made = Made.of(convert4(path, *options, "--quantization-data", photos, "-o", tmp_path / "out"))
    assert {item["name"]: item["dtype"] for item in made.inputs} == {"left": "uint8", "right": "uint8"}
    kinds = {item["name"]: item["preprocessing"]["dai_type"] for item in made.config["model"]["inputs"]}
    assert kinds == {"left": "BGR888i", "right": "RGB888i"}
    pairs = tmp_path / "pairs"
    for name in ("left", "right"):
        (pairs / name).mkdir(parents=True)
        for picture in sorted(photos.iterdir())[:4]:
            (pairs / name / picture.name).write_bytes(picture.read_bytes())
    made = Made.of(convert4(path, *options, "--quantization-data", pairs, "-o", tmp_path / "pairs-out"))
    assert made.recipe["calibration"]["images"] == 3


def test_an_input_that_is_no_picture_is_calibrated_by_arrays(tmp_path: Path, convert4: Convert) -> None:
    arrays = tmp_path / "arrays"
    arrays.mkdir()
    for index in range(4):
        np.save(arrays / f"{index}.npy", np.random.default_rng(index).normal(size=(1, 3, SIDE, SIDE)).astype("f"))
    path = saved(conv_model(), tmp_path / "numbers.onnx")
    options = ["--encoding-from", "NONE", "--quantization-data", arrays]
    made = Made.of(convert4(path, *options, "-o", tmp_path / "out"))
    assert [(item["dims"], item["dtype"]) for item in made.inputs] == [([1, 3, SIDE, SIDE], "float32")]
    assert made.config["model"]["inputs"][0]["input_type"] == "raw"


def recurrent(kind: str) -> ModelProto:
    """image -> rows of a picture, one after the other, through a recurrent layer -> scores."""
    random, hidden = np.random.default_rng(0), 4
    gates = {"GRU": 3, "LSTM": 4}[kind]
    row = SIDE * 3
    constants = {
        "divisor": np.float32(255),
        "rows": np.array([SIDE, 1, row]),
        "w": random.normal(size=(1, gates * hidden, row)).astype("f") / 10,
        "r": random.normal(size=(1, gates * hidden, hidden)).astype("f") / 4,
    }
    nodes = [
        helper.make_node("Div", ["image", "divisor"], ["scaled"], "scale"),
        helper.make_node("Transpose", ["scaled"], ["turned"], "turn", perm=[2, 0, 1, 3]),
        helper.make_node("Reshape", ["turned", "rows"], ["sequence"], "sequence"),
        helper.make_node(kind, ["sequence", "w", "r"], ["", "last"], "cell", hidden_size=hidden),
        helper.make_node("Relu", ["last"], ["scores"], "relu"),
    ]
    graph = helper.make_graph(
        nodes,
        kind,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1, hidden])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


@pytest.mark.parametrize(("kind", "precision"), [("GRU", "INT8_INT16_MIXED"), ("LSTM", "FP16")])
def test_recurrent_layers_are_unrolled(
    kind: str, precision: str, photos: Path, tmp_path: Path, convert4: Convert
) -> None:
    """As they stand, the vendor's library writes them into a DLC and then aborts on opening it."""
    path = saved(recurrent(kind), tmp_path / f"{kind}.onnx")
    teaches = [] if precision == "FP16" else ["--quantization-data", photos]
    made = Made.of(convert4(path, "--target-precision", precision, *teaches, "-o", tmp_path / "out"))
    assert made.outputs["scores"]["dims"] == [1, 1, 4]


def test_an_nn_archive_prefills_the_spec(photos: Path, tmp_path: Path, convert4: Convert) -> None:
    preprocessing = {"mean": [1, 2, 3], "scale": [4, 5, 6], "dai_type": "RGB888p"}
    path = archived(conv_model(), tmp_path / "small.tar.xz", preprocessing)
    made = Made.of(convert4(path, "--quantization-data", photos, "-o", tmp_path / "out"))
    (image,) = made.recipe["inputs"]
    assert (image["mean"], image["scale"], image["encoding_from"]) == ([1, 2, 3], [4, 5, 6], "RGB")
    assert made.inputs == [PIXELS]


# quantization


def test_a_tensor_of_its_own_width(small: Path, photos: Path, tmp_path: Path, convert4: Convert) -> None:
    options = ["--tensor", "scores=int16", "--quantization-data", photos]
    made = Made.of(convert4(small, *options, "-o", tmp_path / "out"))
    assert made.outputs["scores"]["dtype"] == "uint16"
    assert made.inputs == [PIXELS]


def test_custom_encodings_are_in_the_file(small: Path, photos: Path, tmp_path: Path, convert4: Convert) -> None:
    encodings = tmp_path / "encodings.json"
    scores = {"bitwidth": 8, "dtype": "int", "is_symmetric": "False", "scale": 0.5, "offset": -16}
    weight = {"bitwidth": 8, "dtype": "int", "is_symmetric": "True", "scale": 0.002, "offset": -128}
    document = {"activation_encodings": {"scores": [scores]}, "param_encodings": {"weight": [weight] * 4}}
    encodings.write_text(json.dumps(document))
    options = ["--target-precision", "CUSTOM", "--aimet-encodings", encodings, "--quantization-data", photos]
    made = Made.of(convert4(small, *options, "-o", tmp_path / "out"))
    assert (made.outputs["scores"]["scale"], made.outputs["scores"]["offset"]) == (0.5, -16)
    assert any("2 encodings come from encodings.json" in note for note in made.answer.result["notes"])


def test_no_more_images_calibrate_than_asked_for(small: Path, photos: Path, tmp_path: Path, convert4: Convert) -> None:
    options = ["--quantization-data", photos, "--max-quantization-images", "3", "--max-images", "2"]
    made = Made.of(convert4(small, *options, "-o", tmp_path / "out"))
    assert (len(made.recipe["calibration"]["sha256"]), len(made.recipe["images"])) == (3, 2)
    assert made.recipe["calibration"]["set"] == photos.name


def test_the_same_command_gives_the_same_bytes_and_another_seed_other_images(
    small: Path, photos: Path, tmp_path: Path, convert4: Convert
) -> None:
    options = ["--quantization-data", photos, "--max-quantization-images", "4"]
    first = Made.of(convert4(small, *options, "-o", tmp_path / "first"))
    again = Made.of(convert4(small, *options, "--no-cache", "-o", tmp_path / "again"))
    assert first.answer.result["sha256"] == again.answer.result["sha256"]
    other = Made.of(convert4(small, *options, "--seed", "1", "-o", tmp_path / "other"))
    assert other.recipe["calibration"]["sha256"] != first.recipe["calibration"]["sha256"]


def test_ranges_that_were_measured_are_not_measured_again(
    small: Path, photos: Path, tmp_path: Path, convert4: Convert
) -> None:
    Made.of(convert4(small, "--quantization-data", photos, "-o", tmp_path / "first"))
    made = Made.of(convert4(small, "--quantization-data", photos, "--tensor", "scores=int16", "-o", tmp_path / "again"))
    assert any("were measured before, on the same images" in note for note in made.answer.result["notes"])
    assert not [event for event in made.answer.events if event["stage"] == "calibrate" and event.get("total")]


def test_ranges_of_every_method(small: Path, photos: Path, tmp_path: Path, convert4: Convert) -> None:
    options = ["--quantization-data", photos, "--range-method", "percentile", "--per-tensor-weights"]
    made = Made.of(convert4(small, *options, "-o", tmp_path / "out"))
    assert made.recipe["calibration"]["method"] == "percentile"
    assert "--use_per_channel_quantization" not in made.build["cmd_info"]["snpe-dlc-quant"]


def test_a_search_says_what_it_found(small: Path, photos: Path, tmp_path: Path, convert4: Convert) -> None:
    options = ["--quantization-data", photos, "--quantizer-search", "--search-seconds", "20"]
    made = Made.of(convert4(small, *options, "-o", tmp_path / "out"))
    found = made.recipe["calibration"]["search"]
    assert found["curve"][0]["tensors"] == 0
    assert set(found["kept_in_16_bits"]) <= {item["tensor"] for item in found["most_sensitive"]}


def test_own_test_images_are_measured_on(small: Path, photos: Path, tmp_path: Path, convert4: Convert) -> None:
    others = tmp_path / "others"
    others.mkdir()
    for picture in sorted(photos.iterdir())[:2]:
        (others / picture.name).write_bytes(picture.read_bytes())
    made = Made.of(convert4(small, "--target-precision", "FP16", "--images", others, "-o", tmp_path / "out"))
    assert set(made.recipe["images"]) == {digest(path) for path in others.iterdir()}

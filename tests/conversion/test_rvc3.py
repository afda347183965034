"""Every parameter of a conversion to RVC3 does what it says, seen in the IR that comes out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from onnx import NodeProto, TensorProto, helper, numpy_helper
from PIL import Image

from tests.conversion.conftest import Answer, Convert, converter, own_home
from tests.conversion.makers import SIDE, archive_of, conv_model, saved, two_input_model
from tests.unit.graph.building import parse

FEW = ["--max-quantization-images", "6", "--max-images", "4"]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return saved(conv_model(), tmp_path / "small.onnx")


def layers(archive: Path) -> list[str]:
    """The types of an archive's IR, in order."""
    files = archive_of(archive)
    (name,) = [name for name in files if name.endswith(".xml")]
    return [layer.get("type", "") for layer in ElementTree.fromstring(files[name]).iter("layer")]


def checks(answer: Any) -> dict[str, float]:
    """The lowest SNR of each check, in dB."""
    found = answer.result["passport"]["checks"]
    return {check["name"]: min(float(output["snr_db"]) for output in check["outputs"]) for check in found}


@dataclass(frozen=True)
class Quantized:
    """A conversion in 8 bits, made once for all tests here, and what else may be asked in its home."""

    answer: Answer
    archive: Path
    convert: Convert
    words: list[str | Path]


@pytest.fixture(scope="module")
def quantized(photos: Path, rvc3_toolchains: None, tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    folder = tmp_path_factory.mktemp("quantized")
    convert = converter("rvc3", temporary=tmp_path_factory.mktemp("temporary"), OAKMILL_HOME=str(own_home(folder)))
    words: list[str | Path] = [saved(conv_model(), folder / "small.onnx"), "--quantization-data", photos, *FEW]
    answer = convert(*words, "-o", folder / "out")
    return Quantized(answer, folder / "out" / "small.rvc3.tar.xz", convert, words)


def test_the_result_is_an_archive_that_says_that_it_is_not_compiled(quantized: Quantized) -> None:
    answer = quantized.answer
    assert answer.exit_code == 0, answer.error
    files = archive_of(quantized.archive)
    assert sorted(files) == ["buildinfo.json", "config.json", "recipe.yaml", "small.rvc3.bin", "small.rvc3.xml"]
    build, recipe = json.loads(files["buildinfo.json"]), yaml.safe_load(files["recipe.yaml"])
    assert (build["status"], build["needs_compiler"]) == ("IR, not compiled", True)
    assert any(
        warning.startswith("IR, not compiled: no camera runs this file") for warning in answer.result["warnings"]
    )
    assert answer.result["passport"]["calibration"]["status"] == "IR, not compiled"
    assert answer.result["verdict"] == "warning"
    config = json.loads(files["config.json"])
    assert config["model"]["metadata"] == {"name": "small.rvc3", "path": "small.rvc3.xml", "precision": "int8"}
    assert (config["model"]["inputs"][0]["dtype"], config["model"]["inputs"][0]["layout"]) == ("float32", "NCHW")
    assert [record["name"] for record in recipe["toolchains"]] == ["rvc3/openvino-2022.3.2", "rvc3/nncf-3.4.0"]
    assert recipe["calibration"]["quantizer"] == "nncf 3.4.0, target NPU, preset mixed"
    assert len(recipe["calibration"]["sha256"]) == 6
    assert set(recipe["artefact"]) == {"name", "sha256", "sha256 of small.rvc3.bin"}
    assert layers(quantized.archive).count("FakeQuantize") == 1
    assert set(checks(answer)) == {"INT8", "FP16 weights"}


def test_the_bare_files_of_an_ir_are_two(small: Path, tmp_path: Path, convert3: Convert) -> None:
    words = [small, "--target-precision", "FP16", "--format", "native", "-o", tmp_path / "out"]
    assert convert3(*words).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"small.rvc3.{ending}" for ending in ("bin", "passport.html", "passport.json", "recipe.yaml", "xml")
    ]
    (tmp_path / "out" / "small.rvc3.xml").unlink()
    again = convert3(*words, "--name", "small.rvc3")
    assert (again.exit_code, again.error["code"]) == (9, "OutputExists")


def test_twice_gives_the_same_bytes(quantized: Quantized, tmp_path: Path) -> None:
    again = quantized.convert(*quantized.words, "-o", tmp_path / "again", OAKMILL_CACHE_MAX_MB="0")
    assert again.exit_code == 0
    assert archive_of(tmp_path / "again" / "small.rvc3.tar.xz") == archive_of(quantized.archive)


@pytest.mark.slow
def test_twice_by_pot_gives_the_same_bytes(small: Path, photos: Path, tmp_path: Path, convert3: Convert) -> None:
    for turn in ("first", "second"):
        words = ["--quantizer", "pot", "--quantization-data", photos, *FEW, "-o", tmp_path / turn]
        assert convert3(small, *words, OAKMILL_CACHE_MAX_MB="0").exit_code == 0
    files = [archive_of(tmp_path / turn / "small.rvc3.tar.xz") for turn in ("first", "second")]
    assert files[0] == files[1]


def test_a_quantized_network_comes_from_the_cache_when_only_its_name_is_new(
    quantized: Quantized, tmp_path: Path
) -> None:
    answer = quantized.convert(*quantized.words, "-o", tmp_path / "out", "--name", "other")
    assert any("reused from the cache: the quantized IR" in note for note in answer.result["notes"])


def test_fp16_quantizes_nothing(small: Path, tmp_path: Path, convert3: Convert) -> None:
    answer = convert3(small, "--target-precision", "FP16", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert "FakeQuantize" not in layers(tmp_path / "out" / "small.rvc3.tar.xz")
    found = checks(answer)
    assert set(found) == {"FP16 weights", "FP16 estimate"}
    assert found["FP16 weights"] > 50


def test_layers_stay_in_floating_point_where_that_is_asked(
    small: Path, photos: Path, tmp_path: Path, convert3: Convert
) -> None:
    words = ["--quantization-data", photos, *FEW, "-o", tmp_path / "out", "--overwrite"]
    answer = convert3(small, *words, "--ignored-name", "conv")
    assert answer.exit_code == 0, answer.error
    assert "FakeQuantize" not in layers(tmp_path / "out" / "small.rvc3.tar.xz")
    wrong = convert3(small, *words, "--ignored-type", "Conv")
    assert (wrong.exit_code, wrong.error["code"]) == (2, "SpecError")
    assert "there are" in wrong.error["message"]
    assert "Convolution" in wrong.error["message"]


def test_accuracy_control_tells_what_it_reached(small: Path, photos: Path, tmp_path: Path, convert3: Convert) -> None:
    words = ["--quantization-data", photos, "--max-quantization-images", "8", "--max-images", "2", "--accuracy-control"]
    answer = convert3(small, *words, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    control = answer.result["passport"]["calibration"]["control"]
    assert control["images"] == 2
    assert control["agreement"] >= 0.99
    assert control["reached"]


def folders_of_inputs(root: Path, count: int) -> Path:
    random = np.random.default_rng(0)
    for name in ("left", "right"):
        (root / name).mkdir(parents=True)
        for index in range(count):
            coarse = Image.fromarray(random.integers(0, 256, (4, 4, 3), np.uint8))
            coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(root / name / f"{index}.png")
    return root


@pytest.mark.parametrize("tool", ["nncf", pytest.param("pot", marks=pytest.mark.slow)])
def test_two_inputs_each_with_its_own_pictures_and_preprocessing(tool: str, tmp_path: Path, convert3: Convert) -> None:
    path = saved(two_input_model(), tmp_path / "stereo.onnx")
    data = folders_of_inputs(tmp_path / "pictures", 12)
    options = ["--mean-values", "left=1,2,3", "--scale-values", "right=2", "--encoding-from", "right=BGR"]
    answer = convert3(
        path, *options, "--quantizer", tool, "--quantization-data", data, "--max-quantization-images", "8",
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert answer.exit_code == 0, answer.error
    found = checks(answer)
    assert found["INT8"] > 20
    assert found["FP16 weights"] > 50
    reader = answer.result["passport"]["vendor_reader"]
    assert [port["name"] for port in reader["inputs"]] == ["left", "right"]


def test_mo_arguments_embed_the_preprocessing_and_end_the_network(
    small: Path, tmp_path: Path, convert3: Convert
) -> None:
    words = ["--mo-args", "--mean_values [1,2,3] --scale_values [4,5,6] --reverse_input_channels --output features"]
    answer = convert3(small, *words, "--target-precision", "FP16", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    recipe = yaml.safe_load((tmp_path / "out" / "small.rvc3.recipe.yaml").read_text())
    assert (recipe["inputs"][0]["mean"], recipe["inputs"][0]["scale"]) == ([1, 2, 3], [4, 5, 6])
    assert "--mean_values" in recipe["commands"][0]
    assert [port["name"] for port in answer.result["passport"]["vendor_reader"]["outputs"]] == ["features"]


@pytest.mark.parametrize(
    ("mean", "opset"),
    [("y = ReduceMean<keepdims=1>(x, a)", 18), ("b = Gelu(x) y = ReduceMean<keepdims=1>(b, a)", 20)],
    ids=["ReduceMean-18", "Gelu-20"],
)
def test_newer_opsets_are_lowered_to_what_mo_reads_rightly(
    mean: str, opset: int, tmp_path: Path, convert3: Convert
) -> None:
    model = parse(mean, inputs="float[1,3,16,16] x", constants="int64[1] a = {1}", opset=opset)
    answer = convert3(saved(model, tmp_path / "m.onnx"), "--target-precision", "FP16", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert checks(answer)["FP16 weights"] > 50


def recurrent(op: str, gates: int) -> tuple[list[NodeProto], list[TensorProto]]:
    """A layer over the tensor `steps`, to an output of its name; and its weights."""
    random = np.random.default_rng(0)
    sizes = {"w": [1, gates * 8, 48], "r": [1, gates * 8, 8], "b": [1, 2 * gates * 8]}
    weights = [numpy_helper.from_array((random.normal(size=s) * 0.2).astype("f"), op + n) for n, s in sizes.items()]
    names = [weight.name for weight in weights]
    layer = helper.make_node(op, ["steps", *names], ["", f"{op}_last"], f"{op}_layer", hidden_size=8)
    return [layer, helper.make_node("Squeeze", [f"{op}_last", "zero"], [op], f"{op}_squeeze")], weights


def test_recurrent_layers_are_mo_s_own(photos: Path, tmp_path: Path, convert3: Convert) -> None:
    model, layers = conv_model(), {"GRU": 3, "LSTM": 4, "RNN": 1}
    graph = model.graph
    del graph.node[:], graph.initializer[:], graph.output[:]
    graph.node.append(helper.make_node("Mul", ["image", "k"], ["s"], "scaled"))
    graph.node.append(helper.make_node("Reshape", ["s", "shape"], ["steps"], "steps"))
    constants = {"k": np.array(0.005, np.float32), "shape": np.array([16, 1, 48]), "zero": np.array([0])}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    for op, gates in layers.items():
        nodes, weights = recurrent(op, gates)
        graph.node.extend(nodes)
        graph.initializer.extend(weights)
        graph.output.append(helper.make_tensor_value_info(op, TensorProto.FLOAT, [1, 8]))
    answer = convert3(saved(model, tmp_path / "r.onnx"), "--quantization-data", photos, *FEW, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert {output["name"] for output in answer.result["passport"]["checks"][0]["outputs"]} == set(layers)
    assert checks(answer)["FP16 weights"] > 40
    assert checks(answer)["INT8"] > 15


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--target-precision", "INT16"], "SpecError", "RVC3 has INT8_STANDARD, FP16_STANDARD and AUTO"),
        (["--mo-args", "--extensions /tmp"], "ArgumentRefused", "runs code|run code"),
        (["--compile-tool-args", "-m x"], "ArgumentRefused", "the conversion sets it"),
        (["--shaves", "8"], "SpecError", "--shaves does not apply to a conversion to rvc3"),
        (["--ignored-type", "a.*"], "SpecError", "--ignored-type"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_at_once(
    options: list[str], code: str, words: str, small: Path, tmp_path: Path, convert3: Convert
) -> None:
    answer = convert3(small, *options, "-o", tmp_path / "out")
    assert (answer.exit_code, answer.error["code"]) == (2, code)
    assert any(word in answer.error["message"] for word in words.split("|")), answer.error


def test_a_compile_tool_that_is_not_there_is_told_before_the_work(
    small: Path, tmp_path: Path, convert3: Convert
) -> None:
    answer = convert3(small, "-o", tmp_path / "out", OAKMILL_RVC3_COMPILE_TOOL=str(tmp_path / "none"))
    assert (answer.exit_code, answer.error["code"]) == (6, "ToolchainMissing")

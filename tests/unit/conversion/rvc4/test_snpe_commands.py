from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4.snpe_commands import (
    convert_words,
    equal_commands,
    quant_words,
    write_input_list,
    write_overrides,
)
from oakmill.spec import Precision, Rvc4Spec
from oakmill.toolchains.rvc4.snpe_arguments import SnpeOptions, read
from oakmill.toolchains.rvc4.snpe_options import GRAPH_PREPARE, ONNX_TO_DLC, QUANT
from tests.unit.conversion.preparing import classifier, numbers_input, picture_input, prepared, samples_of

PIXELS = {"bitwidth": 8, "min": 0.0, "max": 255.0, "scale": 1.0, "offset": 0, "is_symmetric": "False"}


@pytest.fixture(scope="module")
def made() -> Prepared:
    return prepared(classifier())


def test_the_converter_is_told_the_boundary(made: Prepared) -> None:
    assert convert_words(Rvc4Spec(), SnpeOptions(), made) == [
        "--input_dim", "image", "1,8,8,3", "--input_layout", "image", "NHWC",
        "--out_node", "map", "--out_node", "means",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("precision", "there"), [("FP16_STANDARD", True), ("FP32_STANDARD", False), ("INT8_STANDARD", False)]
)
def test_half_is_said_to_the_converter(precision: str, there: bool, made: Prepared) -> None:
    words = convert_words(Rvc4Spec(target_precision=Precision(precision)), SnpeOptions(), made)
    assert (words[-2:] == ["--float_bitwidth", "16"]) is there


def test_the_users_own_words_come_last(made: Prepared) -> None:
    options = read(["--keep_quant_nodes"], ["--algorithms", "cle"], sdk=True)
    assert convert_words(Rvc4Spec(), options, made)[-1] == "--keep_quant_nodes"
    assert quant_words(Rvc4Spec(), options)[:2] == ["--algorithms", "cle"]


def test_a_width_that_the_user_gave_is_not_said_twice(made: Prepared) -> None:
    spec = Rvc4Spec(target_precision=Precision.FP16_STANDARD)
    assert convert_words(spec, read(["--float_bitwidth", "16"], sdk=True), made).count("--float_bitwidth") == 1
    assert "--float_bitwidth" not in convert_words(spec, read(["--float_bw", "16"], sdk=True), made)


@pytest.mark.parametrize(
    ("precision", "words"),
    [
        ("INT8_STANDARD", ["--use_per_channel_quantization"]),
        ("INT8_INT16_MIXED", ["--use_per_channel_quantization", "--act_bitwidth", "16"]),
        ("INT16_STANDARD", ["--act_bitwidth", "16", "--weights_bitwidth", "16"]),
    ],
)
def test_the_quantizer_is_told_the_precision_and_that_pixels_stay(precision: str, words: list[str]) -> None:
    found = quant_words(Rvc4Spec(target_precision=Precision(precision)), SnpeOptions())
    assert found == [*words, "--override_params"]


def test_overrides_are_asked_for_once(tmp_path: Path) -> None:
    spec = Rvc4Spec(target_precision=Precision.CUSTOM, aimet_encodings=tmp_path / "e.json")
    assert quant_words(spec, SnpeOptions()).count("--override_params") == 1


@pytest.mark.parametrize(
    ("precision", "cache", "tools"),
    [
        ("FP16_STANDARD", False, [ONNX_TO_DLC]),
        ("FP16_STANDARD", True, [ONNX_TO_DLC, GRAPH_PREPARE]),
        ("INT8_STANDARD", False, [ONNX_TO_DLC, QUANT]),
        ("INT8_STANDARD", True, [ONNX_TO_DLC, QUANT, GRAPH_PREPARE]),
    ],
)
def test_each_tool_reads_what_the_one_before_it_writes(
    precision: str, cache: bool, tools: list[str], made: Prepared
) -> None:
    """All but the last had no output, and none of the later ones an input."""
    spec = Rvc4Spec(target_precision=Precision(precision), device_runtime="2.51")
    commands = equal_commands(spec, SnpeOptions(), made, "net.dlc", cache=cache)
    assert list(commands) == tools
    written = "prepared.onnx"
    for tool, words in commands.items():
        assert words[:3] == [tool, "--input_network" if tool == ONNX_TO_DLC else "--input_dlc", written]
        assert words[-2] == ("--output_path" if tool == ONNX_TO_DLC else "--output_dlc")
        written = words[-1]
    assert written == "net.dlc"


def test_what_quantizes_is_told_of_the_images_and_the_encodings_of_pixels(made: Prepared) -> None:
    commands = equal_commands(Rvc4Spec(), SnpeOptions(), made, "net.dlc", cache=False)
    assert commands[ONNX_TO_DLC][3:5] == ["--quantization_overrides", "overrides.json"]
    assert commands[QUANT][3:5] == ["--input_list", "images.txt"]


def test_every_sample_is_a_line_of_files_by_input(tmp_path: Path) -> None:
    pictures = SampleSet.generated([picture_input("left"), numbers_input("a:0")], 3, 0)
    path = write_input_list(tmp_path / "images", pictures)
    lines = path.read_text().splitlines()
    assert len(lines) == 3
    for line, sample in zip(lines, pictures, strict=True):
        named = dict(word.split(":=") for word in line.split(" "))
        assert set(named) == {"left", "a:0"}
        for name, file in named.items():
            assert Path(file).is_absolute()
            np.testing.assert_array_equal(np.fromfile(file, np.float32), sample[name].ravel())


def overrides(tmp_path: Path, own: dict[str, Any] | None) -> dict[str, Any]:
    source = None
    if own is not None:
        source = tmp_path / "own.json"
        source.write_text(json.dumps(own))
    found: dict[str, Any] = json.loads(write_overrides(tmp_path / "out.json", ["image"], source).read_text())
    return found


def test_without_encodings_of_the_users_pixels_alone_have_some(tmp_path: Path) -> None:
    assert overrides(tmp_path, None) == {"activation_encodings": {"image": [PIXELS]}, "param_encodings": {}}


def test_pixels_win_over_the_users_encodings(tmp_path: Path) -> None:
    own = {"activation_encodings": {"image": [{"scale": 3}], "out": [{"scale": 2}]}, "param_encodings": {"w": [1]}}
    found = overrides(tmp_path, own)
    assert found["activation_encodings"] == {"image": [PIXELS], "out": [{"scale": 2}]}
    assert found["param_encodings"] == {"w": [1]}


def test_pixels_win_in_the_form_of_lists_too(tmp_path: Path) -> None:
    """In AIMET's form 1.0 they had no encoding at all."""
    own = {"version": "1.0.0", "activation_encodings": [{"name": "image", "scale": [3]}, {"name": "out"}]}
    out, image = overrides(tmp_path, own)["activation_encodings"]
    assert out == {"name": "out"}
    assert (image["name"], image["scale"], image["offset"], image["bw"]) == ("image", [1.0], [0], 8)


def test_samples_of_a_prepared_model_fit_its_boundary(made: Prepared, tmp_path: Path) -> None:
    write_input_list(tmp_path / "images", samples_of(made, 1))
    assert (tmp_path / "images" / "0_0.raw").stat().st_size == 8 * 8 * 3 * 4

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from oakmill.cli.config_file import Reading, is_config, read_config
from oakmill.cli.fetching import FetchFailed, FetchRefused
from oakmill.cli.options import build_spec
from oakmill.errors import SpecError
from oakmill.settings import Settings
from oakmill.spec import Encoding, Precision, Resize, Rvc2Spec, Rvc3Spec, Rvc4Spec
from oakmill.spec.yaml_blocks import Request

FULL = """
name: my_model
rich_logging: true
stages:
  only:
    input_model: models/net.onnx
    encoding: {from: RGB, to: BGR}
    calibration: {path: images, max_images: -1, resize_method: RESIZE}
    mean_values: imagenet
    scale_values: imagenet
    shape: ~
    layout: nchw
    output_remote_url: ~
    keep_intermediate_outputs: true
    onnx_simplification: onnxsim
    onnx_optimizations: {fuse_add_mul_to_bn: true}
    inputs:
      - name: left
        shape: [0, 3, 64, 64]
        encoding: GRAY
        scale_values: 255
      - name: right
        mean_values: [1, 2, 3]
        calibration: {max_images: 7, resize_method: pad}
        reverse_input_channels: false
    outputs:
      - name: scores
      - {name: boxes, shape: [1, 4], data_type: float32}
    hailo: {optimization_level: 2, alls: []}
    rvc2:
      number_of_shaves: 6
      superblob: false
      mo_args: [--compress_to_fp16=True]
      compile_tool_args: ["-il", "NHWC"]
      compress_to_fp16: true
      n_workers: 3
    rvc3: {pot_target_device: ANY, mo_args: [--silent], compress_to_fp16: true, disable_calibration: true}
    rvc4:
      snpe_onnx_to_dlc_args: []
      snpe_dlc_quant_args: [--act_bitwidth=16]
      use_per_channel_quantization: false
      use_per_row_quantization: true
      htp_socs: [sm8550]
      optimization_level: 3
      quantization_mode: INT8_INT16_MIXED
      keep_raw_images: false
      encodings: ~
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/net.onnx").write_bytes(b"\x08\x07")
    (tmp_path / "images").mkdir()
    return tmp_path


def read(folder: Path, text: str, platform: str = "rvc4", **reading: Any) -> Request:
    path = folder / "config.yaml"
    path.write_text(text)
    settings = Settings(home=folder / "home", **reading.pop("settings", {}))
    return read_config(path, platform, Reading(settings, **reading))


def one(**keys: Any) -> str:
    return "input_model: models/net.onnx\n" + "".join(f"{key}: {value}\n" for key, value in keys.items())


def test_every_documented_key_reaches_its_parameter_for_rvc2(folder: Path) -> None:
    text = FULL.replace("calibration: {max_images: 7, resize_method: pad}", "data_type: float32")
    asked = read(folder, text, "rvc2")
    spec = build_spec(Rvc2Spec, {}, asked.values)

    assert asked.model == folder / "models/net.onnx"
    assert spec.name == "my_model"
    assert spec.outputs == ("scores", "boxes")
    assert (spec.blob, spec.number_of_shaves) == (True, 6)
    assert spec.mo_args == ("--compress_to_fp16=True",)
    assert spec.compile_tool_args == ("-il", "NHWC")
    left, right = spec.inputs
    assert (left.name, left.shape, left.layout) == ("left", (1, 3, 64, 64), "NCHW")
    assert (left.encoding_from, left.encoding_to) == (Encoding.GRAY, Encoding.GRAY)
    assert (left.mean_values, left.scale_values) == ((123.675, 116.28, 103.53), (255,))
    assert (right.mean_values, right.scale_values) == ((1, 2, 3), (58.395, 57.12, 57.375))
    assert (right.encoding_from, right.encoding_to) == (Encoding.BGR, Encoding.BGR)
    told = {note.partition(":")[0] for note in asked.notes}
    assert told == {
        "data_type", "outputs.shape", "outputs.data_type", "onnx_simplification", "onnx_optimizations",
        "keep_intermediate_outputs", "calibration", "rvc2.compress_to_fp16", "rvc2.n_workers",
    }  # fmt: skip


def test_rvc4_takes_its_block_and_the_calibration(folder: Path) -> None:
    text = FULL.replace("        calibration: {max_images: 7, resize_method: pad}\n", "")
    spec = build_spec(Rvc4Spec, {}, read(folder, text).values)

    assert spec.quantization_data == str(folder / "images")
    assert (spec.max_quantization_images, spec.resize) == (65536, Resize.STRETCH)
    assert spec.target_precision is Precision.INT8_INT16_MIXED
    assert spec.snpe_dlc_quant_args == ("--act_bitwidth=16", "--use_per_row_quantization")
    assert spec.snpe_dlc_graph_prepare_args == ()
    assert read(folder, text, prepares=True).values["snpe_dlc_graph_prepare_args"] == ("--optimization_level=3",)
    assert (spec.per_tensor_weights, spec.htp_socs) == (True, ("sm8550",))


def test_custom_is_what_modelconverters_users_mean_by_it(folder: Path) -> None:
    """CUSTOM wanted a file of AIMET's, where it means the user's own arguments of snpe-dlc-quant."""
    args = "[--act_bitwidth=16, --weights_bitwidth=8]"
    asked = read(folder, one(rvc4=f"{{quantization_mode: CUSTOM, snpe_dlc_quant_args: {args}}}"))
    spec = build_spec(Rvc4Spec, {}, asked.values)
    assert spec.target_precision is Precision.INT8_STANDARD
    assert spec.snpe_dlc_quant_args == ("--act_bitwidth=16", "--weights_bitwidth=8")
    assert any("CUSTOM" in note for note in asked.notes)


@pytest.mark.parametrize("said", ["{activation_encodings: {}, param_encodings: {w: [{bitwidth: 8}]}}", None])
def test_encodings_may_stand_in_the_configuration(folder: Path, said: str | None) -> None:
    said = said or """'{"activation_encodings": {}, "param_encodings": {"w": [{"bitwidth": 8}]}}'"""
    spec = build_spec(Rvc4Spec, {}, read(folder, one(rvc4=f"{{encodings: {said}}}")).values)
    assert spec.target_precision is Precision.CUSTOM and spec.aimet_encodings
    assert json.loads(spec.aimet_encodings.read_text())["param_encodings"] == {"w": [{"bitwidth": 8}]}
    again = build_spec(Rvc4Spec, {}, read(folder, one(rvc4=f"{{encodings: {said}}}")).values)
    assert again.aimet_encodings == spec.aimet_encodings


def test_older_chips_are_told_and_not_refused(folder: Path) -> None:
    asked = read(folder, one(rvc4="{htp_socs: [sm8350, qcs8550, qcs6490], optimization_level: 3}"))
    spec = build_spec(Rvc4Spec, {}, asked.values)
    assert (spec.htp_socs, spec.raw_layout) == (("qcs8550",), "NHWC")
    assert sum(note.startswith("rvc4.htp_socs") for note in asked.notes) == 2
    assert build_spec(Rvc4Spec, {}, read(folder, one(rvc4="{htp_socs: [sm8350]}")).values).htp_socs == ("qcs8550",)


def test_images_are_stretched_where_nothing_is_said_as_there(folder: Path) -> None:
    asked = read(folder, one(calibration="{path: images}"))
    assert build_spec(Rvc4Spec, {}, asked.values).resize is Resize.STRETCH
    assert any(note.startswith("calibration.resize_method") for note in asked.notes)


def test_paths_begin_at_the_root_of_a_tree(folder: Path) -> None:
    """Their trees have configs/ beside models/ and calibration_data/: nothing was found."""
    (folder / "configs").mkdir()
    with pytest.raises(SpecError) as caught:
        read(folder / "configs", one(calibration="{path: images}"))
    assert "--root FOLDER" in caught.value.remedy
    asked = read(folder / "configs", one(calibration="{path: images}"), root=folder)
    assert asked.model == folder / "models/net.onnx"
    assert asked.values["quantization_data"] == str(folder / "images")
    with pytest.raises(SpecError, match="outside"):
        read(folder / "configs", "input_model: ../../net.onnx", root=folder)
    (folder / "configs" / "beside.onnx").write_bytes(b"x")
    assert read(folder / "configs", "input_model: beside.onnx", root=folder).model.name == "beside.onnx"


def test_one_of_several_stages_is_converted_by_its_name(folder: Path) -> None:
    text = """
name: pair
encoding: BGR
stages:
  detect: {input_model: models/net.onnx, scale_values: 255}
  read: {input_model: models/net.onnx, mean_values: 1}
"""
    with pytest.raises(SpecError) as caught:
        read(folder, text)
    assert "--stage detect and --stage read" in caught.value.remedy
    spec = build_spec(Rvc4Spec, {}, read(folder, text, stage="read").values)
    assert (spec.name, spec.inputs[0].mean_values, spec.inputs[0].scale_values) == ("read", (1,), None)
    assert spec.inputs[0].encoding_from is Encoding.BGR
    with pytest.raises(SpecError, match="no stage 'other'"):
        read(folder, text, stage="other")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_what_the_operator_allows_is_fetched(folder: Path) -> None:
    with serving(folder) as url:
        text = f"input_model: {url}/models/net.onnx"
        with pytest.raises(FetchRefused, match="nothing is fetched"):
            read(folder, text)
        with pytest.raises(FetchRefused, match="private network"):
            read(folder, text, settings={"fetch_from": ("*",)})
        asked = read(folder, text, settings={"fetch_from": ("127.0.0.1",)})
        assert asked.model.name == "net.onnx" and asked.model.read_bytes() == b"\x08\x07"
        with pytest.raises(FetchFailed, match="404"):
            read(folder, f"{text}2", settings={"fetch_from": ("127.0.0.1",)})
        with pytest.raises(FetchFailed, match="source_max_mb"):
            (folder / "models/net.onnx").write_bytes(bytes(2 << 20))
            read(folder, text, settings={"fetch_from": ("127.0.0.1",), "source_max_mb": 1})


def test_a_redirection_to_a_private_machine_is_not_followed(folder: Path) -> None:
    class Leads(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", "http://localhost:9/net.onnx")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Leads) as server:
        threading.Thread(target=server.handle_request).start()
        text = f"input_model: http://127.0.0.1:{server.server_port}/net.onnx"
        with pytest.raises(FetchRefused):
            read(folder, text, settings={"fetch_from": ("127.0.0.1", "*")})


def test_rvc3_takes_its_block(folder: Path) -> None:
    text = FULL.replace("        calibration: {max_images: 7, resize_method: pad}\n", "")
    spec = build_spec(Rvc3Spec, {}, read(folder, text, "rvc3").values)

    assert (spec.pot_target_device, spec.mo_args) == ("ANY", ("--silent",))
    assert spec.target_precision is Precision.FP16_STANDARD


def test_a_configuration_without_stages_is_the_only_one(folder: Path) -> None:
    asked = read(folder, one(encoding="BGR", scale_values=255, disable_onnx_simplification="true"))
    spec = build_spec(Rvc4Spec, {}, asked.values)

    assert spec.disable_onnx_simplification
    (only,) = spec.inputs
    assert (only.name, only.encoding_from, only.encoding_to) == (None, Encoding.BGR, Encoding.BGR)
    assert only.scale_values == (255,)


def test_options_win_over_the_file(folder: Path) -> None:
    asked = read(
        folder, one(mean_values="[1, 2, 3]", scale_values=255, rvc2="{number_of_shaves: 6, superblob: false}"), "rvc2"
    )
    options = {"mean_values": ("x=4,5,6",), "number_of_shaves": "4", "outputs": ("y",)}

    spec = build_spec(Rvc2Spec, options, asked.values)

    (only,) = spec.inputs
    assert (only.name, only.mean_values, only.scale_values) == ("x", (4, 5, 6), (255,))
    assert (spec.number_of_shaves, spec.blob, spec.outputs) == (4, True, ("y",))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"calibration": "{path: s3://bucket/images}"}, "calibration.path.*nothing is fetched"),
        ({"calibration": "{path: gs://bucket/images}"}, "calibration.path.*nothing is fetched"),
        ({"calibration": "{path: coco:val}"}, "NAME:SPLIT"),
        ({"calibration": "{path: /etc}"}, "calibration.path.*outside the configuration's folder"),
        ({"calibration": "{path: ../..}"}, "calibration.path.*outside"),
        ({"calibration": "{path: link}"}, "calibration.path.*outside"),
        ({"calibration": "{path: nothing}"}, "there is no such file"),
        ({"calibration": "{stage: a, script: 'import os'}"}, "calibration.s(tage|cript)"),
        ({"calibration": "{script: run.py}"}, "calibration.script.*none is run"),
        ({"calibration": "{mean: 3}"}, "calibration.mean.*distribution"),
        ({"calibration": "{max_images: many, path: images}"}, "not a whole number"),
        ({"output_remote_url": "s3://x"}, "output_remote_url.*results stay"),
        ({"put_file_plugin": "x"}, "put_file_plugin.*plugin"),
        ({"yolo_input_shape": "640"}, "yolo_input_shape.*PyTorch"),
        ({"inputs": "[{name: x, frozen_value: [1]}]"}, "inputs.frozen_value.*constant"),
        ({"inputs": "[{name: x, freeze_value: 1}]"}, "inputs.freeze_value.*constant"),
        ({"inputs": "[{shape: [1]}]"}, "has no name"),
        ({"mean_value": "1"}, "unknown key 'mean_value'"),
        ({"rvc4": "{snpe_dlc_quant_arg: []}"}, "unknown key 'rvc4.snpe_dlc_quant_arg'"),
        ({"rvc2": "{shaves: 3}"}, "unknown key 'rvc2.shaves'"),
        ({"rvc4": "{normalize_io_encodings: false}"}, "rvc4.normalize_io_encodings"),
        ({"rvc4": "{encodings: '{a: 1'}"}, "rvc4.encodings is not JSON"),
        ({"rvc4": "{encodings: [1]}"}, "rvc4.encodings.*not keys with values"),
        ({"rvc4": "{encodings: ../a.json}"}, "rvc4.encodings.*outside"),
        ({"rvc4": "[1]"}, "not keys with values"),
        ({"mean_values": "imagent"}, "neither numbers nor the word imagenet"),
        ({"encoding": "RGB", "reverse_input_channels": "true"}, "say the same"),
        ({"onnx_simplification": "hard"}, "onnxsim, onnxslim or false"),
        ({"stages": "{a: {}, b: {}}"}, r"2 stages \(a, b\); converted is one model"),
    ],
)
def test_what_is_unsafe_unknown_or_impossible_is_refused_by_name(
    folder: Path, keys: dict[str, str], words: str
) -> None:
    (folder / "link").symlink_to("/etc")
    with pytest.raises(SpecError, match=words):
        read(folder, one(**keys))


def test_a_model_elsewhere_is_refused(folder: Path) -> None:
    for text, words in (
        ("input_model: https://example.invalid/net.onnx", "'input_model'.*nothing is fetched"),
        ("input_model: /etc/passwd", "'input_model'.*outside"),
        ('input_model: "a\\0b"', "outside|YAML"),
        ("name: x\ninputs: []", "names no input_model"),
    ):
        with pytest.raises(SpecError, match=words):
            read(folder, text)


def test_close_matches_are_offered(folder: Path) -> None:
    with pytest.raises(SpecError) as caught:
        read(folder, one(scale_value=255))
    assert caught.value.remedy.startswith("did you mean scale_values")


def test_different_calibration_of_inputs_is_refused(folder: Path) -> None:
    with pytest.raises(SpecError, match="different calibration data"):
        read(folder, FULL)


def bomb() -> str:
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    return f"input_model: x\na0: &a0 [x]\n{levels}"


def merging_bomb() -> str:
    levels = "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 12))
    return f"input_model: x\na0: &a0 {{x: 1}}\n{levels}"


@pytest.mark.parametrize(
    "text",
    [
        bomb(),
        merging_bomb(),
        "stages: &a {b: *a}",
        "input_model: " + "[" * 700,
        "input_model: x\n" + "{a: " * 300 + "}" * 300,
        "input_model: x\nname: !!python/object/apply:os.system [id]",
        "input_model: x\ninput_model: y",
        "input_model: x\nshape: " + "9" * 60_000,
        "input_model: x\nshape: " + "1:" * 30_000 + "1",
        "input_model: x\nname: [unclosed",
        "input_model: x\n" * 10_000,
        "- a\n- b",
        "",
    ],
    ids=range(13),
)
def test_hostile_yaml_is_refused_at_once(folder: Path, text: str) -> None:
    began = time.monotonic()
    with pytest.raises(SpecError):
        read(folder, text)
    assert time.monotonic() - began < 60


def test_a_recipe_is_told_apart(folder: Path) -> None:
    with pytest.raises(SpecError, match="is the recipe of a conversion") as caught:
        read(folder, "recipe_version: 1")
    assert caught.value.remedy == "oakmill replay config.yaml"


def test_it_is_known_by_content(folder: Path) -> None:
    named = folder / "config"
    named.write_text("# mine\ninput_model: x\n")
    assert is_config(named)
    assert not is_config(folder / "models/net.onnx")
    assert not is_config(folder / "missing.yaml")
    assert not is_config(folder)


def test_the_weights_of_an_ir_lie_beside_it(folder: Path) -> None:
    for name in ("net.xml", "net.bin", "other.bin"):
        (folder / "models" / name).touch()
    text = "input_model: models/net.xml\ninput_bin: models/{}.bin"

    assert read(folder, text.format("net")).model == folder / "models/net.xml"
    with pytest.raises(SpecError, match=r"must be called net\.bin"):
        read(folder, text.format("other"))

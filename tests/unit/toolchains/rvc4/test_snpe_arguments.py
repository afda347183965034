"""SNPE arguments: what Oakmill carries out, what goes to the user's own SDK, and what is refused by name."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from oakmill.errors import ArgumentRefused, SpecError
from oakmill.spec.inputs import Encoding, InputSpec
from oakmill.spec.quantization import Precision, RangeMethod
from oakmill.spec.rvc4 import Rvc4Spec
from oakmill.toolchains.rvc4 import snpe_spec
from oakmill.toolchains.rvc4.snpe_arguments import SnpeOptions, read
from oakmill.toolchains.rvc4.snpe_options import ALIASES, GRAPH_PREPARE, KNOWN, ONNX_TO_DLC, QUANT
from oakmill.toolchains.rvc4.snpe_words import Way


def snpe(onnx: str = "", quant: str = "", prepare: str = "", *, sdk: bool = False, files: bool = True) -> SnpeOptions:
    return read(shlex.split(onnx), shlex.split(quant), shlex.split(prepare), sdk=sdk, files=files)


def asked(tool: str, line: str, *, sdk: bool) -> SnpeOptions:
    return snpe(*(line if tool == known else "" for known in (ONNX_TO_DLC, QUANT, GRAPH_PREPARE)), sdk=sdk)


def refusal(tool: str, line: str, *, sdk: bool) -> ArgumentRefused:
    with pytest.raises(ArgumentRefused) as caught:
        asked(tool, line, sdk=sdk)
    return caught.value


EXAMPLES: dict[str, str] = {
    "--out_node": "boxes", "--input_dim": "image 1,3,224,224", "--input_layout": "image NCHW",
    "--input_encoding": "image bgr rgb", "--quantization_overrides": __file__, "--float_bitwidth": "32",
    "--float_bw": "32", "--float_bias_bitwidth": "16", "--float_bias_bw": "16", "--input_dtype": "image float32",
    "--input_type": "image image", "--preserve_io": "layout image boxes", "--apply_masked_softmax": "compressed",
    "--packed_masked_softmax_inputs": "ids mask", "--packed_max_seq": "2", "--debug": "3", "--model_version": "1.2",
    "--validation_target": "dsp snapdragon_835", "--act_bitwidth": "16", "--weights_bitwidth": "8", "--bitwidth": "8",
    "--bias_bitwidth": "32", "--act_quantizer": "enhanced", "--param_quantizer": "symmetric",
    "--act_quantizer_calibration": "mse", "--param_quantizer_calibration": "min-max",
    "--act_quantizer_schema": "asymmetric", "--param_quantizer_schema": "symmetric",
    "--percentile_calibration_value": "99.9", "--algorithms": "cle", "--optimizations": "cle",
    "--restrict_quantization_steps": "-0x80,0x7F", "--htp_socs": "qcs8550,sm8650", "--set_output_tensors": "a,b",
    "--set_output_layers": "a", "--htp_archs": "v73", "--vtcm_override": "4", "--optimization_level": "3",
    "--buffer_data_type": "image=fixedPoint8", "--htp_dlbc": "false", "--num_hvx_threads": "4",
    "--memorymapped_buffer_hint": "false", "--log-mask": "'.*=INFO, NDK=DEBUG2'",
}  # fmt: skip
"""A valid value for each option that takes one."""

ALL = [(tool, name) for tool, known in KNOWN.items() for name in known]


@pytest.mark.parametrize(("tool", "name"), ALL)
def test_no_known_option_is_dropped(tool: str, name: str) -> None:
    """Each, given alone and rightly, sets a field, goes to the SDK, is noted as done anyway, or is refused by name."""
    described = KNOWN[tool][name]
    line = f"{name} {EXAMPLES[name]}" if described.values else name
    if described.way is Way.NEVER:
        for sdk in (False, True):
            assert name in refusal(tool, line, sdk=sdk).message
        return
    with_sdk = asked(tool, line, sdk=True)
    if described.way is not Way.OURS:
        assert with_sdk.words[tool][0].partition("=")[0] == name
    if described.way is Way.SDK:
        error = refusal(tool, line, sdk=False)
        assert name in error.message
        assert "--qairt-root" in error.remedy
        return
    without = asked(tool, line, sdk=False)
    assert without != SnpeOptions()
    assert without.words == {}


@pytest.mark.parametrize("tool", list(KNOWN))
def test_every_refusal_has_a_reason_and_every_form_a_help(tool: str) -> None:
    for name, described in KNOWN[tool].items():
        assert described.why or described.way in (Way.OURS, Way.MAPPED), name
        assert described.help or not described.values or described.way is Way.NEVER, name
    assert set(ALIASES[tool].values()) <= set(KNOWN[tool])


@pytest.mark.parametrize(
    ("tool", "line", "fields"),
    [
        (ONNX_TO_DLC, "-d image 1,3,8,8 --input_dim=x 1", None),
        (ONNX_TO_DLC, "-d image 1,3,8,8 -d mask 1,8", {"shapes": {"image": (1, 3, 8, 8), "mask": (1, 8)}}),
        (ONNX_TO_DLC, "-l image NHWC", {"layouts": {"image": "NHWC"}}),
        (ONNX_TO_DLC, "-e image rgb", {"encodings": {"image": (Encoding.RGB, Encoding.BGR)}}),
        (ONNX_TO_DLC, "-e image bgr rgb", {"encodings": {"image": (Encoding.BGR, Encoding.RGB)}}),
        (ONNX_TO_DLC, "-e data other", {"encodings": {"data": (Encoding.NONE, Encoding.NONE)}}),
        (ONNX_TO_DLC, "--out_name b --out_node /model/a_0:1", {"outputs": ("b", "/model/a_0:1")}),
        (ONNX_TO_DLC, "-n", {"disable_simplification": True}),
        (ONNX_TO_DLC, "--float_bitwidth=16", {"float_bits": 16}),
        (QUANT, "--act_bitwidth 16", {"activation_bits": 16}),
        (QUANT, "--bitwidth 16", {"activation_bits": 16, "weight_bits": 16}),
        (QUANT, "--use_per_channel_quantization --use_per_row_quantization", {"per_tensor_weights": False}),
        (QUANT, "--act_quantizer tf", {"range_method": RangeMethod.MINMAX}),
        (QUANT, "--act_quantizer enhanced", {"range_method": RangeMethod.MSE}),
        (QUANT, "--act_quantizer_calibration sqnr", {"range_method": RangeMethod.MSE}),
        (
            QUANT,
            "--act_quantizer_calibration percentile --percentile_calibration_value 99.99",
            {"range_method": RangeMethod.PERCENTILE, "percentile": 99.99},
        ),
        (QUANT, "--param_quantizer symmetric", {"symmetric_weights": True}),
        (QUANT, "--htp_socs sm8550,qcs8550,sm8550", {"socs": ("sm8550", "qcs8550")}),
        (GRAPH_PREPARE, "--set_output_tensors a,b", {"outputs": ("a", "b")}),
        (
            GRAPH_PREPARE,
            "--optimization_level 3",
            {"optimization_level": 3, "cache_arguments": ("--optimization_level",)},
        ),
        (GRAPH_PREPARE, "--vtcm_override 4", {"vtcm_mb": 4, "cache_arguments": ("--vtcm_override",)}),
        (GRAPH_PREPARE, "--vtcm_override 0", {"vtcm_mb": None, "cache_arguments": ("--vtcm_override",)}),
    ],
)
def test_what_oakmill_carries_out_itself(tool: str, line: str, fields: dict[str, Any] | None) -> None:
    if fields is None:
        assert "needs 2 values" in refusal(tool, line, sdk=False).message
        return
    options = asked(tool, line, sdk=False)
    assert {name: getattr(options, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("tool", "line", "why"),
    [
        (ONNX_TO_DLC, "--input_network /etc/passwd", "the conversion sets it"),
        (ONNX_TO_DLC, "-i/etc/passwd", "'-i/etc/passwd' is not one"),
        (ONNX_TO_DLC, "--input_dims x 1", "'--input_dims' is not one"),
        (ONNX_TO_DLC, "--out b", "'--out' is not one"),  # argparse takes abbreviations
        (ONNX_TO_DLC, "--udo_config_paths a.json", "code from a file"),
        (ONNX_TO_DLC, "--converter_op_package_lib /tmp/x.so", "code from a file"),
        (ONNX_TO_DLC, "--copyright_file /etc/passwd", "file of its own choosing"),
        (ONNX_TO_DLC, "--custom_io /etc/passwd", "depthai reads"),
        (ONNX_TO_DLC, "--dry_run", "converts nothing"),
        (ONNX_TO_DLC, "-b 4", "shapes are fixed"),
        (ONNX_TO_DLC, "--input_dim image", "needs 2 values"),
        (ONNX_TO_DLC, "--input_dim image 1,-3", "cannot have the value '1,-3'"),
        (ONNX_TO_DLC, "--input_dim -x 1", "needs 2 values"),
        (ONNX_TO_DLC, "--input_encoding image nv12", "cannot have the value 'nv12'"),
        (ONNX_TO_DLC, "--input_layout image NONTRIVIAL", "cannot have the value"),
        (ONNX_TO_DLC, "--no_simplification=1", "takes no value"),
        (ONNX_TO_DLC, "-n -n", "given twice"),
        (ONNX_TO_DLC, "--out_node a --out_node a", "twice"),
        (ONNX_TO_DLC, "-d a 1,2 -d a 1,3", "two things of the input 'a'"),
        (ONNX_TO_DLC, "--float_bitwidth 16 --float_bw 32", "exclude each other"),
        (ONNX_TO_DLC, "@/etc/passwd", "does not belong"),
        (ONNX_TO_DLC, "--out_node @/etc/passwd", "cannot have the value"),
        (QUANT, "--input_list list.txt", "the conversion sets it"),
        (QUANT, "--udo_package_path /tmp/x.so", "code from a file"),
        (QUANT, "--log-file /tmp/x", "file of its own choosing"),
        (QUANT, "--enable_htp", "--device-runtime"),
        (QUANT, "--float_fallback", "calibration data"),
        (QUANT, "--act_bitwidth 12", "cannot have the value '12'"),
        (QUANT, "--act_bitwidth", "needs a value"),
        (QUANT, "--act_bitwidth=", "cannot have the value ''"),
        (QUANT, "--bitwidth 8 --act_bitwidth 16", "exclude each other"),
        (QUANT, "--act_quantizer tf --act_quantizer_calibration mse", "contradict each other"),
        (QUANT, "--percentile_calibration_value 101", "cannot have the value"),
        (QUANT, "--htp_socs sm9999", "cannot have the value"),
        (QUANT, "--restrict_quantization_steps --silent", "needs a value"),
        (QUANT, "--help", "converts nothing"),
        (GRAPH_PREPARE, "--input_dimensions 1,2", "shapes are fixed"),
        (GRAPH_PREPARE, "--optimization_level 4", "cannot have the value"),
        (GRAPH_PREPARE, "--htp_archs v73 --vtcm_override 4", "exclude each other"),
        (GRAPH_PREPARE, "--vtcm_override", "needs a value"),
    ],
)
@pytest.mark.parametrize("sdk", [False, True])
def test_what_is_refused_by_name_with_an_sdk_or_without(tool: str, line: str, why: str, sdk: bool) -> None:
    assert why in refusal(tool, line, sdk=sdk).message


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("--weights_bitwidth 4", "8-bit and 16-bit weights"),
        ("--bias_bitwidth 8", "32 bits"),
        ("--act_quantizer adjusted", "enhanced"),
        ("--act_quantizer_calibration entropy", "percentile"),
        ("--param_quantizer enhanced", "minimum and maximum"),
        ("--param_quantizer_schema asymmetric", "--per-tensor-weights"),
        ("--algorithms cle", "one scale for each channel"),
    ],
)
def test_a_value_that_only_the_vendors_tool_can_do_goes_there_or_is_refused(line: str, why: str) -> None:
    error = refusal(QUANT, line, sdk=False)
    assert why in error.message
    assert "--qairt-root" in error.remedy
    assert asked(QUANT, line, sdk=True).words[QUANT] == tuple(line.split())


def test_an_unknown_option_gets_close_matches() -> None:
    error = refusal(QUANT, "--act_bitwith 16", sdk=False)
    assert "did you mean --act_bitwidth" in error.remedy
    assert "--input_dlc" not in error.remedy


def test_what_changes_nothing_is_said() -> None:
    options = snpe(quant="--bias_bitwidth 32 --param_quantizer tf", prepare="--overwrite_cache_records")
    assert options.notes == (
        "--bias_bitwidth: biases have 32 bits",
        "--param_quantizer tf: Oakmill takes a weight's range from its real minimum and maximum",
        "--overwrite_cache_records: a cache is always made anew",
    )
    assert snpe(quant="--bias_bitwidth 32", sdk=True).notes == ()


def test_outputs_may_be_named_for_two_tools_but_not_differ() -> None:
    assert snpe("--out_node a --out_node b", prepare="--set_output_tensors b,a").outputs == ("a", "b")
    with pytest.raises(ArgumentRefused, match="contradict"):
        snpe("--out_node a", prepare="--set_output_tensors b")


def test_the_sdks_words_hold_all_but_what_is_done_before() -> None:
    options = snpe(
        "-d image 1,3,8,8 --out_node a -n --preserve_io layout image",
        "--act_bitwidth=16 --restrict_quantization_steps -0x80,0x7F --htp_socs sm8550",
        "--vtcm_override 2 --htp_socs sm8550",
        sdk=True,
    )
    assert options.words == {
        ONNX_TO_DLC: ("--no_simplification", "--preserve_io", "layout", "image"),
        QUANT: ("--act_bitwidth", "16", "--restrict_quantization_steps=-0x80,0x7F"),
        GRAPH_PREPARE: ("--vtcm_override", "2"),
    }
    assert options.vendor_front
    assert not snpe(prepare="--vtcm_override 2", sdk=True).vendor_front
    assert options.shapes == {"image": (1, 3, 8, 8)}
    assert options.socs == ("sm8550",)


def test_only_a_plain_file_of_this_machine_can_hold_overrides_and_none_in_a_hub(tmp_path: Path) -> None:
    file = tmp_path / "encodings.json"
    file.write_text("{}")
    line = f"--quantization_overrides {file}"
    assert snpe(line).overrides == file
    with pytest.raises(ArgumentRefused, match="names a file") as caught:
        snpe(line, files=False)
    assert "upload" in caught.value.remedy
    for other in (tmp_path, tmp_path / "none.json", Path("/dev/zero")):
        with pytest.raises(ArgumentRefused, match="no plain file"):
            snpe(f"--quantization_overrides {other}")


# together with the conversion's other parameters


def merged(spec: dict[str, Any] | None = None, *lines: str, sdk: bool = False) -> tuple[Rvc4Spec, tuple[str, ...]]:
    return snpe_spec.merge(Rvc4Spec(**(spec or {})), snpe(*lines, sdk=sdk))


def test_without_arguments_nothing_changes() -> None:
    assert merged() == (Rvc4Spec(), ())


@pytest.mark.parametrize(
    ("before", "quant", "after"),
    [
        (Precision.INT8_STANDARD, "--act_bitwidth 16", Precision.INT8_INT16_MIXED),
        (Precision.INT8_ACCURACY_FOCUSED, "--act_bitwidth 16", Precision.INT8_INT16_MIXED_ACCURACY_FOCUSED),
        (Precision.INT8_STANDARD, "--bitwidth 16", Precision.INT16_STANDARD),
        (Precision.INT16_STANDARD, "--bitwidth 8", Precision.INT8_STANDARD),
        (Precision.FP16_STANDARD, "--act_bitwidth 16", Precision.INT8_INT16_MIXED),
        (Precision.FP16_STANDARD, "--act_quantizer enhanced", Precision.INT8_STANDARD),
        (Precision.FP32_STANDARD, "--float_bitwidth 16", Precision.FP16_STANDARD),
    ],
)
def test_the_arguments_win_over_the_precision_and_a_note_says_so(
    before: Precision, quant: str, after: Precision
) -> None:
    spec, notes = merged({"target_precision": before}, "", quant)
    assert spec.target_precision is after
    assert any(after.value in note for note in notes)


def test_all_that_a_spec_has_a_place_for_is_merged(tmp_path: Path) -> None:
    spec, notes = merged(
        {"inputs": (InputSpec(mean_values=(1.0, 2.0, 3.0)),), "per_tensor_weights": True},
        "-d image 1,3,8,8 -l image NCHW -e image bgr rgb -n",
        "--use_per_channel_quantization --act_quantizer_calibration percentile --percentile_calibration_value 99.9",
        "--htp_socs sm8650",
    )
    assert spec.inputs == (
        InputSpec(
            name="image",
            shape=(1, 3, 8, 8),
            layout="NCHW",
            mean_values=(1.0, 2.0, 3.0),
            encoding_from=Encoding.RGB,
            encoding_to=Encoding.BGR,
        ),
    )
    assert spec.disable_onnx_simplification
    assert not spec.per_tensor_weights
    assert spec.ranges is RangeMethod.PERCENTILE
    assert spec.htp_socs == ("sm8650",)
    assert len(notes) == 5
    file = tmp_path / "encodings.json"
    file.write_text("{}")
    spec, _ = merged({}, f"--quantization_overrides {file}", "--override_params")
    assert (spec.target_precision, spec.aimet_encodings) == (Precision.CUSTOM, file)


@pytest.mark.parametrize(
    ("before", "lines", "why"),
    [
        ({}, ("", "--weights_bitwidth 16"), "16-bit weights with 8-bit"),
        ({}, ("--float_bitwidth 16",), "changes nothing in INT8_STANDARD"),
        ({}, ("", "--percentile_calibration_value 99.9"), "ranges are found by minmax"),
        ({}, ("", "--override_params"), "there are none"),
        ({"per_tensor_weights": True}, ("", "--param_quantizer symmetric"), "symmetric weights"),
        ({"target_precision": "FP16"}, ("", "--use_per_channel_quantization"), "quantizes nothing"),
        ({"target_precision": "FP16"}, ("--float_bitwidth 16", "--act_bitwidth 8"), "contradict"),
        ({"inputs": (InputSpec(),)}, ("-d a 1,2 -d b 1,2",), "an unnamed one"),
        ({}, ("-d a 1,2 -l a NCHW",), "input 'a'"),
    ],
)
def test_what_cannot_be_had_together_is_refused(before: dict[str, Any], lines: tuple[str, ...], why: str) -> None:
    with pytest.raises(SpecError, match=why):
        merged(before, *lines)


def test_the_tools_own_default_of_float_bits_is_taken_and_noted() -> None:
    spec, notes = merged({}, "--float_bitwidth 32")
    assert spec == Rvc4Spec()
    assert "--float_bitwidth 32" in notes[0]


def test_words_for_the_sdk_follow_the_precision_and_the_user_wins() -> None:
    spec = Rvc4Spec(target_precision=Precision.INT8_ACCURACY_FOCUSED)
    assert snpe_spec.quantizer_words(spec, snpe(sdk=True)) == (
        "--use_per_channel_quantization", "--act_quantizer", "enhanced", "--param_quantizer", "enhanced",
    )  # fmt: skip
    options = snpe(quant="--act_quantizer tf --act_bitwidth 16", prepare="--optimization_level 3", sdk=True)
    spec, _ = snpe_spec.merge(Rvc4Spec(target_precision=Precision.INT16_STANDARD, per_tensor_weights=True), options)
    assert snpe_spec.quantizer_words(spec, options) == (
        "--act_quantizer", "tf", "--act_bitwidth", "16", "--weights_bitwidth", "16",
    )  # fmt: skip
    assert snpe_spec.prepare_words(spec, options) == ("--htp_socs", "qcs8550", "--optimization_level", "3")
    options = snpe(prepare="--htp_archs v73", sdk=True)
    assert snpe_spec.prepare_words(spec, options) == ("--htp_archs", "v73")

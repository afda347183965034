"""Options are drawn from the spec, and their values make a spec or a refusal that names the option."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from oakmill.cli.options import SpecCommand, build_spec
from oakmill.errors import SpecError
from oakmill.spec import ConversionSpec, Encoding, InputSpec, Precision, RangeMethod, Resize, Rvc2Spec, Rvc4Spec
from oakmill.spec.flags import flag_of
from tests.fakes import ToySpec


def values_of(*arguments: str, models: tuple[type[ConversionSpec], ...] = (Rvc2Spec,)) -> dict[str, Any]:
    found: dict[str, Any] = {}

    @click.command(cls=SpecCommand, kinds=lambda: [*models])
    def command(**values: Any) -> None:
        found.update(values)

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return found


def parse(*arguments: str) -> Rvc2Spec:
    return build_spec(Rvc2Spec, values_of(*arguments))


def parse4(*arguments: str) -> Rvc4Spec:
    """With the options of both platforms, as the real command has them."""
    return build_spec(Rvc4Spec, values_of(*arguments, models=(Rvc2Spec, Rvc4Spec)))


def test_every_field_of_the_spec_has_an_option_with_its_help() -> None:
    @click.command(cls=SpecCommand, kinds=lambda: [Rvc2Spec])
    def command(**values: Any) -> None: ...

    known = {flag: option for option in command.get_params(click.Context(command)) for flag in option.opts}
    fields = {**Rvc2Spec.model_fields, **InputSpec.model_fields}
    for name in set(fields) - {"inputs", "platform", "name"}:
        option = known[flag_of(name, fields[name])]
        assert isinstance(option, click.Option)
        assert option.help, name


def test_nothing_given_is_the_default_spec() -> None:
    assert parse() == Rvc2Spec()


def test_values_for_the_only_input() -> None:
    spec = parse("--mean-values", "104,117,123", "--encoding-from", "bgr", "--shape", "[1,3,224,224]")
    assert spec.inputs == (
        InputSpec(mean_values=(104.0, 117.0, 123.0), encoding_from=Encoding.BGR, shape=(1, 3, 224, 224)),
    )


def test_values_for_several_inputs_by_name() -> None:
    spec = parse("--mean-values", "left=1", "--mean-values", "right:0=2,3,4", "--layout", "left=NHWC")
    assert spec.inputs == (
        InputSpec(name="left", layout="NHWC", mean_values=(1.0,)),
        InputSpec(name="right:0", mean_values=(2.0, 3.0, 4.0)),
    )


def test_tool_arguments_are_split_as_a_shell_does() -> None:
    spec = parse("--compile-tool-args", '-ip U8 -iop "a:FP16,b:U8"', "--compile-tool-args", "-op FP32")
    assert spec.compile_tool_args == ("-ip", "U8", "-iop", "a:FP16,b:U8", "-op", "FP32")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--shaves", "0"], "--shaves"),
        (["--shaves", "17"], "--shaves"),
        (["--shaves", "many"], "--shaves"),
        (["--encoding-from", "YUV"], "--encoding-from"),
        (["--mean-values", "a,b"], "--mean-values"),
        (["--mean-values", "nan"], "--mean-values"),
        (["--scale-values", "0"], "none may be 0"),
        (["--shape", "1,-3,2,2"], "--shape"),
        (["--shape", "1,3,2", "--layout", "NCHW"], "has 3 dimensions, layout NCHW has 4"),
        (["--ir-version", "latest"], "--ir-version"),
        (["--name", "../../x"], "--name"),
        (["--mean-values", "1", "--mean-values", "2"], "given twice"),
        (["--mo-args", "'unclosed"], "cannot be split"),
        (["--encoding-from", "RGB", "--encoding-to", "GRAY"], "cannot take GRAY"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_option(arguments: list[str], words: str) -> None:
    with pytest.raises(SpecError) as refusal:
        parse(*arguments)
    assert words in refusal.value.message


# several platforms


def test_the_options_of_several_specs_are_each_there_once() -> None:
    @click.command(cls=SpecCommand, kinds=lambda: [Rvc2Spec, Rvc4Spec])
    def command(**values: Any) -> None: ...

    flags = [flag for option in command.get_params(click.Context(command)) for flag in option.opts]
    assert len(flags) == len(set(flags))
    fields = {**InputSpec.model_fields, **Rvc2Spec.model_fields, **Rvc4Spec.model_fields}
    assert set(flags) == {flag_of(name, fields[name]) for name in set(fields) - {"inputs", "platform"}} | {
        "--name",
        "--help",
    }


def help_of(flag: str, other: type[ConversionSpec] = Rvc4Spec) -> str:
    @click.command(cls=SpecCommand, kinds=lambda: [Rvc2Spec, other])
    def command(**values: Any) -> None: ...

    option = next(option for option in command.get_params(click.Context(command)) if flag in option.opts)
    assert isinstance(option, click.Option)
    return option.help or ""


def test_help_says_for_whom_an_option_is_and_what_each_platform_takes_by_default() -> None:
    assert help_of("--shaves").startswith("[RVC2] ")
    assert help_of("--target-precision").startswith("[RVC4] ")
    assert not help_of("--seed").startswith("[")
    assert "[default: 64 for rvc2, 8 for toy]" in help_of("--max-images", ToySpec)


def test_nothing_given_is_each_platforms_own_default() -> None:
    assert parse4() == Rvc4Spec()
    assert build_spec(Rvc2Spec, values_of(models=(Rvc2Spec, Rvc4Spec))) == Rvc2Spec()


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["--shaves", "4"], "--shaves"),
        (["--blob"], "--blob"),
        (["--mo-args", "--x=1"], "--mo-args"),
    ],
)
def test_a_parameter_of_another_platform_is_refused_by_its_flag(arguments: list[str], flag: str) -> None:
    with pytest.raises(SpecError) as refusal:
        parse4(*arguments)
    assert refusal.value.message == f"{flag} does not apply to a conversion to rvc4"
    assert refusal.value.remedy


def test_so_is_one_of_rvc4_for_rvc2() -> None:
    with pytest.raises(SpecError) as refusal:
        build_spec(Rvc2Spec, values_of("--target-precision", "INT8", models=(Rvc2Spec, Rvc4Spec)))
    assert refusal.value.message == "--target-precision does not apply to a conversion to rvc2"


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("INT8", Precision.INT8_STANDARD),
        ("int8", Precision.INT8_STANDARD),
        ("INT16", Precision.INT16_STANDARD),
        ("FP16", Precision.FP16_STANDARD),
        ("fp32", Precision.FP32_STANDARD),
        ("int8_int16_mixed", Precision.INT8_INT16_MIXED),
        ("INT8_INT16_MIXED_ACCURACY_FOCUSED", Precision.INT8_INT16_MIXED_ACCURACY_FOCUSED),
    ],
)
def test_precisions_have_short_names(word: str, meaning: Precision) -> None:
    assert parse4("--target-precision", word).target_precision is meaning


def test_repeated_options_become_tuples_in_their_order() -> None:
    spec = parse4("--tensor", "b=int16", "--tensor", "a/b:0=int8", "--htp-socs", "qcs8550", "--htp-socs", "sm8650")
    assert spec.tensor_overrides == ("b=int16", "a/b:0=int8")
    assert spec.htp_socs == ("qcs8550", "sm8650")


def test_words_for_the_snpe_tools_are_split_as_a_shell_does() -> None:
    spec = parse4("--snpe-dlc-quant-args", "--act_bitwidth 16 --algorithms 'cle'", "--snpe-dlc-quant-args", "--x")
    assert spec.snpe_dlc_quant_args == ("--act_bitwidth", "16", "--algorithms", "cle", "--x")


def test_values_of_every_kind_arrive() -> None:
    spec = parse4(
        "--quantization-data", "FOOD", "--max-quantization-images", "32", "--range-method", "percentile",
        "--per-tensor-weights", "--quantizer-search", "--search-seconds", "60", "--proof-images", "2",
        "--device-runtime", "2.51", "--resize", "pad", "--seed", "7", "--mean-values", "image=1,2,3",
    )  # fmt: skip
    assert spec == Rvc4Spec(
        quantization_data="FOOD",
        max_quantization_images=32,
        range_method=RangeMethod.PERCENTILE,
        per_tensor_weights=True,
        quantizer_search=True,
        search_seconds=60,
        proof_images=2,
        device_runtime="2.51",
        resize=Resize.PAD,
        seed=7,
        inputs=(InputSpec(name="image", mean_values=(1.0, 2.0, 3.0)),),
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target-precision", "INT4"], "--target-precision"),
        (["--target-precision", "CUSTOM"], "CUSTOM needs AIMET's encodings"),
        (["--aimet-encodings", "e.json"], "are for --target-precision CUSTOM"),
        (["--target-precision", "FP16", "--quantizer-search"], "quantizes nothing"),
        (["--target-precision", "FP16", "--tensor", "a=int16"], "quantizes nothing"),
        (["--target-precision", "FP32", "--range-method", "mse"], "quantizes nothing"),
        (["--range-method", "entropy"], "--range-method"),
        (["--resize", "zoom"], "--resize"),
        (["--tensor", "a"], "--tensor"),
        (["--tensor", "a=int4"], "--tensor"),
        (["--tensor", "=int8"], "--tensor"),
        (["--htp-socs", "bogus"], "--htp-socs"),
        (["--device-runtime", "new"], "--device-runtime"),
        (["--snpe-version", "latest"], "--snpe-version"),
        (["--proof-images", "0"], "--proof-images"),
        (["--proof-images", "17"], "--proof-images"),
        (["--max-quantization-images", "0"], "--max-quantization-images"),
        (["--search-seconds", "4"], "--search-seconds"),
        (["--max-images", "many"], "--max-images"),
        (["--snpe-dlc-quant-args", "'unclosed"], "cannot be split"),
    ],
)
def test_a_value_of_rvc4_that_does_not_fit_is_refused_by_its_option(arguments: list[str], words: str) -> None:
    with pytest.raises(SpecError) as refusal:
        parse4(*arguments)
    assert words in refusal.value.message


def test_names_of_classes_are_read_where_the_command_runs(tmp_path: Path) -> None:
    """A recipe, a hub and a page have names; the file that they were read of is on one machine alone."""
    (tmp_path / "two.txt").write_text("a, b\nc\n")
    assert parse("--classes", str(tmp_path / "two.txt")).class_names == ("a, b", "c")
    assert parse("--classes", "cat", "--classes", "dog").class_names == ("cat", "dog")
    with pytest.raises(SpecError, match="there is no file"):
        parse("--classes", str(tmp_path / "none.txt"))


def test_help_is_in_groups_and_names_what_is_taken() -> None:
    """A hundred options stood in one list, and of the sources two were named."""
    from oakmill.cli.convert import command

    said = CliRunner().invoke(command, ["--help"]).output
    titles = [line.rstrip(":") for line in said.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles[0].startswith("What is converted") and titles[-1] == "This run"
    assert {"Inputs and preprocessing", "Accuracy", "Quantization (RVC3, RVC4)", "RVC2", "RVC4"} <= set(titles)
    parts = dict(zip(titles, re.split(r"^\S.*:$", said, flags=re.MULTILINE)[1:], strict=True))
    assert "--tensor" in parts["RVC4"] and "--shaves" in parts["RVC2"] and "--json" in parts["This run"]
    for source in ("ONNX", "OpenVINO IR", "TFLite", "TorchScript", "Ultralytics", "NN Archive", "YAML"):
        assert source in " ".join(said.partition("What is converted")[0].split())

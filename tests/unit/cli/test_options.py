"""Options are drawn from the spec, and their values make a spec or a refusal that names the option."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from oakmill.cli.options import build_spec, flag_of, spec_options
from oakmill.errors import SpecError
from oakmill.spec import Encoding, InputSpec, Rvc2Spec


def parse(*arguments: str) -> Rvc2Spec:
    found: dict[str, Any] = {}

    @click.command()
    @spec_options(Rvc2Spec)
    def command(**values: Any) -> None:
        found.update(values)

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return build_spec(Rvc2Spec, found)


def test_every_field_of_the_spec_has_an_option_with_its_help() -> None:
    @click.command()
    @spec_options(Rvc2Spec)
    def command(**values: Any) -> None: ...

    known = {flag: option for option in command.params for flag in option.opts}
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

"""Edits change a spec as they say, are checked, and read back from the options that they become."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from oakmill.cli.options import SpecCommand, build_spec
from oakmill.conversion.failures import apply, edited
from oakmill.errors import SpecError
from oakmill.spec import ConversionSpec, InputSpec, Rvc2Spec, Rvc4Spec
from oakmill.spec.flags import options_of


def test_a_field_is_set_and_put_back() -> None:
    spec = apply({"target_precision": "FP16_STANDARD"}, Rvc4Spec())
    assert spec.target_precision == "FP16_STANDARD"
    assert apply({"target_precision": None}, spec) == Rvc4Spec()


def test_the_only_input_without_a_name_is_meant() -> None:
    spec = Rvc2Spec(inputs=(InputSpec(mean_values=(1, 2)),))
    changed = apply({"inputs.image.mean_values": None, "inputs.image.shape": [1, 3, 8, 8]}, spec)
    assert changed.inputs == (InputSpec(shape=(1, 3, 8, 8)),)


def test_another_input_is_left_alone() -> None:
    spec = Rvc2Spec(inputs=(InputSpec(name="a.b", layout="NCHW"), InputSpec(name="c", layout="NC")))
    changed = apply({"inputs.a.b.layout": None, "inputs.d.shape": [1, 2]}, spec)
    assert [(item.name, item.layout, item.shape) for item in changed.inputs] == [("c", "NC", None), ("d", None, (1, 2))]


def test_arguments_that_begin_so_are_taken_out() -> None:
    spec = Rvc2Spec(compile_tool_args=("-flagfile=x", "-c A=B"))
    assert apply({"compile_tool_args": {"without": "-flagfile"}}, spec).compile_tool_args == ("-c A=B",)
    words = Rvc2Spec(mo_args=("--data_typ", "half", "--silent"))
    assert apply({"mo_args": {"without": "--data_typ"}}, words).mo_args == ("--silent",)


@pytest.mark.parametrize("edit", [{"number_of_shaves": 17}, {"nothing": 1}, {"inputs.x.shape": "wide"}])
def test_an_edit_that_does_not_fit_is_refused_by_name(edit: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="does not fit"):
        apply(edit, Rvc2Spec())


def test_a_form_that_is_not_valid_yet_can_be_edited_too() -> None:
    assert edited({"blob": True, "inputs": [{"scale_values": [0]}]}, {"inputs.*.scale_values": None}) == {
        "blob": True,
        "inputs": [],
    }


@pytest.mark.parametrize(
    "spec",
    [
        Rvc2Spec(),
        Rvc2Spec(blob=True, number_of_shaves=4, outputs=("a", "b"), compile_tool_args=("-c", "A=B C")),
        Rvc2Spec(inputs=(InputSpec(name="x", shape=(1, 3, 8, 8), mean_values=(123.675, -1, 0)),)),
        Rvc4Spec(target_precision="INT8_INT16_MIXED", tensor_overrides=("a=int16",), htp_socs=("sm8650",)),
    ],
)
def test_options_ask_for_the_same_spec(spec: ConversionSpec) -> None:
    found: list[ConversionSpec] = []

    @click.command(cls=SpecCommand, kinds=lambda: [type(spec)])
    def command(**values: Any) -> None:
        found.append(build_spec(type(spec), values))

    result = CliRunner().invoke(
        command, [word for option in options_of(spec) for word in option], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert found == [spec]

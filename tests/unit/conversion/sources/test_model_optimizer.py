"""What Mo Args change in a conversion's inputs, and the command line that mo is given."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from onnx import ModelProto

from oakmill.conversion.events import Progress
from oakmill.conversion.inputs import match, resolve
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.sources.model_optimizer import MoStep
from oakmill.errors import SpecError, ToolchainMissing
from oakmill.model.source import Tensor
from oakmill.settings import Settings
from oakmill.spec import Encoding, InputSpec
from oakmill.toolchains.model_optimizer.options import read
from oakmill.toolchains.model_optimizer.toolchain import ModelOptimizer

LEFT = Tensor("left", (1, 3, 8, 8), "float32")
RIGHT = Tensor("right", (1, 3, 8, 8), "float32")
OPEN = Tensor("left", ("n", 3, "h", "w"), "float32")
VECTOR = Tensor("features", (1, 3), "float32")

RGB, BGR, NONE = Encoding.RGB, Encoding.BGR, Encoding.NONE


def step(line: str) -> MoStep:
    return MoStep(read(shlex.split(line)), ModelOptimizer(Settings(home=Path("/nonexistent"))))


def decided(line: str, *tensors: Tensor, asked: tuple[InputSpec, ...] = ()) -> dict[str | None, InputSpec]:
    known = {item.name: item for item in asked}
    prefilled = tuple(known.get(tensor.name, InputSpec(name=tensor.name)) for tensor in tensors)
    return {item.name: item for item in step(line).inputs(prefilled, tensors, Progress())}


def command(line: str, *tensors: Tensor, asked: tuple[InputSpec, ...] = ()) -> str:
    specs = match(tuple(decided(line, *tensors, asked=asked).values()), tensors)
    inputs = tuple(resolve(specs[tensor.name], tensor) for tensor in tensors)
    outputs = (Tensor("scores", (1, 4), "float32"),)
    prepared = Prepared(ModelProto(), ModelProto(), ModelProto(), inputs, outputs)
    return shlex.join(step(line).command(prepared))


def test_mo_values_win_over_those_of_the_other_options() -> None:
    asked = (InputSpec(name="left", mean_values=(9, 9, 9), scale_values=(2,), shape=(1, 3, 8, 8)),)
    found = decided("--mean_values [1,2,3] --input_shape [1,3,16,16]", OPEN, asked=asked)["left"]
    assert (found.mean_values, found.scale_values, found.shape) == ((1, 2, 3), (2,), (1, 3, 16, 16))


def test_scale_is_for_all_inputs() -> None:
    assert [item.scale_values for item in decided("--scale 255", LEFT, RIGHT).values()] == [(255,), (255,)]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (InputSpec(name="left"), (RGB, BGR)),
        (InputSpec(name="left", encoding_from=BGR), (BGR, RGB)),
        (InputSpec(name="left", encoding_to=RGB), (BGR, RGB)),
        (InputSpec(name="left", encoding_from=BGR, encoding_to=BGR), (BGR, RGB)),
    ],
)
def test_reversed_channels_win_over_equal_encodings(asked: InputSpec, expected: tuple[Encoding, Encoding]) -> None:
    found = decided("--reverse_input_channels", LEFT, asked=(asked,))["left"]
    assert (found.encoding_from, found.encoding_to) == expected


def test_only_pictures_of_three_channels_are_reversed() -> None:
    found = decided("--reverse_input_channels", LEFT, VECTOR)
    assert found["features"].encoding_from is None
    with pytest.raises(SpecError, match="no input is an image"):
        decided("--reverse_input_channels", VECTOR)
    with pytest.raises(SpecError, match="whose encoding is NONE"):
        decided("--reverse_input_channels", LEFT, asked=(InputSpec(name="left", encoding_to=NONE),))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("--mean_values [1,2,3]", "each needs its name"),
        ("--mean_values middle[1,2,3]", "no input 'middle'"),
        ("--input left", "cannot begin elsewhere"),
        ("--input left,right,conv", "cannot begin elsewhere"),
        ("--scale 0", "none may be 0"),
        ("--scale 9999999", "1000000 or less"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(line: str, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        decided(line, LEFT, RIGHT)


def test_without_preprocessing_the_command_line_holds_what_the_user_gave() -> None:
    assert command("--data_type FP16 --silent", LEFT) == "mo --input_model prepared.onnx --data_type FP16 --silent"


def test_when_mo_embeds_something_the_other_options_are_added_to_its_command_line() -> None:
    asked = (InputSpec(name="left", scale_values=(58.395, 57.12, 57.375)),)
    assert shlex.split(command("--mean_values [123.675,116.28,103.53]", LEFT, asked=asked))[3:] == [
        "--source_layout",
        "NCHW",
        "--mean_values",
        "[123.675,116.28,103.53]",
        "--scale_values",
        "[58.395,57.12,57.375]",
        "--reverse_input_channels",
    ]


def test_with_several_inputs_each_value_has_its_name() -> None:
    asked = (InputSpec(name="right", scale_values=(0.00001,)),)
    words = shlex.split(
        command("--mean_values left[1,2,3] --output scores --input right,left", LEFT, RIGHT, asked=asked)
    )
    assert words[words.index("--source_layout") + 1] == "left(NCHW),right(NCHW)"
    assert words[words.index("--mean_values") + 1] == "left[1,2,3]"
    assert words[words.index("--scale_values") + 1] == "right[0.00001]"  # mo reads no exponents
    assert words[words.index("--input") + 1] == "right,left"
    assert words[words.index("--output") + 1] == "scores"


def test_mo_cannot_reverse_one_input_of_two() -> None:
    with pytest.raises(SpecError, match="those of 'right' are to stay"):
        command("--scale 2", LEFT, RIGHT, asked=(InputSpec(name="right", encoding_from=BGR),))


def test_without_arguments_there_is_no_step_and_without_mo_it_is_asked_for(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert MoStep.of((), settings) is None
    with pytest.raises(ToolchainMissing) as caught:
        MoStep.of(("--silent",), settings)
    assert caught.value.subject == "rvc2/mo-2022.2.0"
    assert "oakmill toolchains install rvc2/mo-2022.2.0" in caught.value.remedy
    assert "Python 3.9 or 3.8" in caught.value.remedy

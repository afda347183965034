"""An IR made with --reverse_input_channels was reversed once more, green: the camera's BGR reached it as RGB."""

from __future__ import annotations

from pathlib import Path

import pytest

from oakmill.conversion.sources import embedded
from oakmill.model.openvino_ir import read_ir
from oakmill.model.source import Embedded, SourceModel
from oakmill.settings import Settings
from oakmill.spec import InputSpec
from tests.unit.model.ir_making import write_ir

NOTED = {
    "2021.4": "<meta_data><cli_parameters>{}</cli_parameters></meta_data>",
    "2022.3": "<rt_info><conversion_parameters>{}</conversion_parameters></rt_info>",
}


def ir(folder: Path, *, noted: str = "2022.3", **options: str) -> SourceModel:
    """An IR whose .xml notes these options of the Model Optimizer."""
    path = write_ir(folder / "net.xml", version=11)
    words = "".join(f'<{name} value="{value}"/>' for name, value in options.items())
    text = path.read_text().replace('<meta_data><MO_version value="2021.4"/></meta_data>', NOTED[noted].format(words))
    path.write_text(text)
    return read_ir(path, Settings())


@pytest.mark.parametrize("noted", NOTED)
def test_what_the_model_optimizer_noted_is_read(tmp_path: Path, noted: str) -> None:
    values = {"reverse_input_channels": "True", "mean_values": "[1,2,3]", "scale": "255.0"}
    assert ir(tmp_path, noted=noted, **values).embedded == Embedded(True, "[1,2,3]", "255.0")


def test_options_that_were_not_given_are_nothing(tmp_path: Path) -> None:
    """The Model Optimizer until 2022.1 notes all of its options, and so what they are without being given."""
    values = {"reverse_input_channels": "False", "mean_values": "()", "scale_values": "()", "scale": "None"}
    assert ir(tmp_path, noted="2021.4", **values).embedded == Embedded()


def encodings(item: InputSpec) -> tuple[str | None, str | None]:
    return item.encoding_from, item.encoding_to


def test_an_ir_that_exchanges_colours_takes_bgr(tmp_path: Path) -> None:
    (item,), (found,) = embedded.respected([InputSpec(name="x")], ir(tmp_path, reverse_input_channels="True"))
    assert encodings(item) == ("BGR", "BGR")
    assert found.severity == "note"


def test_frames_in_rgb_are_exchanged_for_it(tmp_path: Path) -> None:
    asked = InputSpec(name="x", encoding_to="RGB")
    (item,), _ = embedded.respected([asked], ir(tmp_path, reverse_input_channels="True"))
    assert encodings(item) == ("BGR", "RGB")


@pytest.mark.parametrize("to", ["BGR", None])
def test_a_second_exchange_that_is_asked_for_is_a_warning(tmp_path: Path, to: str | None) -> None:
    asked = InputSpec(name="x", encoding_from="RGB", encoding_to=to)
    (item,), (found,) = embedded.respected([asked], ir(tmp_path, reverse_input_channels="True"))
    assert item == asked
    assert (found.severity, found.code) == ("warning", "ir_colours_twice")


def test_what_is_no_colour_image_is_left_alone(tmp_path: Path) -> None:
    asked = InputSpec(name="x", encoding_from="NONE")
    assert embedded.respected([asked], ir(tmp_path, reverse_input_channels="True")) == ((asked,), ())


@pytest.mark.parametrize(("values", "twice"), [("[1,2,3]", True), ("x[1,2,3],z[4]", True), ("z(1,2,3)", False)])
def test_values_that_are_applied_twice_are_a_warning(tmp_path: Path, values: str, twice: bool) -> None:
    asked = InputSpec(name="x", mean_values=(1, 2, 3), scale_values=(2,))
    _, found = embedded.respected([asked], ir(tmp_path, mean_values=values))
    assert [item.code for item in found] == (["ir_mean_twice"] if twice else [])


def test_other_sources_are_as_they_are_asked(tmp_path: Path) -> None:
    asked = InputSpec(name="x", mean_values=(1, 2, 3))
    assert embedded.respected([asked], ir(tmp_path)) == ((asked,), ())

"""The form that is drawn from a spec, what it states, and how that reads elsewhere."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from oakmill.cli import convert as cli_convert
from oakmill.cli.options import build_spec
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, Rvc2Spec, Rvc3Spec, Rvc4Spec
from oakmill.spec.platforms import spec_kinds
from oakmill.spec.yaml_config import translate
from oakmill.web.forms.fields import LEFT_OUT, fields_of, groups_of, input_fields
from oakmill.web.forms.source import Source
from oakmill.web.forms.submitted import Fields
from oakmill.web.forms.values import Checked, read, shown
from oakmill.web.forms.words import words_of
from oakmill.web.pages.session import own_path
from oakmill.web.views import filters

NOTHING: dict[str, Any] = {"name": "x", "mean_values": None, "scale_values": None}
ARCHIVE: dict[str, Any] = {"name": "x", "mean_values": [1.5, 2, 3], "scale_values": [255, 255, 255]}


def stated(kind: type[ConversionSpec], *said: dict[str, Any], **fields: str) -> Checked:
    pairs = [(name.replace("__", "."), value) for name, value in fields.items()]
    return read(kind, Fields(pairs), of_inputs(list(said) or [NOTHING]), Settings())


def of_inputs(archive: list[dict[str, Any]], shape: Sequence[int | None] = (1, 3, 64, 64)) -> Source:
    """A source with such inputs, of which nothing else is known."""
    nothing: Any = None
    tensors = [{"name": item["name"], "shape": list(shape), "dtype": "float32"} for item in archive]
    return Source(nothing, nothing, nothing, tensors, archive, {})


@pytest.mark.parametrize("kind", spec_kinds())
def test_every_parameter_has_one_field_in_one_group(kind: type[ConversionSpec]) -> None:
    drawn = [item.name for group in groups_of(kind, {}, {}, {}) for item in group.fields]
    assert sorted(drawn) == sorted(set(kind.model_fields) - LEFT_OUT)
    assert all(item.hint and item.label for item in fields_of(kind) if item.name != "quantization_data")


@pytest.mark.parametrize("kind", spec_kinds())
def test_a_form_left_as_it_is_states_nothing(kind: type[ConversionSpec]) -> None:
    fields = {item.name: item.default for item in fields_of(kind)}
    fields |= {f"inputs__0__{item.name}": "" for item in input_fields()}
    found = stated(kind, **fields)
    assert found.values == {}
    assert found.spec == kind()


def test_kinds_follow_the_schema() -> None:
    kinds = {item.name: item.kind for item in fields_of(Rvc4Spec)} | {
        item.name: item.kind for item in fields_of(Rvc2Spec)
    }
    assert kinds["blob"] == "switch"
    assert kinds["number_of_shaves"] == "range"
    assert kinds["target_precision"] == "choice"
    assert kinds["htp_socs"] == "several"
    assert kinds["quantization_data"] == "set"
    assert kinds["mo_args"] == "arguments"
    assert kinds["outputs"] == "lines"
    assert {item.name: item.kind for item in input_fields()}["shape"] == "numbers"


def test_a_choice_that_the_spec_refuses_alone_is_not_offered() -> None:
    offered = {
        kind: [o.value for item in fields_of(kind) if item.name == "target_precision" for o in item.options]
        for kind in (Rvc3Spec, Rvc4Spec)
    }
    assert offered[Rvc3Spec] == ["AUTO", "INT8_STANDARD", "FP16_STANDARD"]
    assert "CUSTOM" not in offered[Rvc4Spec]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("number_of_shaves", "17", "17' has to be 16 or less"),
        ("ir_version", "new", "is not of the form"),
        ("inputs__0__shape", "1,3,x", "no whole number"),
        ("inputs__0__layout", "nchw", "is not of the form"),
        ("mo_args", '--scale "', "cannot be split"),
        ("mo_args", "--nonsense", "not one that can be passed on"),
        ("compile_tool_args", "-m /etc/passwd", "not passed on"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(field: str, value: str, words: str) -> None:
    found = stated(Rvc2Spec, **{field: value})
    assert found.spec is None
    assert words in found.errors[field.replace("__", ".")]


def test_what_is_wrong_of_the_whole_is_told_above() -> None:
    assert "quantizes nothing" in stated(Rvc4Spec, target_precision="FP16_STANDARD", quantizer_search="yes").errors[""]


def test_an_error_of_the_second_input_is_told_there() -> None:
    found = stated(Rvc2Spec, NOTHING, {**NOTHING, "name": "y"}, inputs__1__scale_values="0")
    assert list(found.errors) == ["inputs.1"]


def test_the_archives_values_are_not_asked_for_again_and_can_be_taken_back() -> None:
    same = {"inputs__0__mean_values": "1.5 2 3", "inputs__0__scale_values": "255, 255, 255"}
    assert stated(Rvc2Spec, ARCHIVE, **same).values == {}
    emptied = stated(Rvc2Spec, ARCHIVE, **{**same, "inputs__0__mean_values": "", "inputs__0__scale_values": ""})
    assert emptied.spec is not None
    assert emptied.spec.inputs[0].mean_values == (0, 0, 0)
    assert emptied.spec.inputs[0].scale_values == (1, 1, 1)


@pytest.mark.parametrize(
    ("mean", "scale", "warned"),
    [
        ("58.395,57.12,57.375", "123.675,116.28,103.53", True),
        ("57.4, 57.1, 58.4", "1,1,1", True),
        ("123.675,116.28,103.53", "58.395,57.12,57.375", False),
        ("127.5", "127.5", False),
        ("many", "", False),
    ],
)
def test_the_swapped_pair_is_noticed_in_any_order(mean: str, scale: str, warned: bool) -> None:
    found = stated(Rvc2Spec, inputs__0__mean_values=mean, inputs__0__scale_values=scale)
    assert bool(found.findings) is warned


def test_mistakes_are_looked_for_in_the_archives_values_and_the_users_together() -> None:
    of_pixels_of_one = {**ARCHIVE, "mean_values": [0.485, 0.456, 0.406]}
    (finding,) = stated(Rvc2Spec, of_pixels_of_one).findings["inputs.0"]
    assert finding.evidence["corrected"]["mean_values"] == pytest.approx([123.675, 116.28, 103.53])
    assert not stated(Rvc2Spec, of_pixels_of_one, inputs__0__mean_values="123, 116, 103").findings
    assert not stated(Rvc2Spec, {**of_pixels_of_one, "encoding_from": "NONE"}).findings


FULL: dict[type[ConversionSpec], dict[str, Any]] = {
    Rvc2Spec: {
        "blob": True, "number_of_shaves": 5, "mo_args": ["--scale", "2"], "outputs": ["a b", "c"], "name": "it's",
        "inputs": [{"name": "x", "shape": [1, 3, 8, 8], "mean_values": [1.5, 2, 3], "encoding_from": "RGB",
                    "encoding_to": "BGR"}],
    },
    Rvc3Spec: {"pot_target_device": "ANY", "ignored_types": ["MatMul"]},
    Rvc4Spec: {
        "target_precision": "INT16_STANDARD", "quantization_data": "food", "max_quantization_images": 12,
        "inputs": [{"name": "x", "layout": "NCHW"}, {"name": "y", "scale_values": [255]}], "seed": 3,
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", FULL)
def test_the_command_says_the_same_as_the_form(kind: type[ConversionSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = len(FULL[kind].get("inputs", ()))
    words = words_of(kind, FULL[kind], address="team/m:v:abcd", file="m.onnx", url="http://hub", inputs=inputs)
    arguments = shlex.split(words.command.replace("\\\n", " "))[2:]
    given: dict[str, Any] = {}
    monkeypatch.setattr(cli_convert.command, "callback", lambda **values: given.update(values))
    result = CliRunner().invoke(cli_convert.command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    options = {name: value for name, value in given.items() if name in kind.model_fields or name in _INPUTS}
    assert build_spec(kind, options) == _alone(kind)


def test_int8_of_a_form_is_int8_in_the_command() -> None:
    """The command line takes AUTO where images are given and nothing else is said; a form that says INT8 means it."""
    values = {"quantization_data": "food"}
    command = words_of(Rvc4Spec, values, address="team/m:v:abcd", file="m.onnx", url="http://hub").command
    assert "--target-precision INT8_STANDARD" in command
    asked = {**values, "target_precision": "AUTO"}
    command = words_of(Rvc4Spec, asked, address="team/m:v:abcd", file="m.onnx", url="http://hub").command
    assert "--target-precision AUTO" in command
    assert command.count("--target-precision") == 1


_INPUTS = {item.name for item in input_fields()}


def _alone(kind: type[ConversionSpec]) -> ConversionSpec:
    """The spec, whose only input needs no name on the command line."""
    values = dict(FULL[kind])
    if len(values.get("inputs", ())) == 1:
        values["inputs"] = [{**values["inputs"][0], "name": None}]
    return kind.model_validate(values)


def test_an_input_of_several_is_named_on_the_command_line_though_nothing_is_said_of_the_others() -> None:
    about: dict[str, Any] = {"address": "a", "file": "m.onnx", "url": "http://hub"}
    assert "--shape x=1,3,8,8" in words_of(Rvc2Spec, FULL[Rvc2Spec], **about, inputs=2).command
    assert "--shape 1,3,8,8" in words_of(Rvc2Spec, FULL[Rvc2Spec], **about, inputs=1).command


@pytest.mark.parametrize("kind", FULL)
def test_the_python_says_the_same_as_the_form(kind: type[ConversionSpec]) -> None:
    words = words_of(kind, FULL[kind], address="team/m:v:abcd", file="m.onnx", url="http://hub")
    code = words.python.partition("with Hub")[0].replace("from oakmill.client import Hub", "")
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["spec"] == kind.model_validate(FULL[kind])


@pytest.mark.parametrize("kind", FULL)
def test_the_yaml_is_a_configuration_that_is_taken(kind: type[ConversionSpec]) -> None:
    platform = kind.platform_name()
    text = words_of(kind, FULL[kind], address="a", file="m.onnx", url="http://hub").yaml
    request = translate(yaml.safe_load(text), platform, lambda key, path: __import__("pathlib").Path(path))
    asked = kind.model_validate({**request.values, **_in_the_command(text, kind)})
    theirs = {"raw_layout": "NHWC"} if platform == "rvc4" else {}  # what a configuration means that does not say it
    assert asked == kind.model_validate({**FULL[kind], **theirs})


def _in_the_command(text: str, kind: type[ConversionSpec]) -> dict[str, Any]:
    """What stands in the first line, for no configuration can say it."""
    first = text.splitlines()[0]
    assert first.startswith("# oakmill convert config.yaml --to ")
    said = {
        "rvc2": ["name"],
        "rvc3": ["ignored_types"],
        "rvc4": ["quantization_data", "max_quantization_images", "seed"],
    }
    return {name: FULL[kind][name] for name in said[str(kind.model_fields["platform"].default)]}


def test_a_jobs_spec_is_shown_as_it_was_asked() -> None:
    texts = shown(FULL[Rvc2Spec], ["x"])
    assert texts["inputs.0.mean_values"] == "1.5, 2, 3"
    assert texts["mo_args"] == "--scale 2"
    assert texts["outputs"] == "a b\nc"
    assert texts["blob"] == "yes"


def test_sizes_and_counts_are_for_people() -> None:
    assert [filters.size(count) for count in (0, 999, 1234, 1_500_000, 250_000_000)] == [
        "0 B", "999 B", "1.2 kB", "1.5 MB", "250 MB",
    ]  # fmt: skip
    assert filters.counted(1, "model") == "1 model"
    assert filters.shape([1, None, "h"]) == "1 × ? × h"
    assert filters.precision("INT8_INT16_MIXED") == "INT8 INT16 mixed"


@pytest.mark.parametrize(
    "text",
    ["<script>x</script>", "[a](javascript:alert(1))", "![a](http://example.com/x.png)", '<img src=x onerror="x()">'],
)
def test_markdown_makes_nothing_that_runs_or_is_fetched(text: str) -> None:
    made = filters.markdown(text)
    assert not any(trap in made for trap in ("<script", "<img", 'href="javascript', "<iframe"))


@pytest.mark.parametrize("path", ["//evil", "/\\evil", "https://evil", "evil", "/a\nb", "/session?next=/"])
def test_only_paths_of_the_hub_are_led_to(path: str) -> None:
    assert own_path(path) == "/models"


@pytest.mark.parametrize("text", ["coco", "cat\ndog", "cat, dog", '["a, b"]'])
def test_names_of_classes_are_read_as_they_are_typed(text: str) -> None:
    found = stated(Rvc2Spec, class_names=text)
    assert found.spec is not None
    again = stated(Rvc2Spec, class_names=shown(found.spec.model_dump(mode="json"), [])["class_names"])
    assert again.spec == found.spec
    words = words_of(Rvc2Spec, found.values, address="team/model", file="model.onnx", url="http://hub")
    assert shlex.join(["--classes", text]) in words.command
    assert "Line 2 is empty" in stated(Rvc2Spec, class_names="a\n\nb").errors["class_names"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"mean_values": "1, 2"}, "Input 'x' has 3 channel(s), but 2 mean values were given"),
        ({"scale_values": "0.485/0.229"}, "'0.485/0.229' is no number"),
        ({"layout": "NC"}, "has 4 dimensions [1, 3, 64, 64], layout NC has 2"),
        ({"encoding_from": "GRAY", "encoding_to": "BGR"}, "cannot take BGR"),
    ],
)
def test_values_that_do_not_fit_the_input_are_told_in_the_form(fields: dict[str, str], wrong: str) -> None:
    """Two mean values on three channels passed the form, and the job failed on them."""
    found = stated(Rvc2Spec, **{f"inputs__0__{name}": text for name, text in fields.items()})
    assert found.spec is None
    assert wrong in " ".join(found.errors.values())


@pytest.mark.parametrize(
    ("shape", "fields", "said"),
    [
        ((1, 3, 64, 64), {}, "fed RGB, and the camera gives BGR: channels are reversed in the file"),
        ((None, 3, None, None), {}, "fed RGB, and the camera gives BGR"),
        ((1, 3, 64, 64), {"encoding_from": "BGR"}, "fed BGR, and so is the file: nothing is reversed"),
        ((1, 1, 64, 64), {}, "Gray images"),
        ((1, 80), {}, "Not an image"),
    ],
)
def test_colours_are_said_in_words(shape: Sequence[int | None], fields: dict[str, str], said: str) -> None:
    """The form said "as the model says" where an ONNX says nothing."""
    pairs = [(f"inputs.0.{name}", text) for name, text in fields.items()]
    found = read(Rvc2Spec, Fields(pairs), of_inputs([NOTHING], shape), Settings())
    assert said in found.colours["inputs.0"]

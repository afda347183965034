"""An error becomes an explanation: by a rule where one fits, honestly unknown where none does."""

from __future__ import annotations

import pytest

from oakmill.calibration.datasets.resolve import SetMissing
from oakmill.conversion.events import Progress, Stage, stage_of
from oakmill.conversion.failures import SourceFacts, explain
from oakmill.conversion.failures.facts import SourceNode
from oakmill.conversion.failures.failure import Kind, Origin
from oakmill.errors import CompileFailed, DynamicShape, OutputError, UnsupportedModel
from oakmill.spec import InputSpec, Rvc2Spec

FACTS = SourceFacts(
    inputs={"images.1": (1, 3, "h", "w")},
    outputs=("out:0",),
    nodes={"act": SourceNode("HardSwish", ("conv_out",)), "act/deep": SourceNode("Elu", ("a",))},
    tensors=("conv_out", "act_out"),
)


def test_the_stage_is_noted_on_the_error_where_it_was_raised() -> None:
    with pytest.raises(OutputError) as raised, Progress().stage(Stage.PACKAGE):
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise OutputError("cannot write") from error
    assert stage_of(raised.value) is Stage.PACKAGE
    assert explain(raised.value).stage == "package"


def test_an_error_that_was_translated_outside_of_the_stage_keeps_it() -> None:
    """The work folder turns the system's errors into ours, and encloses all stages."""
    with pytest.raises(OutputError) as raised:
        try:
            with Progress().stage(Stage.COMPILE):
                raise OSError(28, "No space left on device")
        except OSError as error:
            raise OutputError("cannot write to f: the disk is full") from error
    assert stage_of(raised.value) is Stage.COMPILE


def test_an_error_outside_of_all_stages_failed_on_asking() -> None:
    assert explain(OutputError("cannot write to f")).stage == "ask"


def test_an_unknown_failure_keeps_the_errors_own_words_and_remedy() -> None:
    failure = explain(CompileFailed("it does not like tuesdays", remedy="wait", log="a\nb\n"), "compile")
    assert (failure.rule, failure.known) == ("", False)
    assert failure.title == (CompileFailed.__doc__ or "").partition("\n")[0].rstrip(".")
    assert [item.text for item in failure.remedies] == ["wait"]
    assert failure.log == ("a", "b")


def test_an_exception_that_is_not_ours_is_unknown_and_says_where_it_happened() -> None:
    try:
        raise ZeroDivisionError("division by zero")
    except ZeroDivisionError as error:
        failure = explain(error, "prepare")
    assert (failure.code, failure.exit_code, failure.known) == ("Unexpected", 1, False)
    assert "ZeroDivisionError: division by zero" in failure.sentence
    assert any("test_explaining" in line for line in failure.log)


def test_an_input_with_dots_in_its_name_gets_a_shape() -> None:
    error = DynamicShape("Input 'images.1' has open dimensions: 'h', 'w' in 1,3,h,w.", subject="images.1")
    failure = explain(error, "prepare", Rvc2Spec(), FACTS)
    first = failure.remedies[0]
    assert first.edit == {"inputs.images.1.shape": [1, 3, 224, 224]}
    assert first.options == ("--shape", "images.1=1,3,224,224")


def test_what_stands_in_the_spec_already_is_to_be_left_away() -> None:
    spec = Rvc2Spec(inputs=(InputSpec(name="images.1", mean_values=(1, 2)),))
    error = DynamicShape("Input 'images.1' has open dimensions: 'h', 'w' in 1,3,h,w.", subject="images.1")
    asked = spec.model_copy(update={"outputs": ("gone",)})
    failure = explain(error, "prepare", Rvc2Spec.model_validate(asked.model_dump(exclude_unset=True)), FACTS)
    assert failure.remedies[0].without == ()
    cut = UnsupportedModel("RVC2 cannot run the node 'act' (HardSwish): no.", subject="act")
    remedy = explain(cut, "preflight", Rvc2Spec(outputs=("old",)), FACTS).remedies[0]
    assert (remedy.options, remedy.without) == (("--outputs", "conv_out"), ("--outputs old",))


@pytest.mark.parametrize(
    ("name", "kind", "source", "made"),
    [
        ("act", Kind.NODE, "act", ""),
        ("images.1", Kind.INPUT, "images.1", ""),
        ("images_1", Kind.INPUT, "images.1", "images_1"),
        ("out_0", Kind.OUTPUT, "out:0", "out_0"),
        ("conv_out", Kind.TENSOR, "conv_out", ""),
        ("act/Clip_2", Kind.NODE, "act", "act/Clip_2"),
        ("act/deep/Mul", Kind.NODE, "act/deep", "act/deep/Mul"),
    ],
)
def test_names_of_the_prepared_graph_are_led_back_to_the_source(name: str, kind: Kind, source: str, made: str) -> None:
    place = explain(CompileFailed("no", subject=name), "compile", Rvc2Spec(), FACTS).place
    assert place
    assert (place.kind, place.name, place.made, place.origin) == (kind, source, made, Origin.SOURCE)


def test_a_name_that_the_source_does_not_have_is_told_as_one_of_the_prepared_graph() -> None:
    place = explain(CompileFailed("no", subject="fused_7"), "compile", Rvc2Spec(), FACTS).place
    assert place
    assert place.origin is Origin.PREPARED
    assert "the source has none of that name" in place.in_words()


def test_the_name_of_a_calibration_set_is_not_told_as_a_node() -> None:
    """A set that was not installed was once "the node 'general' of the prepared graph"."""
    error = SetMissing("the calibration set general is not installed", subject="general")
    assert explain(error, "calibrate", facts=FACTS).place is None


def test_an_edit_that_the_spec_cannot_take_leaves_its_words() -> None:
    """A remedy of RVC4's told to a spec of RVC2 must not offer a button that fails."""
    from oakmill.calibration.datasets import SetMissing

    failure = explain(SetMissing("the calibration set general is not installed"), "prepare", Rvc2Spec())
    assert failure.rule == "set-missing"
    assert not any(item.edit for item in failure.remedies)

from __future__ import annotations

from typing import Any

import pytest

from oakmill.errors import BrokenModel, SpecError
from oakmill.model import Tensor, merge_inputs, prefill
from oakmill.spec import Encoding, InputSpec

RGB, BGR, GRAY, NONE = Encoding.RGB, Encoding.BGR, Encoding.GRAY, Encoding.NONE
IMAGE = Tensor("images", (1, 3, 8, 16), "float32")


def archive(*, preprocessing: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    item = {
        "name": "images",
        "dtype": "float32",
        "input_type": "image",
        "shape": [1, 3, 8, 16],
        "layout": "NCHW",
        "preprocessing": preprocessing or {},
    }
    return {"model": {"inputs": [item | parts]}}


def filled(tensor: Tensor = IMAGE, **parts: Any) -> InputSpec:
    (spec,) = prefill(archive(**parts), (tensor,))
    return spec


def asked(**values: Any) -> InputSpec:
    return InputSpec.model_validate(values)


@pytest.mark.parametrize(
    ("preprocessing", "expected"),
    [
        ({}, (None, None)),
        ({"dai_type": "RGB888p"}, (RGB, BGR)),
        ({"dai_type": "BGR888i"}, (BGR, BGR)),
        ({"reverse_channels": True}, (RGB, BGR)),
        ({"reverse_channels": False}, (BGR, BGR)),
        ({"dai_type": "BGR888p", "reverse_channels": True}, (BGR, BGR)),
        ({"dai_type": "RGB888p", "reverse_channels": False}, (RGB, BGR)),
        ({"dai_type": "YUV420p", "reverse_channels": True}, (RGB, BGR)),
        ({"dai_type": "YUV420p"}, (None, None)),
    ],
)
def test_colours_follow_dai_type_and_then_the_older_flag(
    preprocessing: dict[str, Any], expected: tuple[Encoding | None, Encoding | None]
) -> None:
    spec = filled(preprocessing=preprocessing)
    assert (spec.encoding_from, spec.encoding_to) == expected


def test_one_channel_is_gray_and_what_is_no_picture_has_no_colours() -> None:
    gray = filled(Tensor("images", (1, 1, 8, 8), "float32"), shape=[1, 1, 8, 8], preprocessing={"dai_type": "RGB888p"})
    raw = filled(input_type="raw", preprocessing={"dai_type": "RGB888p"})
    four = filled(Tensor("images", (1, 4, 8, 8), "float32"), shape=[1, 4, 8, 8])
    assert [spec.encoding_from for spec in (gray, raw, four)] == [GRAY, NONE, NONE]
    assert [spec.encoding_to for spec in (gray, raw, four)] == [GRAY, NONE, NONE]


def test_mean_and_scale_are_taken_and_identities_left_out() -> None:
    spec = filled(preprocessing={"mean": [1.5, 2, 3], "scale": [255, 255, 255]})
    assert (spec.mean_values, spec.scale_values) == ((1.5, 2, 3), (255, 255, 255))
    spec = filled(preprocessing={"mean": [0, 0, 0], "scale": [1.0, 1.0, 1.0]})
    assert (spec.mean_values, spec.scale_values) == (None, None)
    spec = filled(preprocessing={"mean": None, "scale": []})
    assert (spec.mean_values, spec.scale_values) == (None, None)


def test_the_shape_fixes_open_dimensions() -> None:
    spec = filled(Tensor("images", ("batch", 3, None, "width"), "float32"))
    assert (spec.shape, spec.layout) == ((1, 3, 8, 16), "NCHW")


def test_a_shape_without_batch_gets_one() -> None:
    spec = filled(shape=[3, 8, 16], layout="CHW", preprocessing={"dai_type": "BGR888p"})
    assert (spec.shape, spec.layout, spec.encoding_from) == ((1, 3, 8, 16), "NCHW", BGR)


def test_a_shape_that_says_nothing_is_left_to_the_model() -> None:
    assert filled(shape=[-1, 3, 8, 16]).shape is None


def test_a_layout_whose_channels_cannot_be_right_is_that_of_the_dai_type() -> None:
    tensor = Tensor("images", (1, 8, 16, 3), "float32")
    wrong = filled(tensor, shape=[1, 8, 16, 3], preprocessing={"dai_type": "RGB888i"})
    assert (wrong.layout, wrong.encoding_from) == ("NHWC", RGB)
    assert filled(preprocessing={"dai_type": "RGB888i"}).layout == "NCHW"


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"name": "other"}, "describes the input 'other', but the model's inputs are 'images'"),
        ({"shape": [1, 3, 8, 8]}, r"the shape \[1, 3, 8, 8\], but in the model it is \[1, 3, 8, 16\]"),
        ({"shape": [1, 3], "layout": "NC"}, r"the shape \[1, 3\]"),
        ({"preprocessing": {"scale": [0, 1, 1]}}, "none may be 0"),
        ({"preprocessing": {"mean": [float("nan")]}}, "describes input 'images' wrongly"),
    ],
)
def test_a_config_that_contradicts_the_model_is_refused(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(BrokenModel, match=words):
        filled(**parts)


def test_without_an_archive_every_input_is_listed_and_left_to_the_model() -> None:
    tensors = (IMAGE, Tensor("size", (1, 2), "int64"))
    specs = prefill(None, tensors)
    assert specs == (asked(name="images"), asked(name="size"))
    merged = merge_inputs((), specs)
    assert merged.inputs == specs
    assert set(merged.origins.values()) == {"model"}


def test_the_users_values_win_and_each_value_tells_its_origin() -> None:
    prefilled = filled(preprocessing={"mean": [1, 2, 3], "scale": [4, 5, 6], "dai_type": "RGB888p"})
    merged = merge_inputs((asked(mean_values=(9, 9, 9), encoding_to=RGB),), (prefilled,))
    (spec,) = merged.inputs
    assert (spec.mean_values, spec.scale_values) == ((9, 9, 9), (4, 5, 6))
    assert (spec.encoding_from, spec.encoding_to) == (RGB, RGB)
    assert merged.origins == {
        "images.shape": "archive",
        "images.layout": "archive",
        "images.mean_values": "user",
        "images.scale_values": "archive",
        "images.encoding_from": "archive",
        "images.encoding_to": "user",
    }


def test_repeating_what_the_archive_says_changes_nothing_but_the_origin() -> None:
    prefilled = filled(preprocessing={"mean": [1, 2, 3], "scale": [4, 5, 6]})
    merged = merge_inputs((prefilled,), (prefilled,))
    assert merged.inputs == (prefilled,)
    assert merged.origins["images.mean_values"] == "user"


def test_the_user_can_undo_the_archives_preprocessing() -> None:
    prefilled = filled(preprocessing={"mean": [1, 2, 3]})
    assert merge_inputs((asked(mean_values=(0, 0, 0)),), (prefilled,)).inputs[0].mean_values == (0, 0, 0)


@pytest.mark.parametrize("encoding", [GRAY, NONE])
def test_an_encoding_of_the_users_rules_out_the_archives_other_one(encoding: Encoding) -> None:
    prefilled = filled(preprocessing={"dai_type": "RGB888p"})
    (spec,) = merge_inputs((asked(encoding_from=encoding),), (prefilled,)).inputs
    assert (spec.encoding_from, spec.encoding_to) == (encoding, None)
    (spec,) = merge_inputs((asked(encoding_to=encoding),), (prefilled,)).inputs
    assert (spec.encoding_from, spec.encoding_to) == (None, encoding)


def test_inputs_are_matched_by_name_in_the_models_order() -> None:
    prefilled = prefill(None, (IMAGE, Tensor("size", (1, 2), "int64")))
    merged = merge_inputs((asked(name="size", layout="NC"),), prefilled)
    assert [spec.layout for spec in merged.inputs] == [None, "NC"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (asked(name="other"), "has no input 'other': its inputs are 'images', 'size'"),
        (asked(layout="NC"), "several inputs, so each needs its name"),
        (asked(name="images", shape=(1, 3, 8)), "what is asked of input 'images' does not fit together"),
    ],
)
def test_what_cannot_be_matched_is_refused(spec: InputSpec, words: str) -> None:
    prefilled = (filled(), asked(name="size"))
    with pytest.raises(SpecError, match=words):
        merge_inputs((spec,), prefilled)


KNOWN = {"scale_values": [255.0], "encoding_from": "RGB", "encoding_to": "BGR"}


def test_what_is_recognised_counts_where_nobody_said_anything() -> None:
    """Forms asked for mean, scale and colours of a YOLO, whose conversions then filled them in by themselves."""
    merged = merge_inputs((), prefill(None, (IMAGE,)), KNOWN)
    assert (merged.inputs[0].scale_values, merged.inputs[0].encoding_from) == ((255.0,), RGB)
    assert merged.origins["images.scale_values"] == "recognised"
    assert merged.origins["images.mean_values"] == "model"


def test_one_word_about_preprocessing_rules_out_what_is_recognised() -> None:
    users = merge_inputs((asked(mean_values=(1, 2, 3)),), prefill(None, (IMAGE,)), KNOWN)
    archives = merge_inputs((), (filled(preprocessing={"mean": [1, 2, 3]}),), KNOWN)
    assert [item.inputs[0].scale_values for item in (users, archives)] == [None, None]
    two = merge_inputs((), prefill(None, (IMAGE, Tensor("size", (1, 2), "int64"))), KNOWN)
    assert set(two.origins.values()) == {"model"}

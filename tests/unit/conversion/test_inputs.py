"""Shape, layout, colours and preprocessing of each input are decided from what is asked and what the model says."""

from __future__ import annotations

import pytest

from oakmill.conversion.inputs import findings, guess_layout, match, resolve
from oakmill.errors import SpecError
from oakmill.model.source import Tensor
from oakmill.spec import Encoding, InputSpec

COLOUR = Tensor("image", (1, 3, 8, 8), "float32")
GRAY = Tensor("image", (1, 1, 8, 8), "float32")
FEATURES = Tensor("features", (1, 16), "float32")
LAST = Tensor("image", (1, 8, 8, 3), "float32")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (InputSpec(), (Encoding.RGB, Encoding.BGR)),  # as Luxonis' converter has it: cameras give BGR
        (InputSpec(encoding_from=Encoding.BGR), (Encoding.BGR, Encoding.BGR)),
        (InputSpec(encoding_to=Encoding.RGB), (Encoding.RGB, Encoding.RGB)),
        (InputSpec(encoding_from=Encoding.BGR, encoding_to=Encoding.RGB), (Encoding.BGR, Encoding.RGB)),
        (InputSpec(encoding_from=Encoding.NONE), (Encoding.NONE, Encoding.NONE)),
        (InputSpec(encoding_to=Encoding.NONE), (Encoding.NONE, Encoding.NONE)),
    ],
)
def test_encodings_of_a_colour_image(asked: InputSpec, expected: tuple[Encoding, Encoding]) -> None:
    found = resolve(asked, COLOUR)
    assert (found.encoding_from, found.encoding_to) == expected
    assert found.reverse_channels == (expected[0] != expected[1])
    assert found.is_image == (expected[1] is not Encoding.NONE)


def test_one_channel_is_gray_and_no_picture_is_none() -> None:
    assert resolve(InputSpec(), GRAY).encoding_to is Encoding.GRAY
    assert resolve(InputSpec(), GRAY).is_image
    assert resolve(InputSpec(), FEATURES).encoding_to is Encoding.NONE
    assert not resolve(InputSpec(), FEATURES).is_image
    assert not resolve(InputSpec(), Tensor("image", (1, 3, 8, 8), "int64")).is_image


def test_colours_need_three_channels() -> None:
    with pytest.raises(SpecError, match="1 channel"):
        resolve(InputSpec(encoding_from=Encoding.RGB, encoding_to=Encoding.BGR), GRAY)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((1, 3, 8, 8), "NCHW"),
        ((1, 8, 8, 3), "NHWC"),
        ((1, 8, 8, 1), "NHWC"),
        ((1, 16, 8, 8), "NCHW"),
        ((1, 10), "NC"),
        ((5,), "N"),
    ],
)
def test_layouts_are_guessed_from_where_the_channels_are(shape: tuple[int, ...], layout: str) -> None:
    assert guess_layout(shape) == layout


@pytest.mark.parametrize("values", [(1.0, 2.0), (1.0, 2.0, 3.0, 4.0)])
def test_mean_and_scale_fit_the_channels(values: tuple[float, ...]) -> None:
    with pytest.raises(SpecError, match=rf"3 channel\(s\), but {len(values)} mean values"):
        resolve(InputSpec(mean_values=values), COLOUR)
    with pytest.raises(SpecError, match="scale values"):
        resolve(InputSpec(scale_values=values), LAST)
    assert resolve(InputSpec(mean_values=(1.0,)), COLOUR).mean == (1.0,)


def test_a_layout_fits_the_shape() -> None:
    with pytest.raises(SpecError, match="layout NCH has 3"):
        resolve(InputSpec(layout="NCH"), COLOUR)


def test_values_find_their_input_by_name() -> None:
    both = (COLOUR, FEATURES)
    assert match([InputSpec(name="features", layout="NC")], both)["features"].layout == "NC"
    assert match([InputSpec(layout="NCHW")], [COLOUR])["image"].layout == "NCHW"
    with pytest.raises(SpecError, match="needs the name of its input"):
        match([InputSpec(layout="NCHW")], both)
    with pytest.raises(SpecError, match="no input 'imge'"):
        match([InputSpec(name="imge")], both)


def test_the_swapped_imagenet_pair_is_noticed() -> None:
    mean, scale = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    assert not findings(resolve(InputSpec(mean_values=mean, scale_values=scale), COLOUR))
    (found,) = findings(resolve(InputSpec(mean_values=scale, scale_values=mean), COLOUR))
    assert "look swapped" in found.message
    (found,) = findings(resolve(InputSpec(mean_values=(0.485, 0.456, 0.406)), COLOUR))
    assert "for pixels of 0 to 1" in found.message

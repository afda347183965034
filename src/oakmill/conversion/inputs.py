"""Decides, for each input of the model, its shape, layout, colour order and preprocessing, and says where from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from oakmill.errors import SpecError
from oakmill.findings import Finding
from oakmill.model.source import Tensor
from oakmill.spec import Encoding, InputSpec, preprocessing_rules
from oakmill.spec.recipe import InputRecord

_LAYOUTS = {1: "N", 2: "NC", 3: "NCD", 5: "NCDHW", 6: "NCDEFG"}
_COLOUR_CHANNELS = 3


@dataclass(frozen=True)
class ResolvedInput:
    """One input with everything decided.

    `mean` and `scale` are in the source model's channel order, or None where nothing is subtracted or divided by.
    `array_layout` is the layout of arrays that come as files, where it is not that of the input, and `raw_layout` that
    of those without a header, where it is another. `limits` are the
    first whole number that is valid and the first that is no longer, where they are known.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    encoding_from: Encoding
    encoding_to: Encoding
    mean: tuple[float, ...] | None
    scale: tuple[float, ...] | None
    array_layout: str = ""
    raw_layout: str = ""
    limits: tuple[int, int] | None = None

    @property
    def record(self) -> InputRecord:
        """For the recipe."""
        return InputRecord(**{name: value for name, value in vars(self).items() if name in InputRecord.model_fields})

    @property
    def is_image(self) -> bool:
        """Whether the converted model takes this input as 8-bit pixels."""
        return self.encoding_to is not Encoding.NONE and self.dtype.startswith("float")

    def channels_last(self) -> ResolvedInput:
        """The same input as RVC4 takes it: an image of NCHW as NHWC, integers of 64 bits in 32."""
        narrow = replace(self, dtype="int32") if self.dtype == "int64" else self
        if not self.is_image or self.layout != "NCHW":
            return narrow
        batch, channels, height, width = self.shape
        return replace(narrow, layout="NHWC", shape=(batch, height, width, channels), array_layout="NCHW")

    @property
    def reverse_channels(self) -> bool:
        """Whether the converted model takes the colour channels in the opposite order."""
        return self.encoding_from != self.encoding_to and {self.encoding_from, self.encoding_to} == {
            Encoding.RGB,
            Encoding.BGR,
        }

    @property
    def channels(self) -> int:
        """The number of channels; 1 where the layout has none."""
        return self.shape[self.layout.index("C")] if "C" in self.layout else 1


def match(asked: Sequence[InputSpec], tensors: Sequence[Tensor]) -> dict[str, InputSpec]:
    """What is asked of each input of the model, by the input's name.

    Raises:
        SpecError: a name is not an input's, or a nameless description stands for several inputs.
    """
    names = [tensor.name for tensor in tensors]
    found: dict[str, InputSpec] = {}
    for spec in asked:
        if spec.name is None and len(names) > 1:
            raise SpecError(
                f"the model has {len(names)} inputs, so each value needs the name of its input",
                remedy=f"write NAME=VALUES; the inputs are {', '.join(names)}",
            )
        name = spec.name or names[0]
        if name not in names:
            raise SpecError(f"the model has no input {name!r}", remedy=f"its inputs are {', '.join(names)}")
        found[name] = spec.model_copy(update={"name": name})
    return {name: found.get(name, InputSpec(name=name)) for name in names}


def resolve(asked: InputSpec, tensor: Tensor) -> ResolvedInput:
    """Decide one input, whose shape is fixed by now, and check that the values fit it.

    Raises:
        SpecError: the number of mean or scale values, the layout or the encoding does not fit the input.
    """
    shape = tuple(int(size) for size in tensor.shape if isinstance(size, int))
    layout = asked.layout or guess_layout(shape)
    if len(layout) != len(shape):
        raise SpecError(
            f"input {tensor.name!r} has {len(shape)} dimensions {list(shape)}, layout {layout} has {len(layout)}"
        )
    channels = shape[layout.index("C")] if "C" in layout else 1
    came_as, goes_as = _encodings(asked, tensor.name, channels, is_image="H" in layout and "W" in layout)
    for what, values in (("mean", asked.mean_values), ("scale", asked.scale_values)):
        _check_count(tensor.name, what, values, channels)
    return ResolvedInput(
        tensor.name, shape, tensor.dtype, layout, came_as, goes_as, asked.mean_values, asked.scale_values
    )


def guess_layout(shape: Sequence[int]) -> str:
    """The layout that a shape most likely has: for four dimensions by where 1 or 3 channels stand."""
    if len(shape) == 4:
        return "NHWC" if shape[1] not in (1, 3) and shape[3] in (1, 3) else "NCHW"
    return _LAYOUTS.get(len(shape), "NCDEFGIJKL"[: len(shape)])


def findings(item: ResolvedInput) -> tuple[Finding, ...]:
    """Values that are legal but look like the well-known mistakes."""
    return preprocessing_rules.mistakes(
        item.name, item.mean, item.scale, pixels=item.is_image, encoding=item.encoding_from
    )


def _encodings(asked: InputSpec, name: str, channels: int, *, is_image: bool) -> tuple[Encoding, Encoding]:
    if channels == _COLOUR_CHANNELS and is_image:
        came_as = asked.encoding_from or _unless_colour(asked.encoding_to) or Encoding.RGB
        return came_as, asked.encoding_to or _unless_colour(came_as) or Encoding.BGR
    given = {asked.encoding_from, asked.encoding_to} & {Encoding.RGB, Encoding.BGR}
    if given:
        raise SpecError(
            f"input {name!r} has {channels} channel(s), which cannot be in {given.pop()} order",
            remedy="use GRAY for 1 channel and NONE for data that is not an image",
        )
    only = Encoding.GRAY if channels == 1 and is_image else Encoding.NONE
    only = asked.encoding_from or asked.encoding_to or only
    return only, asked.encoding_to or only


def _unless_colour(encoding: Encoding | None) -> Encoding | None:
    """GRAY or NONE on one side means the same on the other."""
    return encoding if encoding in (Encoding.GRAY, Encoding.NONE) else None


def _check_count(name: str, what: str, values: tuple[float, ...] | None, channels: int) -> None:
    if values is not None and len(values) not in (1, channels):
        raise SpecError(
            f"input {name!r} has {channels} channel(s), but {len(values)} {what} values were given",
            remedy=f"give {channels} values, or one for all channels",
        )

"""Conventions of mean and scale in use, and the well-known mistakes with them, each found with the values that mend it.

Everything that looks at mean and scale asks here: the conversion, the form, the accuracy passport, the examination of
a calibration set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from oakmill.findings import Finding, Severity
from oakmill.spec.inputs import IMAGENET_MEAN, IMAGENET_SCALE, Encoding

Values = tuple[float, ...]

TOLERANCE = 0.01
"""How far a value may be from ImageNet's, as a share of it, to be taken for ImageNet's.

Rounding to whole numbers stays inside (58, 57, 57 are 0.7 % off, as is Caffe's 104, 117, 123). Three equal values stay
outside, as those of a set of gray images are: nearest to ImageNet's scale are three of 57.75, 1.1 % off.
"""

PIXELS = 255.0
"""The largest pixel; values for pixels of 0 to 1 times this are those for pixels as cameras give them."""

FACTOR = 0.1
"""Below, a scale is one to multiply with: known factors are 1/255 to 1/57, the smallest known divisor is 0.2."""


@dataclass(frozen=True)
class Preset:
    """A convention: what is subtracted and what is divided by, of pixels of 0 to 255, in the order R, G, B.

    One value is for all channels; nothing is done where there are none.
    """

    key: str
    title: str
    mean: Values = ()
    scale: Values = ()

    def in_order(self, encoding: str) -> tuple[Values, Values]:
        """Mean and scale in the order of a model's colours."""
        return (self.mean[::-1], self.scale[::-1]) if encoding == Encoding.BGR else (self.mean, self.scale)

    def fits(self, channels: int) -> bool:
        """Whether it has values for so many channels."""
        return {len(self.mean), len(self.scale)} <= {0, 1, channels}


IMAGENET = Preset("imagenet", "ImageNet", IMAGENET_MEAN, IMAGENET_SCALE)
PRESETS = (
    IMAGENET,
    Preset("unit", "0 to 1", scale=(PIXELS,)),
    Preset("signed", "−1 to 1", (127.5,), (127.5,)),
    Preset("none", "As the camera gives it"),
    Preset("caffe", "Caffe's mean", (123.68, 116.779, 103.939)),
)

CONVENTIONS = (
    *PRESETS,
    Preset("caffe_scaled", "Caffe's mean, times 0.017", (123.68, 116.779, 103.939), (1 / 0.017,)),
    Preset("by_128", "127 and 128", (127.0,), (128.0,)),
    Preset("centred", "−128 to 128", (127.5,)),
    Preset("clip", "CLIP", (122.771, 116.746, 104.094), (68.501, 66.632, 70.323)),
    Preset("cifar", "CIFAR-10", (125.307, 122.961, 113.8575), (62.993, 62.0887, 66.7049)),
    Preset("imagenet_mean", "ImageNet's mean, −0.5 to 0.5", IMAGENET_MEAN, (PIXELS,)),
    Preset("mnist", "MNIST", (33.3285,), (78.5655,)),
)
"""Those that a model may be asked about: `PRESETS`, which are offered, and the rarer ones that published code has:
MobileNet's for Caffe, RetinaFace's and Ultraface's, OpenAI's CLIP, PyTorch's examples for CIFAR-10 and MNIST."""


def options(mean: Values, scale: Values, encoding: str) -> str:
    """What `convert` is given for them, in its own words."""
    return f"--mean-values {words(mean or (0.0,))} --scale-values {words(scale or (1.0,))} --encoding-from {encoding}"


def mistakes(
    name: str,
    mean: Sequence[float] | None,
    scale: Sequence[float] | None,
    *,
    pixels: bool = True,
    encoding: str | None = None,
) -> tuple[Finding, ...]:
    """What is legal of one input's mean and scale, but a well-known mistake.

    Args:
        name: of the input, for the words; "" where they stand beside it.
        mean: one value, or one for each channel in the source model's order; nothing is subtracted where there is none.
        scale: the same of what is divided by.
        pixels: whether the input takes pixels of 0 to 255.
        encoding: the source model's colour order, where it is known; the order of the mean is looked at then.

    Returns:
        At most one finding on the values, and one on their order. `evidence` has `mean` and `scale` as given, and
        `corrected`: the fields of an InputSpec that mend it, with their values.
    """
    given = _Given(name, tuple(mean or ()), tuple(scale or ()))
    found = _swapped(given) or (pixels and (_multiplied(given) or _for_unit_range(given))) or None
    order = _order(given, encoding) if encoding else None
    return tuple(item for item in (found, order) if item)


@dataclass(frozen=True)
class _Given:
    """One input's mean and scale."""

    name: str
    mean: Values
    scale: Values

    def finding(
        self, code: str, severity: Severity, title: str, message: str, *, remedy: str = "", **corrected: object
    ) -> Finding:
        where = f"input {self.name!r}: " if self.name else ""
        evidence = {"mean": list(self.mean), "scale": list(self.scale), "corrected": corrected}
        return Finding(code, severity, where + message, title, remedy, self.name, evidence=evidence)

    def corrected(self, code: str, title: str, message: str, mean: Values, scale: Values) -> Finding:
        """An error that other values mend."""
        said = " and ".join(f"{what} {words(values)}" for what, values in (("mean", mean), ("scale", scale)) if values)
        fields = {"mean_values": list(mean), "scale_values": list(scale)}
        return self.finding(code, Severity.ERROR, title, message, remedy=f"give {said}", **fields)


def _swapped(given: _Given) -> Finding | None:
    """ImageNet's scale as the mean, its mean as the scale, or both: no convention in use has either."""
    backwards = [
        _order_of(values, known) for values, known in ((given.mean, IMAGENET_SCALE), (given.scale, IMAGENET_MEAN))
    ]
    if backwards == [None, None]:
        return None
    mean, scale = IMAGENET.in_order(Encoding.BGR if Encoding.BGR in backwards else Encoding.RGB)
    return given.corrected(
        "swapped_mean_scale",
        "ImageNet's mean and scale are swapped",
        f"mean {words(given.mean)} and scale {words(given.scale)} look swapped; ImageNet's are mean {words(mean)} and "
        f"scale {words(scale)}",
        mean,
        scale,
    )


def _multiplied(given: _Given) -> Finding | None:
    """A scale that was meant as a factor."""
    largest = max(map(abs, given.scale), default=1.0)
    if largest >= FACTOR or 0 in given.scale:
        return None
    return given.corrected(
        "scale_multiplies",
        "The scale is a factor",
        f"scale {words(given.scale)} divides, so that pixels become as large as {PIXELS / largest:,.0f}",
        _of_pixels(given.mean),
        tuple(1 / value for value in given.scale),
    )


def _for_unit_range(given: _Given) -> Finding | None:
    """Values for pixels of 0 to 1. A scale of 1 alone is none: it says that nothing is divided."""
    in_unit = 0 < max(map(abs, given.mean), default=0.0) <= 1
    if not in_unit and not max(map(abs, given.scale), default=1.0) < 1:
        return None
    scale = given.scale or (1.0,)
    return given.corrected(
        "scale_255_missing",
        "Mean and scale are for another range of pixels",
        f"mean {words(given.mean)} and scale {words(given.scale)} are for pixels of 0 to 1, but cameras give 0 to 255",
        _of_pixels(given.mean),
        tuple(value * PIXELS for value in scale) if max(map(abs, scale)) <= 1 else scale,
    )


def _of_pixels(mean: Values) -> Values:
    return tuple(value * PIXELS for value in mean) if max(map(abs, mean), default=0.0) <= 1 else mean


def _order(given: _Given, encoding: str) -> Finding | None:
    """ImageNet's mean, for pixels of 0 to 255, in the order that the model's colours do not have."""
    other = {Encoding.RGB: Encoding.BGR, Encoding.BGR: Encoding.RGB}.get(Encoding(encoding))
    if other is None or not _near(given.mean, IMAGENET.in_order(other)[0]):
        return None
    return given.finding(
        "mean_order",
        Severity.WARNING,
        "The mean is in the other order of colours",
        f"the mean {words(given.mean)} is ImageNet's in the order {other}, but the model's colours are {encoding}",
        remedy=f"right only for a model trained on {other}: give the order of its colours as {other}",
        encoding_from=other.value,
    )


def _order_of(values: Values, known: Values) -> Encoding | None:
    """The order of colours in which values are these, for pixels of 0 to 255 or of 0 to 1."""
    for unit in (1.0, PIXELS):
        scaled = tuple(value * unit for value in values)
        if _near(scaled, known) or _near(scaled[::-1], known):
            return Encoding.RGB if _near(scaled, known) else Encoding.BGR
    return None


def _near(values: Values, known: Values) -> bool:
    return len(values) == len(known) and all(
        abs(value - wanted) <= TOLERANCE * wanted for value, wanted in zip(values, known, strict=True)
    )


def words(values: Iterable[float]) -> str:
    """Values as an option takes them, or "none"."""
    return ",".join(f"{value:.6g}" for value in values) or "none"

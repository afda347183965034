"""Asks the float model itself which mean, scale and colour order it was trained on: the right ones make it see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.inputs import ResolvedInput
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.confidence import Confidence, clarity, is_clear
from oakmill.conversion.passport.mirror import Kept, witness
from oakmill.conversion.passport.tasks import Task
from oakmill.findings import Finding, Severity
from oakmill.spec import Encoding
from oakmill.spec.preprocessing_rules import CONVENTIONS, Values, options

SCREENED, COMPARED, FINALISTS = 6, 24, 2
"""Images that each convention is tried on, images that the best few of them are, and how many these are, each in both
orders: 400 runs of the model in all, for one that may be blind."""
HELD_BYTES = 256 << 20
"""Of images that are held, and of those that one run gets."""
FIRM = 0.1
"""By how much more must stay on mirror images for a convention that the model is not surer with: a tenth of all."""
MANY_MORE = 2
"""How many times as many boxes a convention must show where less of them stays: pixels too strong show some more."""
GIVEN = "as given"
SAME_LEVELS, SAME_SHARE = 1.0, 0.03
"""Means that are as near, in levels of 255, and scales that are, as a share, no model tells apart."""

Run = Callable[[Sequence[Outputs]], Iterable[Outputs]]


@dataclass(frozen=True)
class Convention:
    """Mean and scale in the order of the model's colours, and that order; `title` names what is well known."""

    title: str
    mean: Values
    scale: Values
    encoding: Encoding

    def of_pixels(self, pixels: NDArray[Any], axis: int, *, turned: bool) -> NDArray[Any]:
        """Pixels, whose channels lie along an axis, as the model takes them; `turned` reverses the channels first."""
        channels = np.flip(pixels, axis) if turned else pixels
        return (channels - _along(self.mean or (0.0,), pixels, axis)) / _along(self.scale or (1.0,), pixels, axis)

    def to_pixels(self, fed: NDArray[Any], axis: int, *, turned: bool) -> NDArray[Any]:
        """What pixels would have to be, so that the model takes these."""
        pixels = fed * _along(self.scale or (1.0,), fed, axis) + _along(self.mean or (0.0,), fed, axis)
        return np.flip(pixels, axis) if turned else pixels


def _along(values: Values, like: NDArray[Any], axis: int) -> NDArray[np.float64]:
    shape = [1] * like.ndim
    shape[axis] = len(values)
    return np.array(values, np.float64).reshape(shape)


def declared(item: ResolvedInput) -> Convention:
    """What an input was given."""
    return Convention(GIVEN, item.mean or (), item.scale or (), item.encoding_from)


def others(item: ResolvedInput) -> list[Convention]:
    """The conventions in use in the input's own order of colours, without those that are as good as its own."""
    ours, order = declared(item), item.encoding_from
    found = (
        Convention(preset.title, *preset.in_order(order), order) for preset in CONVENTIONS if preset.fits(item.channels)
    )
    return [convention for convention in found if not _same(convention, ours)]


def _same(a: Convention, b: Convention) -> bool:
    means = _three(a.mean or (0.0,)) - _three(b.mean or (0.0,))
    scales = _three(a.scale or (1.0,)) / _three(b.scale or (1.0,)) - 1
    return bool(np.abs(means).max() <= SAME_LEVELS and np.abs(scales).max() <= SAME_SHARE)


def _three(values: Values) -> NDArray[np.float64]:
    return np.broadcast_to(np.array(values, np.float64), 3)


@dataclass(frozen=True)
class Testimony:
    """What the model said in one convention: how sure it was of each image, and what stayed on its mirror image."""

    sure: Confidence
    kept: Kept

    @property
    def stays(self) -> Confidence:
        """What stayed, as something to compare."""
        return Confidence(self.kept.by_image)

    def of_first(self, count: int) -> Testimony:
        """The same on the first images."""
        things = -(-self.kept.things * count // max(count, self.kept.images))
        kept = replace(self.kept, by_image=self.kept.by_image[:count], things=things)
        return Testimony(Confidence(self.sure.values[:count]), kept)


def is_better(ours: Testimony, theirs: Testimony) -> bool:
    """Whether a convention fits clearly better than the one that was given.

    Most of what the model sees must stay on mirror images, and no less of it than before, of classes clearly more; and
    it must be clearly surer, or see clearly more that stays. To be surer is not enough: where the pixels are too
    strong a network is sure of everything, and the less its biases count, the more are its classes the same. Nor are
    some more boxes, of which less stays.
    """
    fewer_stay = theirs.kept.share < ours.kept.share
    if not ours.kept.commonest and fewer_stay and theirs.kept.things < MANY_MORE * ours.kept.things:
        return False
    more = theirs.kept.mean - ours.kept.mean
    if not theirs.kept.is_steady or more < (FIRM if ours.kept.commonest else 0.0):
        return False
    return is_clear(ours.sure, theirs.sure) or is_clear(ours.stays, theirs.stays, FIRM)


class Inquiry:
    """Runs the model on some images in several conventions.

    Args:
        item: the input as the source takes it, and `outer` as the converted model does: both of pixels.
        run: the source model, which preprocesses as was declared.
        samples: the images, and `places` those of them that are different from each other.
        task: what reads its outputs.
    """

    def __init__(
        self, item: ResolvedInput, outer: ResolvedInput, run: Run, samples: SampleSet, places: Sequence[int], task: Task
    ) -> None:
        self._item, self._outer, self._run, self._samples, self._task = item, outer, run, samples, task
        each = 2 * sum(array.nbytes for array in samples[places[0]].values())
        self._at_once = max(1, HELD_BYTES // each)
        self._images = [samples[place] for place in places[: min(COMPARED, self._at_once)]]

    def better(self, ours: Testimony) -> tuple[Convention, Testimony] | None:
        """The convention that fits clearly better, and what the model says in it; `ours` is what it says as given.

        All are tried on few images, in the declared order of colours; the best on more and in both orders, as is what
        was given in the other order.
        """
        tried = [(convention, self._testimony(convention, SCREENED)) for convention in others(self._item)]
        best = [convention for convention, _ in sorted(tried, key=lambda item: -rank(item[1]))[:FINALISTS]]
        if self._item.channels == 3:
            best += [_in_other_order(convention) for convention in (declared(self._item), *best)]
        given = ours.of_first(len(self._images))
        found = [(convention, self._testimony(convention, len(self._images))) for convention in best]
        fitting = [item for item in found if is_better(given, item[1])]
        return max(fitting, key=lambda item: rank(item[1]), default=None)

    def _testimony(self, convention: Convention, count: int) -> Testimony:
        seen, sure = witness(self._task), []
        assert seen is not None
        for first in range(0, count, self._at_once):
            views = [
                view for raw in self._images[first:count][: self._at_once] for view in self._views(convention, raw)
            ]
            outputs = iter(self._run(views))
            for plain, reflected in zip(outputs, outputs, strict=True):
                seen.add(plain, reflected)
                sure.append(clarity(self._task, plain))
        return Testimony(Confidence(tuple(sure)), seen.kept())

    def _views(self, convention: Convention, raw: Outputs) -> tuple[Outputs, Outputs]:
        """An image and its mirror image, so that the source model takes them in a convention."""
        name, axis, ours = self._outer.name, self._outer.layout.index("C"), declared(self._item)
        fed = convention.of_pixels(raw[name], axis, turned=self._turns(convention))
        plain = {**raw, name: ours.to_pixels(fed, axis, turned=self._turns(ours)).astype(raw[name].dtype)}
        return plain, mirrored(plain, self._outer)

    def _turns(self, convention: Convention) -> bool:
        return self._item.channels == 3 and convention.encoding != self._item.encoding_to


def mirrored(raw: Outputs, outer: ResolvedInput) -> Outputs:
    """A sample with its image mirrored."""
    return {**raw, outer.name: np.flip(raw[outer.name], outer.layout.index("W"))}


def rank(said: Testimony) -> float:
    """By what conventions are sorted, here and on the hub's page of colours: what stays, then how sure it is."""
    return (said.kept.mean if said.kept.is_steady else 0.0) + 0.1 * said.sure.mean


def _in_other_order(convention: Convention) -> Convention:
    encoding = Encoding.BGR if convention.encoding is Encoding.RGB else Encoding.RGB
    return Convention(convention.title, convention.mean[::-1], convention.scale[::-1], encoding)


def finding(item: ResolvedInput, ours: Testimony, found: Convention, theirs: Testimony) -> Finding:
    """That another convention fits better, as an edit."""
    ours = ours.of_first(len(theirs.sure.values))
    words = options(found.mean, found.scale, found.encoding)
    fields = {"mean_values": list(found.mean or (0.0,)), "scale_values": list(found.scale or (1.0,))}
    return Finding(
        "other_convention",
        Severity.WARNING,
        f"with {_name(found)}, {theirs.kept.mean:.0%} of what the float model sees stays on mirror images, and it is "
        f"clear to {theirs.sure.mean:.0%}; as given {ours.kept.mean:.0%} and {ours.sure.mean:.0%}",
        title="Another mean, scale or colour order fits better",
        remedy=f"convert with {words}",
        subject=item.name,
        evidence={
            "convention": found.title,
            "corrected": {**fields, "encoding_from": found.encoding.value},
            "stays": round(theirs.kept.mean, 4),
            "stays_as_given": round(ours.kept.mean, 4),
            "clear": round(theirs.sure.mean, 4),
            "clear_as_given": round(ours.sure.mean, 4),
        },
    )


def _name(found: Convention) -> str:
    """A convention in words."""
    if found.title == GIVEN:
        return f"the same mean and scale in the order {found.encoding}"
    return f"{found.title!r} in the order {found.encoding}"

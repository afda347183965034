"""What is on the images as the model sees them: labels by the image's name, places in parts of the model's input."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oakmill.calibration.images import placed
from oakmill.calibration.labels import ImageLabels, Kind, Labels, Thing
from oakmill.calibration.labels.labels import IGNORED
from oakmill.conversion.images.samples import SampleSet
from oakmill.heads.decoders import Size
from oakmill.spec import Resize

Floats = NDArray[np.float64]
SHOWN = 5
"""Classes that are named where the model does not know them."""


class ClassMap(NamedTuple):
    """The model's class for each of the labels' that it knows, and in words how that was found."""

    to_model: Mapping[int, int]
    words: str


@dataclass(frozen=True)
class Truth:
    """The labels of the images that test; `size` is the height and width of the model's input."""

    labels: Labels
    size: Size | None
    resize: Resize
    by_name: Mapping[str, ImageLabels] = field(repr=False)

    @classmethod
    def of(cls, labels: Labels | None, samples: SampleSet, size: Size | None, resize: Resize) -> Truth | None:
        """None where nothing is known of any of the images."""
        if labels is None:
            return None
        found = zip(samples.names, samples.sha256, strict=True)
        known = {name: labels.images[digest] for name, digest in found if digest in labels.images}
        return cls(labels, size, resize, known) if known else None

    @property
    def kind(self) -> Kind:
        """What is labelled."""
        return self.labels.kind

    @property
    def has_keypoints(self) -> bool:
        """Whether anything is labelled by keypoints."""
        return any(thing.points for image in self.by_name.values() for thing in image.things or ())

    def corners(self, image: ImageLabels, things: Sequence[Thing], *, cut: bool = True) -> Floats:
        """The things' boxes [n, 4] in parts of the model's input, cut at its sides or whole."""
        assert self.size is not None
        (a, b), (c, d) = placed(image.size, (self.size[1], self.size[0]), self.resize)
        boxes = np.array([thing.box for thing in things], np.float64).reshape(-1, 4)
        whole: Floats = boxes * (a, c, a, c) + (b, d, b, d)
        return np.clip(whole, 0, 1) if cut else whole

    @property
    def listed(self) -> tuple[int, ...]:
        """The classes that the labels name, else all that a mask may have."""
        return tuple(range(len(self.labels.names) or IGNORED))

    def class_map(
        self, names: Sequence[str], classes: int | None = None, used: Sequence[int] | None = None
    ) -> ClassMap:
        """Match the labels' classes with the model's: by name where both have names, else by number.

        Args:
            names: the model's, by index; none where it has none.
            classes: how many it has, where that is known.
            used: the labels' classes that may come; by default those that do.
        """
        used = sorted(self._used()) if used is None else used
        own, names = self.labels.names, () if _are_numbers(names) else names
        if not names or not any(own):
            whose = "the model names no classes" if any(own) else "the labels name no classes"
            known = {index: index for index in used if classes is None or index < classes}
            return ClassMap(known, f"classes are matched by number, as {whose}{self._unknown(used, known)}")
        places = _places(names)
        known = {}
        for index in used:
            found = places.get(_plain(own[index])) if index < len(own) else None
            if found:
                known[index] = index if index in found else found[0]
        return ClassMap(known, f"classes are matched by name{self._unknown(used, known)}")

    def _used(self) -> set[int]:
        things = (thing.label for image in self.labels.images.values() for thing in image.things or ())
        return {*things, *(image.label for image in self.labels.images.values() if image.label is not None)}

    def _unknown(self, used: Sequence[int], known: Mapping[int, int]) -> str:
        names = [self._name(index) for index in used if index not in known]
        if not names:
            return ""
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return f"; the model does not know {', '.join(names[:SHOWN])}{more}, which do not count"

    def _name(self, index: int) -> str:
        return (self.labels.names[index] if index < len(self.labels.names) else "") or f"class {index}"


def _are_numbers(names: Sequence[str]) -> bool:
    """Whether classes are numbered, as an archive numbers those whose names nobody knows: 0, 1 or class 0, class 1."""
    return all(_plain(name).removeprefix("class ") == str(index) for index, name in enumerate(names))


def _places(names: Sequence[str]) -> dict[str, list[int]]:
    """The model's classes by name; ImageNet's have several, with commas between them, and whole names come first."""
    found: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        found.setdefault(_plain(name), []).append(index)
    for index, name in enumerate(names):
        for word in name.split(","):
            if index not in found.setdefault(_plain(word), []):
                found[_plain(word)].append(index)
    return found


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()

"""The variants to feed an image that are tried side by side, and which of them fits the model best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from oakmill.conversion.passport import confidence, conventions
from oakmill.spec import Encoding
from oakmill.spec.preprocessing_rules import PRESETS, Values
from oakmill.untrusted.questions import Preprocessed, Reaction

Pair = tuple[Values, Values]
"""What is subtracted, and what is divided by; nothing where it is empty."""


@dataclass
class Variant:
    """A variant, and what the model said: what it sees on the image, and how sure it is of that and of further ones."""

    title: str
    encoding: str
    mean: Values
    scale: Values
    reaction: Reaction = field(default_factory=Reaction)

    @property
    def sure(self) -> float | None:
        """How sure the model is of the image that is shown."""
        return next(iter(self.reaction.certainty), None)

    @property
    def mean_sure(self) -> float | None:
        """How sure it is on average."""
        known = [value for value in self.reaction.certainty if value is not None]
        return sum(known) / len(known) if known else None

    @property
    def stays(self) -> float | None:
        """The share of what it sees that is there on mirror images too; None of what is no class and no box."""
        return self.reaction.testimony.kept.mean if self.reaction.testimony else None

    @property
    def order(self) -> float:
        """By what variants are sorted, as the passport does; those that say nothing come last."""
        if self.mean_sure is None:
            return -1.0
        return conventions.rank(self.reaction.testimony) if self.reaction.testimony else self.mean_sure

    def fits_better(self, other: Variant) -> bool:
        """Whether the model says so clearly, as the passport judges; of red and blue, how clear it is says it."""
        ours, theirs = self.reaction.testimony, other.reaction.testimony
        if not ours or not theirs:
            return False
        if self.words == other.words:
            return confidence.is_clear(*confidence.where_seen(theirs.sure, ours.sure))
        return conventions.is_better(theirs, ours)

    @property
    def words(self) -> str:
        """The title without the order of colours."""
        return self.title.partition(", ")[2]

    @property
    def preprocessed(self) -> Preprocessed:
        """As a worker is asked."""
        return Preprocessed(encoding=Encoding(self.encoding), mean=self.mean, scale=self.scale)

    def into_form(self, at: int) -> str:
        """The query that takes it into the convert form, for the input of that place."""
        values = {"mean_values": self.mean or (0.0,), "scale_values": self.scale or (1.0,)}
        words = {name: ", ".join(f"{value:g}" for value in numbers) for name, numbers in values.items()}
        return urlencode(
            {f"inputs.{at}.{name}": text for name, text in {**words, "encoding_from": self.encoding}.items()}
        )


def swapped(pair: Pair) -> tuple[str, Pair]:
    """The well-known mistake, in words: mean and scale exchanged; where that cannot be, both omitted."""
    mean, scale = pair
    if mean and scale and 0.0 not in mean:
        return "mean and scale swapped", (scale, mean)
    return "no mean, no scale", ((), ())


def tiles(pair: Pair, encodings: Sequence[str], known_as: str) -> list[Variant]:
    """The four that are shown large: both orders of colours, values right and swapped."""
    wrong, other = swapped(pair)
    rows = [(known_as, pair), (wrong, other)]
    if pair == other:
        rows = rows[:1]
    return [Variant(f"{encoding}, {words}", encoding, *values) for words, values in rows for encoding in encodings]


def others(shown: Sequence[Variant], encodings: Sequence[str]) -> list[Variant]:
    """The conventions in use that are not among the tiles."""
    there = {(variant.mean, variant.scale) for variant in shown}
    return [
        Variant(f"{encoding}, {preset.title}", encoding, *preset.in_order(encoding))
        for preset in PRESETS
        if (preset.mean, preset.scale) not in there
        for encoding in encodings
    ]


def regrouped(shown: Sequence[Variant], rest: Sequence[Variant]) -> tuple[list[Variant], list[Variant]]:
    """Tiles and others where nobody said what is right: the best convention above, what was taken for it below."""
    best = best_of([*shown, *rest])
    if best is None or best in shown:
        return list(shown), list(rest)
    first = [variant for variant in rest if variant.words == best.words]
    tiles = [*first, *shown[: len(first)]]
    return tiles, [variant for variant in (*shown, *rest) if variant not in tiles]


def best_of(variants: Sequence[Variant]) -> Variant | None:
    """The one that fits best; none where nothing says how sure the model is."""
    known = [variant for variant in variants if variant.mean_sure is not None]
    return max(known, key=lambda variant: variant.order, default=None)


def is_clear(best: Variant, variants: Sequence[Variant]) -> bool:
    """Whether it fits better than every other by more than chance does."""
    rest = [variant for variant in variants if variant is not best and variant.mean_sure is not None]
    return bool(rest) and all(best.fits_better(variant) for variant in rest)

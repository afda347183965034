"""What the form advises about the number format: what each costs, and how this model fared in it before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from oakmill.registry.tables import Instance, InstanceStatus
from oakmill.spec import Precision
from oakmill.spec.platforms import PLATFORMS

WORDS: Mapping[str, tuple[tuple[Precision, str], ...]] = {
    "rvc3": (
        (Precision.INT8_STANDARD, "the fastest. Most models lose little with fitting images; some lose a lot."),
        (Precision.FP16_STANDARD, "loses nothing to speak of and needs no images; twice the size, and slower."),
        (Precision.AUTO, "finds out: it converts in INT8, measures, and takes FP16 where too much is lost."),
    ),
    "rvc4": (
        (Precision.INT8_STANDARD, "the fastest. Most models lose little with fitting images; some lose a lot."),
        (Precision.INT8_INT16_MIXED, "keeps activations in 16 bits: mends most of what INT8 loses, and is slower."),
        (Precision.FP16_STANDARD, "loses nothing to speak of and needs no images; twice the size, and slower."),
        (Precision.AUTO, "finds out: from the fastest on it takes the first whose accuracy passport is ok."),
    ),
}


@dataclass(frozen=True)
class Advice:
    """A number format with what is to be known of it; `before` is the verdict that this source had in it."""

    precision: Precision
    words: str
    before: tuple[str, ...] = ()


def advice(platform: str, results: Sequence[Instance]) -> list[Advice]:
    """What there is to say of each format of a platform, with the results of the same source."""
    return [Advice(item, words, tuple(_verdicts(platform, item, results))) for item, words in WORDS.get(platform, ())]


def _verdicts(platform: str, precision: Precision, results: Sequence[Instance]) -> Iterator[str]:
    """The last verdict, of the newest result first."""
    for row in results:
        same = row.model_type == PLATFORMS[platform].title and row.precision == precision.value
        if same and row.status == InstanceStatus.AVAILABLE and row.verdict:
            yield row.verdict
            return

"""Reads the form that asks for several conversions at once: ticks for platforms and formats, all else said once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oakmill.calibration.datasets import SETS
from oakmill.conversion import ladder
from oakmill.errors import SpecError
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, Precision, QuantizingSpec
from oakmill.spec.platforms import PLATFORMS
from oakmill.web.forms import values as spec_values
from oakmill.web.forms.source import Source
from oakmill.web.forms.submitted import Fields
from oakmill.web.forms.values import Checked
from oakmill.web.views.filters import precision

WANTED = "wanted"
"""The name of the ticks; their values are rvc2, or rvc4:INT8_STANDARD."""
PRECISION, IMAGES, TESTS = "target_precision", "quantization_data", "verification_images"
NO_TICK = "Tick at least one platform."


@dataclass(frozen=True)
class Tick:
    """Something that can be ticked: a platform, with one of its number formats where it has several."""

    platform: str
    precision: str = ""
    label: str = ""
    note: str = ""
    on: bool = False

    @property
    def value(self) -> str:
        """As the form sends it."""
        return f"{self.platform}:{self.precision}" if self.precision else self.platform

    @property
    def needs_images(self) -> bool:
        """Whether images calibrate it."""
        return bool(self.precision) and not Precision(self.precision).is_float


def shared_kind() -> type[ConversionSpec]:
    """The spec whose fields the form shows: what the platforms share that quantize."""
    return QuantizingSpec


def ticks(platform: str, on: Sequence[str]) -> list[Tick]:
    """What can be ticked of a platform, the fastest first; those whose values are `on` are ticked."""
    facts = PLATFORMS[platform]
    if not facts.quantizes:
        mode = facts.limits.mode.upper()
        return [Tick(platform, "", mode, "needs no images", platform in on)]
    words = [Precision.AUTO, *ladder.precisions(platform)]
    found = [Tick(platform, word.value, *_said(word)) for word in words]
    return [Tick(item.platform, item.precision, item.label, item.note, item.value in on) for item in found]


def _said(word: Precision) -> tuple[str, str]:
    """A format's name, and in a few words what it is for."""
    if word is Precision.AUTO:
        return "AUTO", "finds the fastest that keeps the accuracy"
    notes = {
        Precision.INT8_STANDARD: "fastest",
        Precision.INT8_ACCURACY_FOCUSED: "ranges by their error",
        Precision.INT8_INT16_MIXED: "slower, keeps more",
        Precision.FP16_STANDARD: "needs no images",
    }
    return precision(word.value), notes.get(word, "")


def wanted(form: Fields) -> list[Tick]:
    """What is ticked, each once.

    Raises:
        SpecError: a value is none that can be ticked.
    """
    known = {tick.value: tick for platform in PLATFORMS for tick in ticks(platform, ())}
    found = []
    for word in dict.fromkeys(form.all(WANTED)):
        if word not in known:
            raise SpecError(f"There is no conversion {word[:40]!r} to tick.", subject=WANTED, remedy="Reload the page.")
        found.append(known[word])
    return found


@dataclass(frozen=True)
class Asked:
    """One of the conversions, as its platform reads the form; `suffix` tells its name from the others'."""

    tick: Tick
    checked: Checked
    suffix: str = ""


def read(form: Fields, source: Source, settings: Settings) -> list[Asked]:
    """Each of the conversions that are ticked, checked by its own platform's spec.

    Raises:
        SpecError: as `wanted`.
    """
    chosen = wanted(form)
    found = []
    for tick in chosen:
        beside = sum(other.platform == tick.platform for other in chosen) > 1
        own = form.with_value(PRECISION, tick.precision)
        if not tick.needs_images and (images := same_images(form)):
            own = own.with_value(TESTS, images)
        checked = spec_values.read(PLATFORMS[tick.platform].spec, own, source, settings)
        found.append(Asked(tick, checked, f".{_short(tick.precision)}" if beside else ""))
    return found


def same_images(form: Fields) -> str:
    """The user's own images, which also test what they do not calibrate, or verdicts side by side would not compare.

    Empty where the form says which test, or names a set that is not the team's.
    """
    images = form.get(IMAGES)
    return images if images.lower() not in SETS and not form.get(TESTS) else ""


def _short(word: str) -> str:
    return precision(word).replace(" ", "-").lower()


def together(asked: Sequence[Asked]) -> Checked:
    """What is wrong with any of them, by field; where not all say it, with the name of who does."""
    found = Checked(dict(asked[0].checked.values) if asked else {})
    if not asked:
        found.errors[""] = NO_TICK
    for item in asked:
        for field, message in item.checked.errors.items():
            alone = sum(message == other.checked.errors.get(field) for other in asked) < len(asked)
            said = f"{PLATFORMS[item.tick.platform].title}: {message}" if alone and len(asked) > 1 else message
            shown = field if field in shared_kind().model_fields or field.startswith("inputs") else ""
            found.errors.setdefault(shown, said)
        found.findings |= item.checked.findings
        found.colours |= item.checked.colours
    return found

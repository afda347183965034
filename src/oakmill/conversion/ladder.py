"""Finds the fastest number format that keeps a model's accuracy: whole conversions, one after the other, by passport.

AUTO tries plain 8 bits, whose channels are equalized and whose head is cut where that is recognised; then ranges by
their error; then 16 bits for what goes into SiLU alone; then activations of 16 bits, which take 2.4 times as long on
RVC4's processor (Qualcomm's own figures for YOLOv8n); then FP16. A few layers of 16 bits among 8 may be slower than
16 bits throughout, which nobody knows without the device: the passport says so. The first that is fit is the result: by
the user's bar on labelled images, else by the passport's verdict. Where none is, the best of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from oakmill.calibration import datasets
from oakmill.calibration.samples import distinct
from oakmill.conversion.converted import Converted
from oakmill.conversion.events import Observer, Progress
from oakmill.conversion.images.choose import split
from oakmill.conversion.images.linked import linked
from oakmill.conversion.output import publish
from oakmill.conversion.passport import bar, choice
from oakmill.conversion.passport.ladder import Rung
from oakmill.conversion.passport.report import Passport
from oakmill.conversion.passport.tasks import FEW
from oakmill.errors import (
    CompileFailed,
    NothingToKeep,
    OakmillError,
    PreparationFailed,
    UnsupportedModel,
    VerificationFailed,
)
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, Precision, QuantizingSpec


class Attempt(Protocol):
    """Converts into a folder, and notes in the passport what was tried before."""

    def __call__(
        self, spec: ConversionSpec, output: Path, tried: tuple[Rung, ...] | None, /, *, settings: Settings
    ) -> Converted:
        """The conversion."""


RUNGS: Mapping[str, tuple[Mapping[str, object], ...]] = {
    "rvc4": (
        {"target_precision": Precision.INT8_STANDARD},
        {"target_precision": Precision.INT8_ACCURACY_FOCUSED},
        {"target_precision": Precision.INT8_STANDARD, "silu_int16": True},
        {"target_precision": Precision.INT8_INT16_MIXED},
        {"target_precision": Precision.FP16_STANDARD},
    ),
}
"""By platform what is asked for, the fastest first; other platforms have INT8 and FP16."""
_OTHERS: tuple[Mapping[str, object], ...] = (
    {"target_precision": Precision.INT8_STANDARD},
    {"target_precision": Precision.FP16_STANDARD},
)

DEPENDS = (UnsupportedModel, PreparationFailed, CompileFailed, VerificationFailed, NothingToKeep)
"""What one number format may be refused for and another not."""

_QUANTIZERS = (
    "tensor_overrides", "quantizer_search", "range_method", "accuracy_control", "ignored_names", "ignored_types",
    "silu_int16", "improve",
)  # fmt: skip
"""What a spec in floating point is refused for."""


def is_asked(spec: ConversionSpec) -> bool:
    """Whether the number format is to be found."""
    return isinstance(spec, QuantizingSpec) and spec.target_precision is Precision.AUTO


def climb(
    spec: ConversionSpec, attempt: Attempt, output: Path, *, settings: Settings, observer: Observer, overwrite: bool
) -> Converted:
    """The first conversion whose verdict is ok, else the best; its files are in the output folder.

    Raises:
        OakmillError: what the last format was refused for, where none could be made; or what has nothing to do with the
            format.
    """
    progress = Progress(observer)
    tried: list[Rung] = []
    made: list[Converted] = []
    with publish.work_folder() as work:
        shared = sharing(settings, work)
        for number, rung in enumerate(rungs := _rungs(spec, settings, work)):
            progress.note(f"AUTO: trying {_title(rung)}, {number + 1} of {len(rungs)}")
            try:
                made.append(attempt(rung, work / str(number), tuple(tried), settings=shared))
            except DEPENDS as error:
                if number + 1 == len(rungs) and not made:
                    raise
                tried.append(Rung(_title(rung), refused=error.message))
            else:
                tried.append(made[-1].passport.ladder[-1])
            progress.note(f"AUTO: {tried[-1].words}")
            if tried[-1].fit:
                break
        best = min(made[::-1], key=lambda item: _rank(item.passport))
        best = replace(best, passport=replace(best.passport, ladder=tuple(tried)))
        written = publish.publish({path.name: path for path in best.files}, output, overwrite=overwrite)
    return replace(best, files=tuple(written))


def _rank(passport: Passport) -> tuple[bool, float]:
    """What is better comes first: what is fit, then by what is lost on labels, or by the verdict."""
    rung, drop = passport.ladder[-1], bar.drop_of(passport)
    by_labels = drop is not None and drop.by_labels and drop.images >= FEW
    return not rung.fit, drop.value if drop and by_labels else float(passport.verdict.rank)


def sharing(settings: Settings, work: Path) -> Settings:
    """Settings by which the formats take from one another what they share, also where nothing is to be kept."""
    if settings.cache_max_mb:
        return settings
    kept = type(settings).model_fields["cache_max_mb"].default
    return settings.model_copy(update={"cache_max_mb": kept, "cache_folder": work / "shared"})


def precisions(platform: str) -> list[Precision]:
    """The number formats that are tried for a platform, the fastest first."""
    found = (Precision(str(rung["target_precision"])) for rung in RUNGS.get(platform, _OTHERS))
    return list(dict.fromkeys(found))


def _title(spec: QuantizingSpec) -> str:
    """A format as people read it."""
    return f"{spec.target_precision}{', SiLU in 16 bits' if getattr(spec, 'silu_int16', False) else ''}"


def _rungs(spec: ConversionSpec, settings: Settings, work: Path) -> list[QuantizingSpec]:
    """The same conversion in each number format; in floating point what says how to quantize is omitted."""
    assert isinstance(spec, QuantizingSpec)
    found: list[QuantizingSpec] = []
    for asked in RUNGS.get(spec.platform, _OTHERS):
        changes = dict(asked)
        if spec.model_copy(update=changes).target_precision.is_float:
            fields = type(spec).model_fields
            changes |= {name: fields[name].default for name in _QUANTIZERS if name in fields}
            changes["verification_images"] = spec.verification_images or _photos(spec, settings, work)
        rung = type(spec).model_validate(spec.model_dump(exclude_unset=True) | changes)
        if rung not in found:
            found.append(rung)
    return found


def _photos(spec: QuantizingSpec, settings: Settings, work: Path) -> Path | None:
    """The images that test the other formats, with their labels: where nothing is quantized, they test too."""
    try:
        found = datasets.resolve(spec.quantization_data, settings, work)
    except OakmillError:
        return None
    parts = split(distinct(found.files), spec.max_quantization_images, spec.max_verification_images, spec.seed)
    return linked(found, parts.held_out, work / "held-out") if parts.held_out else found.folder


def with_rung(passport: Passport, spec: ConversionSpec, file: Path, tried: Sequence[Rung]) -> Passport:
    """The passport with all that was tried before, and itself."""
    assert isinstance(spec, QuantizingSpec)
    own = choice.rung_of(passport, _title(spec), file.stat().st_size, spec.max_drop)
    return replace(passport, ladder=(*tried, own))

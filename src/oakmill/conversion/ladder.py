"""Finds the fastest number format that keeps a model's accuracy: whole conversions, one after the other, by passport.

AUTO tries plain 8 bits, whose channels are equalized where that helps; then ranges of least error; then activations of
16 bits, which take 2.4 times as long on RVC4's processor (Qualcomm's own figures for YOLOv8n); then FP16. The first
whose verdict is ok is the result; where none is, the best of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from oakmill.calibration import datasets
from oakmill.conversion.converted import Converted
from oakmill.conversion.events import Observer, Progress
from oakmill.conversion.output import publish
from oakmill.conversion.passport.ladder import Rung
from oakmill.conversion.passport.report import Passport
from oakmill.errors import CompileFailed, OakmillError, PreparationFailed, UnsupportedModel, VerificationFailed
from oakmill.findings import Severity
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, Precision, QuantizingSpec

Attempt = Callable[[ConversionSpec, Path, tuple[Rung, ...]], Converted]
"""Converts into a folder, and notes in the passport what was tried before."""

RUNGS: Mapping[str, tuple[Precision, ...]] = {
    "rvc4": (
        Precision.INT8_STANDARD, Precision.INT8_ACCURACY_FOCUSED, Precision.INT8_INT16_MIXED, Precision.FP16_STANDARD
    ),
}  # fmt: skip
"""By platform, the fastest first; other platforms have INT8 and FP16."""
_OTHERS = (Precision.INT8_STANDARD, Precision.FP16_STANDARD)

DEPENDS = (UnsupportedModel, PreparationFailed, CompileFailed, VerificationFailed)
"""What one number format may be refused for and another not."""

_QUANTIZERS = (
    "tensor_overrides", "quantizer_search", "range_method", "accuracy_control", "ignored_names", "ignored_types"
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
        for number, rung in enumerate(rungs := _rungs(spec, settings, work)):
            precision = str(rung.target_precision)
            progress.note(f"AUTO: trying {precision}, {number + 1} of {len(rungs)}")
            try:
                made.append(attempt(rung, work / str(number), tuple(tried)))
            except DEPENDS as error:
                if number + 1 == len(rungs) and not made:
                    raise
                tried.append(Rung(precision, refused=error.message))
            else:
                tried.append(made[-1].passport.ladder[-1])
            progress.note(f"AUTO: {tried[-1].words}")
            if tried[-1].verdict is Severity.OK:
                break
        best = min(made[::-1], key=lambda item: item.passport.verdict.rank)
        written = publish.publish({path.name: path for path in best.files}, output, overwrite=overwrite)
    return replace(best, files=tuple(written))


def _rungs(spec: ConversionSpec, settings: Settings, work: Path) -> list[QuantizingSpec]:
    """The same conversion in each number format; in floating point what says how to quantize is omitted."""
    assert isinstance(spec, QuantizingSpec)
    found = []
    for precision in RUNGS.get(spec.platform, _OTHERS):
        changes: dict[str, object] = {"target_precision": precision}
        if precision.is_float:
            fields = type(spec).model_fields
            changes |= {name: fields[name].default for name in _QUANTIZERS if name in fields}
            changes["verification_images"] = spec.verification_images or _photos(spec, settings, work)
        found.append(type(spec).model_validate(spec.model_dump(exclude_unset=True) | changes))
    return found


def _photos(spec: QuantizingSpec, settings: Settings, work: Path) -> Path | None:
    """The images that would calibrate: where nothing is quantized, they test."""
    try:
        return datasets.resolve(spec.quantization_data, settings, work).folder
    except OakmillError:
        return None


def with_rung(passport: Passport, spec: ConversionSpec, file: Path, tried: Sequence[Rung]) -> Passport:
    """The passport with all that was tried before, and itself."""
    assert isinstance(spec, QuantizingSpec)
    task = next((task for _, task in passport.tasks if task.measured), None)
    if task is not None:
        measured = f"{task.headline.words} {task.headline.text}"
    else:
        outputs = [output.snr_db for check in passport.checks[:1] for output in check.outputs]
        measured = f"worst output {min(outputs):.1f} dB" if outputs else ""
    own = Rung(str(spec.target_precision), passport.verdict, measured, file.stat().st_size)
    return replace(passport, ladder=(*tried, own))

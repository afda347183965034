"""Detects by name what silently kills a converted model: the numbers look well, and the device sees nothing.

Each detector is a function of numbers that were measured elsewhere, and gives a finding or none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from oakmill.conversion.passport.agreement import OutputAgreement
from oakmill.conversion.passport.confidence import Confidence, is_clear, paired, where_seen
from oakmill.conversion.passport.mirror import Kept
from oakmill.conversion.passport.observed import Observed, OutputEncoding, Split, split
from oakmill.conversion.passport.tasks import ClassAgreement, TaskAgreement
from oakmill.findings import Finding, Severity, worst_first

VANISH_STEPS, COARSE_STEPS = 8, 64
"""Steps that a group of values spans under its scale. With 8, a score of 0 to 1 is known to an eighth: a threshold of
0.5 is four steps up, and most scores round to nothing. With 64 it is known to a sixty-fourth, a quarter of what 8 bits
could give; below, products of scores and the order of doubles suffer (YOLOX-nano with 34 steps keeps 0.4 of its
boxes)."""


BOX_STEPS = 16
STILL = 1e-5
"""A movement by this part of an output's largest value is the rounding of sums in float32, and no movement."""
SMALLEST_HALF = 2.0**-24
"""FP16's smallest number above 0."""


def find(
    observed: Mapping[str, Observed],
    encodings: Mapping[str, OutputEncoding],
    outputs: Iterable[OutputAgreement] = (),
    tasks: Iterable[TaskAgreement] = (),
) -> tuple[Finding, ...]:
    """All that a method's run over the images shows: findings on outputs, then on tasks, the worst first."""
    found: list[Finding | None] = [check(output) for output in outputs for check in (wrong_scale, undefined)]
    for name, seen in observed.items():
        encoding = encodings.get(name)
        found += [joined_scales(name, seen, encoding), dead_output(name, seen), saturated(name, seen, encoding)]
    for task in tasks:
        found += [class_collapse(task), lost_classes(task), coarse_boxes(task, encodings)]
    return worst_first(item for item in found if item)


def joined_scales(name: str, seen: Observed, encoding: OutputEncoding | None) -> Finding | None:
    """One scale over groups of values of very different size: the small ones vanish while the SNR stays high."""
    if encoding is None or not (found := split(seen)):
        return None
    steps = found.small_span / encoding.scale
    if steps >= (COARSE_STEPS if found.scores else VANISH_STEPS):
        return None
    severity = Severity.ERROR if steps < VANISH_STEPS else Severity.WARNING
    return Finding(
        "joined_scales",
        severity,
        f"output {name!r} holds {_groups(found)} under one {encoding.bits}-bit scale of {encoding.scale:.3g}, which "
        f"leaves the small ones {steps:.0f} steps" + (": they vanish" if severity is Severity.ERROR else ""),
        title="One scale over values of very different size",
        remedy="give boxes and scores as outputs of their own (cut the model before they are joined), or convert with "
        "--target-precision INT8_INT16_MIXED, which gives activations 65,536 steps",
        subject=name,
        evidence={
            "output": name,
            "axis": found.axis,
            "first": found.at,
            "small_span": found.small_span,
            "large_span": found.large_span,
            "scale": encoding.scale,
            "steps": round(steps, 2),
        },
    )


def _groups(found: Split) -> str:
    where = f"from positions {found.at} on of axis {found.axis}" if found.small_last else f"at the first {found.at}"
    if found.until is not None:
        where = f"at positions {found.at} to {found.until - 1} of axis {found.axis}"
    return f"values that span {found.large_span:.3g} and, {where}, values that span {found.small_span:.3g}"


def coarse_boxes(task: TaskAgreement, encodings: Mapping[str, OutputEncoding]) -> Finding | None:
    """Boxes of an output of their own, whose number format has few steps for a small box.

    A side of 16 steps is known to a sixteenth; where all four are a step off, the overlap falls to 0.77. The SNR of
    such an output is above 40 dB, as it counts in parts of the image. (Ultraface in 8 bits, on small faces: 0.72 at
    6 steps.)
    """
    encoding = encodings.get(task.outputs[0]) if len(task.outputs) == 2 else None
    side = task.values.get("box_side", math.nan)
    if task.kind != "detection" or encoding is None or math.isnan(side) or encoding.high - encoding.low > 8:
        return None
    if (steps := side / encoding.scale) >= BOX_STEPS:
        return None
    return Finding(
        "coarse_boxes",
        Severity.WARNING,
        f"the shorter side of a box is {side:.3f} of the image on average, {steps:.0f} steps of output "
        f"{task.outputs[0]!r} (scale {encoding.scale:.3g}): where a box is, is known that roughly",
        title="Small boxes have few steps",
        remedy="keep this output in 16 bits, or convert with --target-precision INT8_INT16_MIXED",
        subject=task.outputs[0],
        evidence={"output": task.outputs[0], "side": round(side, 5), "scale": encoding.scale, "steps": round(steps, 2)},
    )


def wrong_scale(output: OutputAgreement) -> Finding | None:
    """The right values times a factor: a scale in the file is not the one that the graph was made with.

    The direction of the outputs agrees to 0.98 (cosine), so that noise is not taken for a factor, and the factor is
    off by more than the 10 % that clipping a range costs.
    """
    off = abs(output.gain - 1)
    if not output.cosine >= 0.98 or off <= 0.1:
        return None
    return Finding(
        "wrong_scale",
        Severity.ERROR if off > 0.25 else Severity.WARNING,
        f"output {output.name!r} is {output.gain:.2f} times the float model's",
        title="Values are off by a factor",
        remedy="a scale in the file, or in what reads it, is wrong: convert again, or choose wider ranges "
        "(--range-method minmax) where large values were cut off",
        subject=output.name,
        evidence={"output": output.name, "gain": round(output.gain, 4), "cosine": round(output.cosine, 5)},
    )


def undefined(output: OutputAgreement) -> Finding | None:
    """What the float model itself gives no number for: where both have none they agree, and the SNR is of the rest."""
    if not output.undefined:
        return None
    return Finding(
        "undefined",
        Severity.WARNING,
        f"output {output.name!r} of the float model holds values that are no finite numbers on {output.undefined} of "
        f"{len(output.by_image_snr_db)} images, first on {output.undefined_on}",
        title="The float model gives no numbers",
        remedy="look at these images: a division by zero, a logarithm or a root of what is not positive on the way to "
        "this output; a converted model is not compared there",
        subject=output.name,
        evidence={"output": output.name, "images": output.undefined, "first": output.undefined_on},
    )


def vanishing(output: OutputAgreement) -> Finding | None:
    """An output so small that FP16 has hardly a step for it, which no difference shows: all are below a step.

    FP16's smallest step is 2^-24; below 8 of them nothing can be told apart, and most is zero.
    """
    if not 0 < output.peak < VANISH_STEPS * SMALLEST_HALF:
        return None
    return Finding(
        "vanishing",
        Severity.ERROR,
        f"output {output.name!r} is never larger than {output.peak:.2g}, and FP16's smallest step is "
        f"{SMALLEST_HALF:.2g}: the device gives zeros",
        title="An output vanishes in FP16",
        remedy="leave out the last scaling, and multiply on the host; or scale the output up within the model",
        subject=output.name,
        evidence={"output": output.name, "peak": output.peak, "step": SMALLEST_HALF},
    )


def dead_output(name: str, seen: Observed) -> Finding | None:
    """What does not change from image to image while the float model's does, by more than float32 rounds sums."""
    if seen.images < 2 or seen.reference_moved <= STILL * seen.peak:
        return None
    ratio = seen.candidate_moved / seen.reference_moved
    if ratio > 0.01:  # a hundredth of the movement carries no decision
        return None
    return Finding(
        "dead_output",
        Severity.ERROR,
        f"output {name!r} is the same on all {seen.images} images; the float model's changes by up to "
        f"{seen.reference_moved:.3g}",
        title="An output that does not change",
        remedy="its range was learned from unfit images or its scale is too wide: calibrate with images of the "
        "kind that the camera sees, or keep this output in 16 bits",
        subject=name,
        evidence={
            "output": name,
            "images": seen.images,
            "float_moves": seen.reference_moved,
            "moves": seen.candidate_moved,
        },
    )


def saturated(name: str, seen: Observed, encoding: OutputEncoding | None) -> Finding | None:
    """Values at an end of the number format where the float model's lie beyond it by more than a step.

    One in a hundred is what percentile ranges may cut off at most; of one in ten the largest values, which decide,
    are gone.
    """
    if encoding is None or seen.share_cut < 0.01:
        return None
    return Finding(
        "saturated",
        Severity.ERROR if seen.share_cut >= 0.1 else Severity.WARNING,
        f"{seen.share_cut:.1%} of output {name!r} lie beyond what its encoding can say "
        f"({encoding.low:.3g} to {encoding.high:.3g})",
        title="Values cut off",
        remedy="calibrate with more or more fitting images, or take --range-method minmax",
        subject=name,
        evidence={"output": name, "share": round(seen.share_cut, 5), "low": encoding.low, "high": encoding.high},
    )


def class_collapse(task: TaskAgreement) -> Finding | None:
    """A classifier that says one class of nearly everything, while the float model does not."""
    total = sum(item.candidate for item in task.classes)
    if task.kind != "classification" or total < 8 or not task.decides:
        return None
    top = max(task.classes, key=lambda item: item.candidate)
    first = max(item.reference for item in task.classes)
    # Half of all images, and twice the share of the float model's own favourite: chance does not do that to 8 images.
    if top.candidate < total / 2 or top.candidate < 2 * first:
        return None
    return Finding(
        "class_collapse",
        Severity.ERROR,
        f"{top.candidate} of {total} images are {top.label!r} to the converted model, {top.reference} to the float "
        f"model, whose most frequent class has {first}",
        title="Collapse to one class",
        remedy="activations are lost on the way: calibrate with fitting images, or take INT8_INT16_MIXED",
        evidence={"class": top.label, "converted": top.candidate, "float": top.reference, "images": total},
    )


def lost_classes(task: TaskAgreement) -> Finding | None:
    """Classes that the float model says time and again, and the converted one never: 4 times are no chance.

    Of pixels it takes half of one in a hundred.
    """
    least = 0.005 * sum(map(_count, task.classes)) if task.kind == "segmentation" else 4
    lost = [item for item in task.classes if item.reference >= max(least, 4) and not item.candidate]
    if task.kind not in ("classification", "detection", "segmentation") or not lost or not task.decides:
        return None
    names = ", ".join(f"{item.label} ({item.reference} times)" for item in lost[:5])
    return Finding(
        "lost_classes",
        Severity.ERROR if 4 * sum(map(_count, lost)) >= sum(map(_count, task.classes)) else Severity.WARNING,
        f"the float model finds {names}{' and more' if len(lost) > 5 else ''}, the converted model never",
        title="Classes that never come",
        remedy="calibrate with images that hold these classes, or take INT8_INT16_MIXED",
        evidence={"classes": [item.label for item in lost], "task": task.name},
    )


def _count(item: ClassAgreement) -> int:
    return item.reference


SURE_OF_COLOURS, IMAGES_OF_COLOURS, ERRORS_OF_COLOURS, CLEARER = 0.5, 16, 5.0, 0.05
"""What makes exchanged colours an error: with the other order the model is mostly sure of what it sees, so that the
images are of its kind, on so many of them, by so many standard errors and so much. Else it is a doubt: on drawings that
it was not trained on, 40 % against 35 % said nothing of which order is right."""


def colour_order(declared: Confidence, reversed_: Confidence) -> Finding | None:
    """The float model is surer of the same images with red and blue exchanged: the declared order is wrong, or the
    images are not of its kind."""
    seen, other = where_seen(declared, reversed_)
    if not is_clear(seen, other):
        return None
    difference, images = paired(seen, other), len(other.values)
    sure = other.mean >= SURE_OF_COLOURS and images >= IMAGES_OF_COLOURS
    sure = sure and difference.errors >= ERRORS_OF_COLOURS and difference.mean >= CLEARER
    order = "the order that the model was trained on: --encoding-from BGR, or RGB"
    return Finding(
        "colour_order",
        Severity.ERROR if sure else Severity.WARNING,
        f"with its colours in the other order the float model is clearer: {other.mean:.1%} against {seen.mean:.1%} on "
        f"{images} of {len(reversed_.values)} images, in which it sees something",
        title="Red and blue look exchanged" if sure else "Red and blue may be exchanged",
        remedy=f"give {order}" if sure else f"where these images are of the kind that the model is for, give {order}",
        evidence={
            "declared": round(seen.mean, 4),
            "reversed": round(other.mean, 4),
            "standard_errors": round(difference.errors, 2),
            "images": images,
        },
    )


def low_confidence(measured: Confidence) -> Finding | None:
    """A float model that is sure of nothing on real images: its preprocessing, or the images, may be wrong.

    Trained classifiers are sure to 0.4 and more on average on images of their kind; twice the chance, or a tenth,
    is what they say of something else. A detector that scores nothing above a tenth on any kind of image is blind.
    """
    bound = max(0.1, min(2 / measured.classes, 0.6)) if measured.classes else 0.1
    if len(measured.values) < 4 or measured.mean >= bound:
        return None
    return Finding(
        "low_confidence",
        Severity.WARNING,
        f"on {len(measured.values)} images its certainty is {measured.mean:.1%} on average",
        title="The float model is sure of nothing",
        remedy="check mean, scale and colour order, and take held-out images of the kind that the model is for",
        evidence={"mean": round(measured.mean, 4), "bound": round(bound, 4), "images": len(measured.values)},
    )


ONE_CLASS, CLASSES = 0.9, 10
"""The share of images of one class from which a model is taken for blind, and classes below which it may well be right:
photos of ten kinds of things are nearly never all of one."""
MOSTLY, BOXES = 0.75, 16
"""What must stay on mirror images of a detector that finds something on as many images, so that no other preprocessing
is looked for; and boxes below which nothing can be said of that."""


def blind(kept: Kept, faint: Kept, classes: int | None) -> Iterator[Finding]:
    """A float model that says one class of nearly everything, finds no box, or boxes that are not there.

    Of boxes that are not there the `faint` ones tell most: what a network makes up it is seldom sure of.
    """
    remedy = "check mean, scale and colour order, and take images of the kind that the model is for"
    if kept.commonest and classes and classes >= CLASSES and kept.commonest[1] >= ONE_CLASS * kept.images:
        yield Finding(
            "one_class",
            Severity.WARNING,
            f"it says class {kept.commonest[0]} of {kept.commonest[1]} of {kept.images} images that differ",
            title="The float model says one class of everything",
            remedy=remedy,
            evidence={"class": kept.commonest[0], "images": kept.images, "of_one_class": kept.commonest[1]},
        )
    if kept.commonest is None and not kept.things:
        yield Finding(
            "no_boxes",
            Severity.WARNING,
            f"on {kept.images} images that differ it finds no box",
            title="The float model finds nothing",
            remedy=remedy,
            evidence={"images": kept.images},
        )
    if faint.commonest is None and faint.things >= BOXES and not faint.is_steady:
        yield Finding(
            "unsteady_boxes",
            Severity.WARNING,
            f"of the {faint.things} boxes that it finds on {faint.images} images, {faint.share:.0%} are there when the "
            "images are mirrored",
            title="The float model sees what is not there",
            remedy=remedy,
            evidence={"boxes": faint.things, "share": round(faint.share, 4), "images": faint.images},
        )


def sees(kept: Kept) -> bool:
    """Whether a model surely sees, so that no other preprocessing needs to be looked for."""
    if kept.commonest:
        return kept.is_steady
    return kept.share >= MOSTLY and kept.images_with_things >= MOSTLY * kept.images


UNFIT = {
    "few": "Few images calibrated it",
    "blank": "Calibrated on images without content",
    "pale": "Calibrated on images of low contrast",
    "blurred": "Calibrated on blurred images",
}
"""What the doctor of calibration sets says that decides whether a quantization can be trusted. The rest of what it says
is of no harm, or is found otherwise here."""


def unfit_calibration(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The doctor's findings on the images that calibrated. A set of which most is blank calibrated nothing."""
    for item in findings:
        if item.code in UNFIT and item.severity.rank >= Severity.WARNING.rank:
            severity = item.severity if item.code == "blank" else Severity.WARNING
            yield replace(item, code=f"calibration_{item.code}", severity=severity, title=UNFIT[item.code])


def random_calibration(correlation: float, *, declared: bool = False) -> Finding | None:
    """Calibration on noise, by how much pixels beside each other agree (`observed.neighbours`), mean over images.

    Photos have 0.9 and more, drawings and sharp textures 0.5; of independent pixels it is 0, and more once they are
    resized: `declared` says that the set itself is known to be noise.
    """
    if correlation >= 0.4 and not declared:
        return None
    return Finding(
        "random_calibration",
        Severity.ERROR,
        f"pixels beside each other in the calibration images agree to {correlation:.2f} (photos: 0.9 and more): "
        "ranges learned from noise fit nothing that a camera sees",
        title="Calibrated on noise",
        remedy="calibrate with photos: --quantization-data FOLDER, or one of the named sets but 'random'",
        evidence={"correlation": round(correlation, 3)},
    )

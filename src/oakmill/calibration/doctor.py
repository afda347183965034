"""Examines what is to calibrate a quantization: enough, different, whole, and like what the model expects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oakmill.calibration.datasets.catalog import RANDOM_WARNING
from oakmill.calibration.datasets.files import is_image, problem, why
from oakmill.calibration.images import FORMATS, read_image
from oakmill.calibration.likeness import Album, thumbnail
from oakmill.calibration.samples import distinct, draw
from oakmill.errors import OakmillError, SourceError
from oakmill.findings import Finding, Severity, finding_of, worst_of
from oakmill.spec import Encoding, Precision, Resize
from oakmill.spec.preprocessing_rules import mistakes
from oakmill.spec.preprocessing_rules import words as _words

MAX_EXAMINED = 2048  # drawn from larger sets
SIDE = 224  # pixels that an image is looked at in, its middle cut out as for a model's input
THREADS = 4

# Fewer than the first number is an error, than the second a warning. Qualcomm: "5-10 input data examples ... is usually
# sufficient, and definitely practical for quick experiments. For more robust quantization results, we recommend
# providing 50-100 examples" (docs.qualcomm.com, 80-63442-10, model conversion). Histograms need more than the two
# extremes do, so the accuracy-focused modes get the double; 16 bits have room to spare.
ENOUGH = {
    Precision.INT8_STANDARD: (10, 64),
    Precision.INT8_ACCURACY_FOCUSED: (20, 128),
    Precision.INT8_INT16_MIXED: (10, 50),
    Precision.INT8_INT16_MIXED_ACCURACY_FOCUSED: (20, 100),
    Precision.INT16_STANDARD: (10, 50),
}
"""For each mode that is calibrated by images: how many are too few, and how many are little."""

FILES = "files"
"""In a finding's evidence: the files that are best taken out of the set."""
MOST_NAMED = 2000

_NOISE = 0.5  # correlation of neighbouring pixels: photos have 0.8 to 1, random pixels 0, and 0.25 once made smaller
_BLANK = 2.0  # standard deviation, of 255
_PALE = 12.0  # the same: the least of 96 photos of COCO and ImageNet has 25, and with a fifth of its contrast 5
_BLURRED = (
    0.2  # a Laplacian's standard deviation, in the image's own: those have 0.25 and more, blurred by 2 pixels 0.16
)
_GRAY = 1.0  # mean difference between channels, of 255
_ASPECT = 3.0
_TINY = 32  # pixels, where the input's size is not known
_MOST = 0.5  # share of the set from which on it is what the set is
_MANY = 0.1  # share of the set from which on a finding is a warning


@dataclass(frozen=True)
class Expectation:
    """What is known of the model; what is not stays None. `shape` has the batch; its layout is NCHW or NHWC.

    `mean` and `scale` are in the order of `encoding`, in one value or one for each channel.
    """

    shape: tuple[int, ...] | None = None
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    encoding: Encoding = Encoding.RGB
    precision: Precision = Precision.INT8_STANDARD


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor says. `mean` and `std` are those of the channels R, G, B, of 0 to 255; empty for no images."""

    count: int
    examined: int
    findings: tuple[Finding, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def verdict(self) -> Severity:
        """As the worst finding is."""
        return worst_of(finding.severity for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "verdict": self.verdict}


@dataclass(frozen=True)
class _Look:
    """What one look at an image gives."""

    size: tuple[int, int]
    mean: NDArray[np.float64]
    square: NDArray[np.float64]
    std: float
    gray: bool
    neighbours: float
    sharp: float
    thumbnail: NDArray[np.float64] = field(repr=False)


def diagnosis_of(document: Mapping[str, Any]) -> Diagnosis:
    """A diagnosis out of stored JSON, of this version or an earlier one."""
    return Diagnosis(
        document["count"],
        document["examined"],
        tuple(map(finding_of, document["findings"])),
        tuple(document.get("mean", ())),
        tuple(document.get("std", ())),
    )


def examine(files: Sequence[Path], expected: Expectation | None = None) -> Diagnosis:
    """Look at the files of a set as they would calibrate a quantization.

    At most MAX_EXAMINED, drawn with a fixed seed, are opened. Each image is decoded as a conversion does.

    Raises:
        SourceError: there are none.
    """
    if not files:
        raise SourceError(
            "there are no images, and no .npy or .raw files",
            remedy="give JPEG or PNG images, as files, in folders or in a zip",
        )
    known = expected or Expectation()
    drawn = draw(files, MAX_EXAMINED, 0)
    images = [path for path in drawn if is_image(path)]
    arrays = [path for path in drawn if not is_image(path)]
    with ThreadPoolExecutor(THREADS) as pool:
        looks = dict(zip(images, pool.map(_look, images), strict=True))
    seen = {path: look for path, look in looks.items() if isinstance(look, _Look)}
    broken = {path: look for path, look in looks.items() if isinstance(look, str)}
    broken |= {path: words for path in arrays if (words := problem(path))}
    again = set(drawn) - set(distinct(drawn))
    copies = len(again)
    twins = max(0, _near_twins(list(seen.values())) - copies)
    mean, std = _channels(list(seen.values()))
    findings = [
        *_broken(broken, len(drawn)),
        *_enough(round((len(drawn) - len(broken) - copies - twins) * len(files) / len(drawn)), known),
        *_twins(again, twins, len(drawn)),
        *_images(list(seen.values()), known),
        *mistakes("", known.mean, known.scale, encoding=known.encoding),
        *_normalised(mean, std, known),
        *_arrays([path for path in arrays if path not in broken], known),
    ]
    if images and arrays:
        message = f"{len(images)} images and {len(arrays)} arrays are mixed"
        findings.append(_found("mixed", Severity.WARNING, message, "Arrays are taken as they are: keep them apart."))
    return Diagnosis(len(files), len(drawn), tuple(findings), mean, std)


def _look(path: Path) -> _Look | str:
    """What there is to see, or why nothing is."""
    try:
        pixels = _read(path, (SIDE, SIDE), Resize.CROP)
        with Image.open(path, formats=FORMATS) as image:
            size = image.size
        gray = pixels.mean(axis=0)
        # Small images are looked at as they are: made larger, even noise is smooth.
        own = gray if min(size) >= SIDE else _read(path, (size[1], size[0]), Resize.STRETCH).mean(axis=0)
    except OakmillError as error:
        return why(error, path)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    colour = float(np.abs(pixels - gray).mean())
    planes = pixels.reshape(3, -1)
    mean, square = planes.mean(axis=1), np.einsum("ij,ij->i", planes, planes) / planes.shape[1]
    std = float(np.sqrt(max(0.0, square.mean() - mean.mean() ** 2)))
    return _Look(size, mean, square, std, colour < _GRAY, _neighbours(own), _sharpness(own), thumbnail(gray))


def _read(path: Path, size: tuple[int, int], resize: Resize) -> NDArray[np.float64]:
    pixels = read_image(path, (3, *size), "CHW", Encoding.RGB, dtype=np.float64, resize=resize)
    return np.asarray(pixels, np.float64)


def _neighbours(gray: NDArray[np.float64]) -> float:
    """The correlation of each pixel with the next in its row; 1 where nothing varies."""
    left, right = gray[:, :-1].ravel(), gray[:, 1:].ravel()
    if left.size < 16 or left.std() < _BLANK or right.std() < _BLANK:
        return 1.0
    return float(np.corrcoef(left, right)[0, 1])


def _sharpness(gray: NDArray[np.float64]) -> float:
    """How much an image changes from pixel to pixel, as a share of how much it varies; 1 where nothing does."""
    if min(gray.shape) < 3 or gray.std() < _BLANK:
        return 1.0
    inner = gray[1:-1, 1:-1]
    around = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:]
    return float((4 * inner - around).std() / gray.std())


def _channels(looks: Sequence[_Look]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of R, G and B over all pixels."""
    if not looks:
        return (), ()
    mean = np.mean([look.mean for look in looks], axis=0)
    variance = np.mean([look.square for look in looks], axis=0) - mean**2
    std = np.sqrt(np.maximum(variance, 0.0))
    return tuple(round(float(value), 2) for value in mean), tuple(round(float(value), 2) for value in std)


def _near_twins(looks: Sequence[_Look]) -> int:
    """How many images look like an earlier one; those of one colour look like nothing."""
    album = Album()
    return sum(not album.takes(look.thumbnail) for look in looks if look.std >= _BLANK)


Findings = Iterator[Finding]


def _found(code: str, severity: Severity, message: str, remedy: str, files: Iterable[Path] = ()) -> Finding:
    """A finding; `files` are those that are best taken out of the set."""
    named = sorted(path.as_posix() for path in files)[:MOST_NAMED]
    return Finding(code, severity, message, remedy=remedy, evidence={FILES: named} if named else {})


def _broken(broken: dict[Path, str], total: int) -> Findings:
    if broken:
        path, words = min(broken.items())
        message = f"{len(broken)} of {total} files cannot be used, such as {path.name}: it {words}"
        yield _found("damaged", Severity.ERROR, message, "Remove them; `oakmill datasets add` leaves them out.", broken)


def _enough(count: int, expected: Expectation) -> Findings:
    too_few, few = ENOUGH.get(expected.precision, (0, 0))
    severity = Severity.ERROR if count < too_few else Severity.WARNING
    if count < few:
        message = f"{count} different images are few for {expected.precision}: a range is set by the widest one seen"
        yield _found("few", severity, message, f"Give at least {few}, of all that the camera will see.")


def _twins(again: Collection[Path], near: int, total: int) -> Findings:
    if copies := len(again):
        message = f"{copies} of {total} files are copies of others: they add nothing"
        remedy = "Remove them; `oakmill datasets add` does."
        yield _found("duplicates", _by_share(copies / total), message, remedy, again)
    if near:
        message = f"{near} of {total} images look almost like another, as the frames of a film do"
        yield _found("near_duplicates", _by_share(near / total), message, "Take frames further apart.")


def _by_share(share: float) -> Severity:
    return Severity.WARNING if share >= _MANY else Severity.NOTE


def _of_content(code: str, share: float) -> Severity | None:
    """What it means that so many images show little; a set most of which is blank calibrates nothing at all.

    Pale and blurred ones are no fault, as long as they are not most of the set: cameras see such things.
    """
    if code in ("pale", "blurred"):
        return Severity.WARNING if share >= _MOST else None
    return Severity.ERROR if code == "blank" and share >= _MOST else _by_share(share)


def _images(looks: Sequence[_Look], expected: Expectation) -> Findings:
    """What many of the images have in common and should not."""
    side = min(_input_size(expected) or (_TINY, _TINY))
    noise = sum(look.neighbours < _NOISE for look in looks)
    if noise:
        severity = Severity.ERROR if noise * 2 >= len(looks) else Severity.WARNING
        yield _found("random_pixels", severity, f"{noise} of {len(looks)} are noise. {RANDOM_WARNING}", "Use photos.")
    for code, which, words, remedy in (
        ("blank", [look.std < _BLANK for look in looks], "have one colour all over", "Remove them."),
        (
            "pale",
            [_BLANK <= look.std < _PALE for look in looks],
            "have hardly any contrast: ranges learned from them cut off what real images have",
            "Take images as the camera gives them in good light.",
        ),
        (
            "blurred",
            [look.sharp < _BLURRED for look in looks],
            "are blurred: what edges make of a network is not seen",
            "Take sharp ones.",
        ),
        (
            "small",
            [min(look.size) < side for look in looks],
            f"have fewer than {side} pixels on a side and are made larger, which smooths them",
            "Take larger ones.",
        ),
        (
            "narrow",
            [max(look.size) > _ASPECT * min(look.size) for look in looks],
            f"are more than {_ASPECT:.0f} times as long as wide: most is cut off, or black is added",
            "Cut the part out that the camera would see.",
        ),
    ):
        found = _of_content(code, sum(which) / len(looks)) if any(which) else None
        if found:
            yield _found(code, found, f"{sum(which)} of {len(looks)} {words}", remedy)
    gray = sum(look.gray and look.std >= _BLANK for look in looks)
    if gray > _MANY * len(looks) and expected.encoding is not Encoding.GRAY:
        severity = Severity.WARNING if gray * 2 > len(looks) else Severity.NOTE
        yield _found(
            "gray", severity, f"{gray} of {len(looks)} have no colours", "Add coloured ones, if the camera has."
        )


def _input_size(expected: Expectation) -> tuple[int, int] | None:
    """Height and width of the input, channels first or last."""
    shape = expected.shape
    if shape is None or len(shape) not in (3, 4):
        return None
    inner = shape[-3:]
    return (inner[1], inner[2]) if inner[0] in (1, 3) else (inner[0], inner[1])


def _normalised(mean: tuple[float, ...], std: tuple[float, ...], expected: Expectation) -> Findings:
    """Whether the set, less mean and divided by scale, lies around 0 with a spread of about 1.

    A mean counts as far off from one standard deviation on; a spread from 7 times too small or 3 times too large
    on, which leaves all conventions in use inside: 255 alone gives 0.3, 127.5 twice gives 0.5.
    """
    if not mean or mistakes("", expected.mean, expected.scale, encoding=expected.encoding):
        return
    order = -1 if expected.encoding is Encoding.BGR else 1
    ours, spread = np.array(mean[::order]), np.maximum(np.array(std[::order]), _BLANK)
    declared, scale = _three(expected.mean), _three(expected.scale)
    if declared is not None and declared.any() and (np.abs(ours - declared) > spread).any():
        message = f"the set's mean is {_words(ours)}, far from the {_words(declared)} that is subtracted"
        yield _found("mean_far", Severity.WARNING, message, "Take images like those the model was trained on.")
    if scale is not None and (scale != 1).any():
        result = spread / np.abs(scale)
        if (result < 0.15).any() or (result > 3).any():
            message = f"divided by the scale, the set's spread is {_words(result)}; models expect about 1"
            yield _found("scale_far", Severity.WARNING, message, "Check the scale values.")


def _three(values: tuple[float, ...] | None) -> NDArray[np.float64] | None:
    return None if values is None or len(values) not in (1, 3) else np.broadcast_to(np.array(values, np.float64), 3)


def _arrays(paths: Sequence[Path], expected: Expectation) -> Findings:
    """What can be said of .npy files; of .raw only the size is known."""
    shape = expected.shape
    loaded = {path: np.load(path, mmap_mode="r") for path in paths if path.suffix.lower() == ".npy"}
    if shape:
        wrong = [path for path, array in loaded.items() if not _fits(array.shape, shape)]
        raw = [path for path in paths if path not in loaded]
        wrong += [path for path in raw if path.stat().st_size % int(np.prod(shape))]
        if wrong:
            message = f"{len(wrong)} of {len(paths)} arrays do not fit {shape}, such as {wrong[0].name}"
            yield _found("array_shape", Severity.ERROR, message, "Save them as the model's input takes them.")
    sample: list[NDArray[Any]] = list(loaded.values())[:64]
    if sample and (expected.mean or expected.scale):
        low, high = min(float(array.min()) for array in sample), max(float(array.max()) for array in sample)
        if low < 0 or high <= 16:
            message = f"the arrays hold {low:.4g} to {high:.4g}: they look normalised already, and would be twice"
            remedy = "Save them before mean and scale: pixels of 0 to 255."
            yield _found("arrays_normalised", Severity.ERROR, message, remedy)


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return shape == wanted or (wanted[0] == 1 and shape == wanted[1:])

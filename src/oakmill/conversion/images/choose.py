"""Chooses the images that calibrate a quantization, and others that test it: never the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oakmill.calibration import datasets
from oakmill.calibration.datasets.files import find_files, is_image
from oakmill.calibration.labels import BadLabels, Labels, labels_of
from oakmill.calibration.samples import distinct, draw, find_images, from_files
from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import Images, SampleSet, reader
from oakmill.conversion.inputs import ResolvedInput
from oakmill.errors import SpecError
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, QuantizingSpec

HELD_OUT_SHARE = 5
"""One file in so many is kept back for the test, where the set is too small for both."""

GENERATED_IMAGES = 8


@dataclass(frozen=True)
class Split:
    """Files in the order in which the seed drew them: those to learn from, those to test on."""

    calibration_images: tuple[Path, ...]
    held_out: tuple[Path, ...]


def split(files: Sequence[Path], calibrating: int, held_out: int, seed: int) -> Split:
    """Draw at most so many of each, no file in both; a single file calibrates.

    Of a set that is too small for both, one file in five is kept back. Those that calibrate are the beginning of the
    drawn order, what is kept back its end: more of either begins with what fewer would be.
    """
    ordered = draw(files, len(files), seed)
    kept = min(held_out, max(len(ordered) - calibrating, len(ordered) // HELD_OUT_SHARE))
    kept = max(kept, 1) if len(ordered) > 1 else 0
    return Split(ordered[: len(ordered) - kept][:calibrating], ordered[::-1][:kept])


def choose(
    spec: QuantizingSpec, inputs: Sequence[ResolvedInput], work: Path, settings: Settings, progress: Progress
) -> Images:
    """The images of a conversion that quantizes.

    Raises:
        SourceError: there are none, a set is not installed, or one cannot be read.
        SpecError: an input that is no image has no files of its own.
    """
    found = datasets.resolve(spec.quantization_data, settings, work)
    if found.note:
        progress.warn(found.note) if found.name == "random" else progress.note(found.note)
    own = _folders_of_inputs(found.folder, inputs) if found.kind in ("folder", "zip", "own") else {}
    main = _main(inputs)
    files = own[main] if own else distinct(found.files)
    if left_out := (0 if own else len(found.files) - len(files)):
        progress.note(f"{left_out} of {len(found.files)} files are copies of others, and count once")
    parts = split(files, spec.max_quantization_images, spec.max_verification_images, spec.seed)
    calibration_images = _sample_set(parts.calibration_images, found.folder, inputs, own, main, spec)
    progress.note(f"{len(parts.calibration_images)} images of {found.name!r} calibrate the quantization")
    if spec.verification_images is not None:
        held_out = _others(spec, inputs, calibration_images)
    elif parts.held_out:
        held_out = _sample_set(parts.held_out, found.folder, inputs, own, main, spec)
    else:
        progress.warn(
            "the set has one image only, or copies of it: accuracy is measured on generated ones, which proves little"
        )
        held_out = _generated(spec, inputs)
    labels = _labels(spec.verification_images or found.folder, progress)
    _tell_unlabelled(labels, held_out, progress)
    return Images(
        held_out, calibration_images, found.name, parts.calibration_images, spec.target_precision, labels, spec.resize
    )


def choose_test_images(spec: ConversionSpec, inputs: Sequence[ResolvedInput], progress: Progress) -> Images:
    """The images of a conversion that quantizes nothing: the user's, else generated ones.

    Raises:
        SourceError: there are none, or one cannot be read.
    """
    source = spec.verification_images
    if source is None:
        return Images(_generated(spec, inputs))
    own = _folders_of_inputs(source, inputs)
    files = own[_main(inputs)] if own else find_images(source)
    return Images(_drawn(spec, inputs, source, own, files), labels=_labels(source, progress), resize=spec.resize)


def _labels(folder: Path, progress: Progress) -> Labels | None:
    """The labels that lie with the images; those that cannot be used are told."""
    try:
        return labels_of(folder, [path for path in find_files(folder) if is_image(path)])
    except BadLabels as error:
        progress.warn(f"the labels among the images are not used: {error.message}")
        return None


def _tell_unlabelled(labels: Labels | None, held_out: SampleSet, progress: Progress) -> None:
    if labels is None:
        return
    known = sum(digest in labels.images for digest in held_out.sha256)
    progress.note(f"{known} of the {len(held_out)} images that test are labelled ({labels.source})")


def _main(inputs: Sequence[ResolvedInput]) -> str:
    """The input whose files are drawn; those of the others go with them."""
    return next((item.name for item in inputs if item.is_image), inputs[0].name)


def _drawn(
    spec: ConversionSpec,
    inputs: Sequence[ResolvedInput],
    source: Path,
    own: dict[str, tuple[Path, ...]],
    files: Sequence[Path],
) -> SampleSet:
    """As many of the user's files as are measured; an input that is no image and has no files gets made numbers."""
    paths = draw(files, spec.max_verification_images, spec.seed)
    if own:
        return _sample_set(paths, source, inputs, own, _main(inputs), spec)
    return SampleSet.of_paths(inputs, paths, source, spec.seed, spec.resize)


def _generated(spec: ConversionSpec, inputs: Sequence[ResolvedInput]) -> SampleSet:
    """Few: they show whether the arithmetic is the same, and eight do as well as many."""
    return SampleSet.generated(inputs, min(GENERATED_IMAGES, spec.max_verification_images), spec.seed)


def _folders_of_inputs(folder: Path, inputs: Sequence[ResolvedInput]) -> dict[str, tuple[Path, ...]]:
    """Files by input, where the folder has a sub-folder of each input's name; else nothing.

    Raises:
        SpecError: the sub-folders do not hold as many files each.
    """
    folders = {item.name: folder / item.name for item in inputs}
    if not all(path.is_dir() for path in folders.values()):
        return {}
    files = {name: find_files(path) for name, path in folders.items()}
    if not any(files.values()):
        return {}
    if len({len(found) for found in files.values()}) > 1:
        counts = ", ".join(f"{name}: {len(found)}" for name, found in files.items())
        raise SpecError(
            f"the inputs' folders in {folder.name} hold different numbers of files ({counts})",
            subject=str(folder),
            remedy="one sample is one file in each folder, in the order of their names",
        )
    return files


def _sample_set(
    paths: Sequence[Path],
    folder: Path,
    inputs: Sequence[ResolvedInput],
    own: dict[str, tuple[Path, ...]],
    main: str,
    spec: ConversionSpec,
) -> SampleSet:
    """These files for every input, or for each input those of its own folder at the same places."""
    if not own:
        _require_image_inputs(inputs)
    places = {path: place for place, path in enumerate(own[main])} if own else {}
    samples = []
    for item in inputs:
        files = [own[item.name][places[path]] for path in paths] if own else paths
        samples.append(from_files(tuple(files), folder, reader(item, spec.resize)))
    return SampleSet(tuple(inputs), tuple(samples))


def _require_image_inputs(inputs: Sequence[ResolvedInput]) -> None:
    others = [item.name for item in inputs if not item.is_image]
    if others and len(inputs) > 1:
        raise SpecError(
            f"input {others[0]!r} is no image, and a folder of images says nothing about it",
            subject=others[0],
            remedy=f"give a folder with a sub-folder for each input ({', '.join(item.name for item in inputs)}), "
            "of images or of .npy files",
        )


def _others(spec: QuantizingSpec, inputs: Sequence[ResolvedInput], calibration_images: SampleSet) -> SampleSet:
    """The user's own test images, without those that calibrate the quantization: with the same file for each input."""
    assert spec.verification_images is not None
    source = spec.verification_images
    own = _folders_of_inputs(source, inputs)
    files = own[_main(inputs)] if own else find_images(source)
    fed = [place for place, item in enumerate(inputs) if own or item.is_image or len(inputs) == 1]
    known = set(zip(*(calibration_images.samples[place].sha256 for place in fed), strict=True))
    given = [own[inputs[place].name] if own else files for place in fed]
    every = zip(*(from_files(paths, source, lambda path: np.zeros(0)).sha256 for paths in given), strict=True)
    fresh = [path for path, digests in zip(files, every, strict=True) if digests not in known]
    if not fresh:
        raise SpecError(
            f"every image of {source.name} is among those that calibrate the quantization",
            subject=str(source),
            remedy="give other images with --images, or omit it: then some of the set are kept back",
        )
    return _drawn(spec, inputs, source, own, fresh)

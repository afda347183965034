"""Runs a finished file on images and writes what it gives: each output's numbers, image by image, as .npy files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from oakmill.conversion.depthai import Depthai
from oakmill.conversion.events import Observer, Progress, Stage, unobserved
from oakmill.conversion.images import choose
from oakmill.conversion.output import publish
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.verify import trial
from oakmill.conversion.verify.again import Look
from oakmill.conversion.verify.artefact import Artefact, open_artefact
from oakmill.errors import SpecError
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, Resize

_OTHERS = re.compile(r"[^\w.+-]+")
_LONGEST = 100


@dataclass(frozen=True)
class Asked:
    """On what images it is run, how many at most, how they are brought to size, and what it was made of."""

    images: Path | None = None
    source: Path | None = None
    most: int = 64
    resize: Resize | None = None


@dataclass(frozen=True)
class Inferred:
    """What ran, in words, on which images; and the files, by output."""

    method: str
    images: tuple[str, ...]
    files: Mapping[str, tuple[Path, ...]]

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        files = {name: [str(path) for path in paths] for name, paths in self.files.items()}
        return {"method": self.method, "images": list(self.images), "files": files}


def infer(
    given: Path,
    output: Path,
    asked: Asked,
    *,
    settings: Settings,
    observer: Observer = unobserved,
    install: Callable[[ConversionSpec], None] = lambda spec: None,
    overwrite: bool = False,
) -> Inferred:
    """Run a finished file, where its platform has an emulation; else, with its source, the network that was compiled.

    What runs takes and gives what the device does: images in 8 bits, maps of RVC4 as NHWC; the network in the place of
    a blob gives outputs as the source has them. Files are OUTPUT/<output's name>/<image's name>.npy.

    Raises:
        SpecError: nothing here runs it, and there is no source.
        NoLongerHolds: it cannot be read, or the source is not the one that it was made of.
        OutputExists, OutputError: the files are there, or cannot be written.
        OakmillError: as `verify` raises them.
    """
    progress = Progress(observer)
    with publish.work_folder() as work, Depthai(work / "depthai", settings) as depthai:
        with progress.stage(Stage.INSPECT):
            artefact = open_artefact(given, work, settings)
            look = Look(artefact, asked.images, work, settings, progress, patient=True)
            changed = {"resize": asked.resize or look.spec.resize, "max_verification_images": asked.most}
            look.spec = look.spec.model_copy(update=changed)
            install(look.spec)
            look.at_contents(depthai)
        if look.found is None:
            look.result().require()
        running = _of_source(look, asked.source) if asked.source else _alone(look, artefact, progress)
        with progress.stage(Stage.VERIFY):
            files = written(running, work / "outputs", progress)
        published = {
            name: tuple(publish.publish(below, output / below_name(name), overwrite=overwrite))
            for name, below in files.items()
        }
    return Inferred(running.method, running.names, published)


@dataclass(frozen=True)
class Ran:
    """What runs, on which images, and its outputs one image after the other."""

    method: str
    names: tuple[str, ...]
    outputs: Iterator[Outputs]


def _alone(look: Look, artefact: Artefact, progress: Progress) -> Ran:
    finished, found = look.finished, look.found
    assert finished is not None
    assert found is not None
    if finished.not_run:
        raise SpecError(
            f"{artefact.file.name}: {finished.not_run.partition(':')[0]}",
            subject=artefact.file.name,
            remedy="give --source MODEL: then the network runs that was compiled, as the passport measures it",
        )
    inputs = trial.inputs_of(found.inputs, artefact)
    images = choose.choose_test_images(look.spec, inputs, progress).held_out
    samples = [trial.cast(sample, found.inputs) for sample in images]
    running = replace(finished, patient=True).run(found, samples, progress)
    return Ran(f"{found.document['name']}, the finished file on this machine", tuple(images.names), running)


def _of_source(look: Look, source: Path) -> Ran:
    subject = look.subject(source)
    if subject is None or not subject.methods:
        look.result().require()
        raise SpecError("nothing here runs this file, nor what it was compiled from", subject=str(source))
    method, images = subject.methods[0], subject.images.held_out
    return Ran(method.words.partition(", against")[0], tuple(images.names), iter(method.candidate.load()(list(images))))


def written(running: Ran, folder: Path, progress: Progress) -> dict[str, dict[str, Path]]:
    """The files by output, and by their own names."""
    found: dict[str, dict[str, Path]] = {}
    stems = distinct(running.names)
    for place, (stem, outputs) in enumerate(zip(stems, running.outputs, strict=False), 1):
        progress.doing("running it", place, len(stems))
        for name, values in outputs.items():
            file = folder / below_name(name) / f"{stem}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, np.asarray(values))
            found.setdefault(name, {})[file.name] = file
    return found


def below_name(name: str) -> str:
    """A name of a tensor or an image as a file's or folder's."""
    return _OTHERS.sub("_", name).strip("._")[:_LONGEST] or "output"


def distinct(names: Sequence[str]) -> list[str]:
    """The images' names as files', numbered where they would not be apart without their endings."""
    stems = [below_name(Path(name).with_suffix("").as_posix()) for name in names]
    if len(set(stems)) == len(stems):
        return stems
    return [f"{stem}-{place}" for place, stem in enumerate(stems)]

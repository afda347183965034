"""The calibrate stage of RVC3: calibration images into files, NNCF or POT on the IR, the result kept by content."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from oakmill.conversion.cache import identity
from oakmill.conversion.cache.store import Store, key_of
from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.platform import Network
from oakmill.errors import CompileFailed, SpecError
from oakmill.files import file_sha256
from oakmill.settings import Settings
from oakmill.spec import PotTargetDevice, Rvc3Spec
from oakmill.spec import Quantizer as Tool
from oakmill.spec.recipe import CalibrationRecord
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.rvc3.quantizers import DEVICES, Control, Order, Quantizer

FEWEST_FOR_CONTROL, MOST_FOR_CONTROL = 8, 64
_KIND = "rvc3-int8"
_RESULT = "/sink_port_0"
_PARSERS = "_yolo"
"""What outputs are called that depthai's parser reads; it finds them by this word."""
_NO_LAYERS = frozenset({"Const", "Result", "Parameter", "Convert"})


@dataclass(frozen=True)
class Shares:
    """How many images calibrate, and how many behind them control."""

    calibrate: int
    control: int = 0

    @classmethod
    def of(cls, spec: Rvc3Spec, count: int) -> Shares:
        """A quarter controls, where that is asked for.

        Raises:
            SpecError: there are too few for both.
        """
        if not spec.accuracy_control:
            return cls(count)
        if count < FEWEST_FOR_CONTROL:
            raise SpecError(
                f"--accuracy-control measures on a quarter of the images, and there are {count}",
                subject="--accuracy-control",
                remedy=f"give {FEWEST_FOR_CONTROL} images or more with --quantization-data",
            )
        control = min(count // 4, MOST_FOR_CONTROL)
        return cls(count - control, control)


def endings(ir: Path) -> list[str]:
    """The layers of an IR that stand between a detector's convolutions and the outputs of the camera's parser.

    They take no time, and the quantizers cut their values: a range is the mean of the images' greatest scores, so that
    any better score is lost. YOLOX-nano's objectness times class kept an F1 of 0.55 where it has 0.9 without.
    """
    layers = [(item.get("name", ""), item.get("type", "")) for item in ElementTree.parse(ir).iter("layer")]
    ends = {name.removesuffix(_RESULT) for name, kind in layers if kind == "Result" and _PARSERS in name}
    return [name for name, kind in layers if kind not in _NO_LAYERS and (name in ends or _before(name) in ends)]


def _before(name: str) -> str:
    return name.partition("/")[0]


@dataclass(frozen=True)
class Quantization:
    """One quantization by one tool."""

    spec: Rvc3Spec
    settings: Settings
    quantizer: Quantizer

    def run(self, network: Network, samples: SampleSet, source: str, job: Path, progress: Progress) -> Network:
        """The quantized IR, made or out of the cache.

        Raises:
            SpecError: a layer to ignore is not there, or the images are too few.
            SourceError: an image cannot be read.
            CompileFailed: the tool cannot quantize the network.
            ToolKilled, LimitExceeded: it did not come to an end.
        """
        shares, job = Shares.of(self.spec, len(samples)), job / "int8"
        store, key = Store.of(self.settings), self._key(network, samples, shares)
        kept = _from(store, key, job)
        if kept is not None:
            progress.note("reused from the cache: the quantized IR, of the same network and images")
        report = kept if kept is not None else self._make(network, samples, shares, job, progress)
        file = job / "int8.xml"
        if kept is None and not report.get("control", {}).get("out_of_time"):
            store.put(_KIND, key, {path.name: path for path in (file, file.with_suffix(".bin"))}, {"report": report})
        self._tell(report, progress)
        return Network(file, network.model, self._record(report, samples, source, shares), samples)

    def _make(self, network: Network, samples: SampleSet, shares: Shares, job: Path, progress: Progress) -> Any:
        spec = self.spec
        control = Control(spec.accuracy_drop, spec.accuracy_seconds) if spec.accuracy_control else None
        files = write_samples(samples, job.with_name("calibration"), progress)
        ignored = (*spec.ignored_names, *endings(network.file))
        order = Order(files, shares.calibrate, spec.pot_target_device.value, ignored, spec.ignored_types, control)
        progress.doing(f"quantizing with {self.quantizer.name.partition('/')[2]}")
        try:
            done = self.quantizer.quantize(network.file, job, order, watch=progress.tool)
        except RunnerError as error:
            raise self._explained(error) from error
        finally:
            shutil.rmtree(job.with_name("calibration"), ignore_errors=True)
        return {name: value for name, value in done.report.items() if name != "seconds"}

    def _explained(self, error: RunnerError) -> SpecError | CompileFailed:
        if error.kind == "layers":
            return SpecError(
                f"--ignored-name or --ignored-type: {error.message}",
                remedy="layers are called as in the ONNX model, types as OpenVINO calls them",
            )
        ways = []
        if self.spec.pot_target_device is PotTargetDevice.VPU:
            ways.append("--pot-target-device ANY")
        ways.append("--quantizer pot" if self.spec.quantizer is Tool.NNCF else "--quantizer nncf")
        return CompileFailed(
            f"{self.quantizer.name} cannot quantize the network: {error.message}",
            remedy=f"try {', '.join(ways)}, leave a layer in floating point (--ignored-name), or convert with "
            "--target-precision FP16",
            log=error.log,
        )

    def _key(self, network: Network, samples: SampleSet, shares: Shares) -> str:
        """By all that decides the result: the IR, the images in their order, how they are read, the parameters."""
        spec = self.spec
        asked = spec.model_dump(
            mode="json", include={"quantizer", "pot_target_device", "ignored_names", "ignored_types", "resize"}
        )
        control = [spec.accuracy_drop, spec.accuracy_seconds] if spec.accuracy_control else None
        inputs = [[item.name, item.layout, list(item.shape), str(item.encoding_to)] for item in samples.inputs]
        images = [list(each.sha256) for each in samples.samples]
        files = [file_sha256(network.file.with_suffix(ending)) for ending in (".xml", ".bin")]
        tool = self.quantizer.status().digest
        return key_of(identity.maker(), tool, asked, control, [shares.calibrate, shares.control], inputs, images, files)

    def _tell(self, report: Mapping[str, Any], progress: Progress) -> None:
        progress.note(f"{report['quantizers']} places where values are rounded to 8 bits")
        if report["ignored"]:
            progress.note(
                f"{len(report['ignored'])} layers stay in floating point: those that were asked for, and those that "
                "only bring scores to where a camera's parser reads them"
            )
        control = report.get("control")
        if not control:
            return
        before = control["agreement_before"]
        progress.note(
            f"agreement with the float model on {control['images']} images: "
            + ("" if before is None else f"{before:.4f} fully quantized, ")
            + f"{control['agreement']:.4f} as it is now"
        )
        if not control["reached"]:
            why = "in the time it had" if control["out_of_time"] else "by any layer put back"
            progress.warn(f"--accuracy-control did not reach an agreement of {1 - self.spec.accuracy_drop:g} {why}")

    def _record(self, report: Mapping[str, Any], samples: SampleSet, source: str, shares: Shares) -> CalibrationRecord:
        return CalibrationRecord(
            set=source,
            method="default",
            quantizer=self.words,
            images=shares.calibrate,
            control=report.get("control"),
            ignored=report["ignored"],
            names=samples.names,
            sha256=samples.sha256,
        )

    @property
    def words(self) -> str:
        """The tool with its version, target device and preset."""
        device, preset = DEVICES[self.quantizer.tool, self.spec.pot_target_device.value]
        return f"{self.quantizer.tool} {self.quantizer.version}, target {device}, preset {preset}"


def _from(store: Store, key: str, job: Path) -> dict[str, Any] | None:
    """What the tool told of an IR that is kept, which is copied to the job's folder; None where there is none."""
    with store.lend(_KIND, key) as lent:
        if lent is None:
            return None
        job.mkdir(parents=True)
        for name, path in lent.files.items():
            shutil.copyfile(path, job / name)
        report: dict[str, Any] = dict(lent.about["report"])
        return report


def write_samples(samples: SampleSet, folder: Path, progress: Progress) -> dict[str, Path]:
    """Each input's samples as one array in a file, [samples, *shape]: pixels as bytes, other numbers as they are."""
    folder.mkdir(parents=True)
    files: dict[str, Path] = {}
    arrays: dict[str, Any] = {}
    pixels = {item.name for item in samples.inputs if item.is_image}
    for index, sample in enumerate(samples):
        progress.doing("reading the images", index + 1, len(samples))
        for name, values in sample.items():
            if name not in arrays:
                files[name] = folder / f"{len(files)}.npy"
                kind = np.uint8 if name in pixels else values.dtype
                shape = (len(samples), *values.shape)
                arrays[name] = np.lib.format.open_memmap(files[name], "w+", np.dtype(kind), shape)
            arrays[name][index] = np.rint(values) if name in pixels else values
    for array in arrays.values():
        array.flush()
    return files

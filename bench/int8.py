"""Says what 8 bits cost by labels on RVC4: the float model, INT8 with channels as they are, and with them equalized.

    .venv/bin/python bench/int8.py [--test 64] [--emulated 8] [--ranges minmax mse] [MODEL ...]

Photos and labels are those of ../shared/data; without it there is nothing to measure. Photos that teach and photos that
test are apart. Figures are of the quantized graph in onnxruntime, in float between its quantizers; with --emulated N
the finished DLC also runs on Qualcomm's emulated processor, on so many of the test photos, and its agreement with the
simulation is printed in dB. Detectors: AP and AP50 over the classes that are labelled; the classifier: top-1.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from oakmill.conversion.events import Progress  # noqa: E402 - the project's tests know how to judge boxes
from oakmill.conversion.images.samples import reader  # noqa: E402
from oakmill.conversion.prepare import prepare  # noqa: E402
from oakmill.conversion.rvc4.platform import Rvc4  # noqa: E402
from oakmill.conversion.rvc4.simulate import Simulated  # noqa: E402
from oakmill.graph import equality  # noqa: E402
from oakmill.graph.sensitivity import ColumnNoise  # noqa: E402
from oakmill.model import load_onnx, open_source  # noqa: E402
from oakmill.settings import current  # noqa: E402
from oakmill.spec import InputSpec, RangeMethod, Resize, Rvc4Spec  # noqa: E402
from tests.conversion.accuracy import Detections, average_precision, labels, yolox  # noqa: E402

DATA = PROJECT.parent / "shared" / "data"
TEACH = 64
Outputs = Mapping[str, Any]
OVERLAPS = tuple(np.arange(0.5, 0.96, 0.05))


@dataclass(frozen=True)
class Case:
    """A model, what its input takes, and who judges its outputs by labels."""

    asked: InputSpec
    resize: Resize
    photos: Callable[[], list[Path]]
    judge: Callable[[Sequence[Outputs], Sequence[Path]], dict[str, float]]


def coco() -> list[Path]:
    return sorted((DATA / "images" / "coco" / "train2017").iterdir())


def imagenet() -> list[Path]:
    return [DATA / "images" / "imagenet" / name for name in sorted(classes())]


def classes() -> dict[str, int]:
    with (DATA / "images" / "imagenet_labels.csv").open() as file:
        rows = [(row["file"], int(row["class_index"])) for row in csv.DictReader(file)]
    return {name: number for name, number in rows if (DATA / "images" / "imagenet" / name).is_file()}


def top1(found: Sequence[Outputs], photos: Sequence[Path]) -> dict[str, float]:
    known = classes()
    right = [
        int(next(iter(item.values())).argmax()) == known[path.name] for item, path in zip(found, photos, strict=True)
    ]
    return {"top-1": float(np.mean(right))}


def precision(found: Sequence[Outputs], photos: Sequence[Path], *, side: int, only: int | None) -> dict[str, float]:
    """AP and AP50; `only` names the one class that a detector knows."""
    truth = [labels(path, DATA / "images" / "coco" / "labels") for path in photos]
    if only is not None:
        truth = [_only(item, only) for item in truth]
    seen = [yolox(next(iter(item.values())), side) for item in found]
    by_overlap = [average_precision(seen, truth, overlap) for overlap in OVERLAPS]
    return {"AP": float(np.mean(by_overlap)), "AP50": by_overlap[0]}


def _only(item: Detections, kind: int) -> Detections:
    kept = item.classes == kind
    return Detections(item.corners[kept], np.zeros(int(kept.sum()), int), item.scores[kept])


BGR = {"encoding_from": "BGR", "encoding_to": "BGR"}
CASES = {
    "yolox_nano_416": Case(
        InputSpec(name="images", **BGR), Resize.STRETCH, coco, partial(precision, side=416, only=None)
    ),
    "person_detector_yolox_192": Case(
        InputSpec(name="images", **BGR), Resize.STRETCH, coco, partial(precision, side=192, only=0)
    ),
    "squeezenet1.1_fp32": Case(
        InputSpec(name="data_0", mean_values=(104, 117, 123), **BGR), Resize.CROP, imagenet, top1
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", type=int, default=64, help="photos that test")
    parser.add_argument("--emulated", type=int, default=0, help="of these, so many on the emulated processor")
    parser.add_argument("--ranges", nargs="+", default=["minmax", "mse"], choices=[item.value for item in RangeMethod])
    parser.add_argument("models", nargs="*", default=list(CASES))
    arguments = parser.parse_args()
    for name in arguments.models:
        if (DATA / "models" / f"{name}.onnx").is_file():
            compare(name, arguments.test, arguments.emulated, arguments.ranges)


def compare(name: str, count: int, emulated: int, ranges: Sequence[str]) -> None:
    """The rows of one model."""
    case = CASES[name]
    photos = case.photos()
    order = np.random.RandomState(0).permutation(len(photos))
    teach, test = [photos[i] for i in order[:TEACH]], [photos[i] for i in order[TEACH : TEACH + count]]
    with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as folder:
        lessons = Path(folder) / "teach"
        lessons.mkdir()
        for path in teach:
            (lessons / path.name).symlink_to(path.resolve())
        print(f"\n{name}: {len(teach)} photos teach, {len(test)} others test")
        expected = None
        for method in ranges:
            for plain in (True, False):
                spec = Rvc4Spec(
                    quantization_data=str(lessons), resize=case.resize, max_quantization_images=TEACH,
                    range_method=RangeMethod(method), no_equalization=plain,
                )  # fmt: skip
                work = Path(folder) / f"{method}-{plain}"
                expected = _row(name, case, spec, test, work, expected, emulated)


def _row(
    name: str, case: Case, spec: Rvc4Spec, test: Sequence[Path], work: Path, expected: Any, emulated: int
) -> list[Outputs]:
    """Convert, judge and print; the float model first, where nobody did."""
    settings = current().model_copy(update={"cache_folder": work / "cache"})
    source = open_source(DATA / "models" / f"{name}.onnx", work / "source", settings)
    platform = Rvc4.of(spec, settings)
    progress = Progress()
    prepared = prepare(load_onnx(source), source, [case.asked], spec, platform.needs, progress)
    (item,) = prepared.boundary
    raws = [{item.name: reader(item, spec.resize)(path)} for path in test]
    if expected is None:
        session = equality.Session(prepared.model)
        expected = [session.run(raw) for raw in raws]
        print(f"  {'float':34} {_figures(case.judge(expected, test))}")
    began = time.process_time()
    network = platform.calibrate(
        prepared, platform.images(prepared, source, work, progress), platform.network(prepared, work, progress),
        work / "calibrate", progress,
    )  # fmt: skip
    seconds = time.process_time() - began
    simulated = Simulated(network.model, [item.name])
    found, noise = [simulated.run(raw) for raw in raws], ColumnNoise()
    for wanted, got in zip(expected, found, strict=True):
        noise.add(wanted, got)
    words = f"INT8 {spec.ranges.value}{', as they are' if spec.no_equalization else ', equalized'}"
    print(
        f"  {words:34} {_figures(case.judge(found, test))}   {noise.decibels():5.1f} dB   "
        f"{len(network.model.graph.node)} nodes   calibration {seconds:.0f} s of CPU"
    )
    if emulated:
        _emulate(platform, prepared, network, raws[:emulated], found, work, progress)
    return list(expected)


def _emulate(
    platform: Rvc4, prepared: Any, network: Any, raws: Any, found: Any, work: Path, progress: Progress
) -> None:
    built = platform.compile(prepared, network, work / "compile", progress)
    stored = [{key: values.astype(np.uint8) for key, values in raw.items()} for raw in raws]
    noise = ColumnNoise()
    for wanted, got in zip(found, platform.toolchain.infer(built.file, work / "infer", stored), strict=False):
        noise.add(wanted, got)
    megabytes = built.file.stat().st_size / 1e6
    print(f"  {'':34} DLC of {megabytes:.2f} MB; emulated against simulated {noise.decibels():.1f} dB")


def _figures(found: Mapping[str, float]) -> str:
    return "   ".join(f"{name} {value:.3f}" for name, value in found.items())


if __name__ == "__main__":
    main()

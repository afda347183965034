"""Times the same conversion again: the first one, and the answer from the cache, called as a user calls them.

    .venv/bin/python bench/cache.py [-n RUNS] [MODEL.onnx ...]

Baseline is the conversion with `--no-cache`, which is what every call cost before there was a cache; each run is a
process of its own, and the two take turns. Beside them: what a start of Python with the command's own imports takes,
below which no answer can be, and a conversion in which the number of SHAVEs alone is another one.
Without models: a ResNet-18 with random weights, and what lies in ../shared/data/models, if anything.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from models import write_resnet18

from oakmill.settings import current

PROJECT = Path(__file__).resolve().parent.parent
REAL = ("squeezenet1.1_fp32.onnx", "yolox_nano_416.onnx")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=5, help="runs of each")
    parser.add_argument("models", nargs="*", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as name:
        folder = Path(name)
        (folder / "home").mkdir()
        (folder / "home" / "toolchains").symlink_to(current().toolchains, target_is_directory=True)
        start = statistics.median(seconds(folder, "-c", "import oakmill.cli.convert") for _ in range(arguments.n))
        print(f"Python with the command's imports: {start:.2f} s\n")
        print(f"{'model':<24}{'no cache':>10}{'the same':>10}{'other SHAVEs':>14}{'ratio':>8}")
        for model in arguments.models or default_models(folder):
            row(model, folder, arguments.n)


def default_models(folder: Path) -> list[Path]:
    shared = PROJECT.parent / "shared" / "data" / "models"
    found = [shared / name for name in REAL if (shared / name).is_file()]
    return [write_resnet18(folder / "resnet18.onnx"), *found]


def row(model: Path, folder: Path, runs: int) -> None:
    """One line: medians in seconds, and the median of the ratios pair by pair."""
    converted(folder, model, "--blob", "--shaves", "6")
    pairs = [(converted(folder, model, "--no-cache"), converted(folder, model)) for _ in range(runs + 1)][1:]
    others = [converted(folder, model, "--blob", "--shaves", str(7 + run)) for run in range(min(runs, 9))]
    fresh, again = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(before / after for before, after in pairs)
    print(f"{model.stem:<24}{fresh:>8.2f} s{again:>8.2f} s{statistics.median(others):>12.2f} s{ratio:>7.0f}x")


def converted(folder: Path, model: Path, *options: str) -> float:
    output = folder / "out"
    shutil.rmtree(output, ignore_errors=True)
    return seconds(folder, "-m", "oakmill", "convert", str(model), "--to", "rvc2", "-o", str(output), *options)


def seconds(folder: Path, *arguments: str) -> float:
    environment = {**os.environ, "OAKMILL_HOME": str(folder / "home")}  # noqa: TID251
    began = time.monotonic()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)  # noqa: TID251
    return time.monotonic() - began


if __name__ == "__main__":
    main()

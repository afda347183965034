"""Right answers by label of one model for RVC3, by each quantizer, and what each takes.

    .venv/bin/python bench/rvc3_quantizers.py MODEL.onnx PHOTOS LABELS.csv [--images N] [-- OPTIONS OF CONVERT]

Baseline is the same network before any quantization. LABELS.csv has the columns file and class_index. The photos that
teach are drawn from PHOTOS with the seed, and all others are looked at, in OpenVINO 2022.3.2.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.inputs import ResolvedInput
from oakmill.files import file_sha256
from oakmill.settings import current
from oakmill.spec import Encoding, Resize
from oakmill.toolchains.rvc3.toolchain import Rvc3Toolchain

WAYS = {
    "before": ["--target-precision", "FP16"],
    "nncf VPU": [],
    "nncf ANY": ["--pot-target-device", "ANY"],
    "pot VPU": ["--quantizer", "pot"],
    "pot ANY": ["--quantizer", "pot", "--pot-target-device", "ANY"],
    "nncf control": ["--accuracy-control"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--images", type=int, default=256, help="how many teach")
    parser.add_argument("options", nargs="*", help="options of `oakmill convert`, after --")
    asked = parser.parse_args()
    with asked.labels.open() as file:
        labels = {row["file"]: int(row["class_index"]) for row in csv.DictReader(file)}
    taught: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as name:
        for way, words in reversed(WAYS.items()):
            teaching = [] if way == "before" else [
                "--quantization-data", str(asked.photos), "--max-quantization-images", str(asked.images)
            ]  # fmt: skip
            folder = Path(name) / way.replace(" ", "-")
            seconds = convert(asked.model, folder, [*asked.options, *words, *teaching])
            recipe = yaml.safe_load(next(folder.glob("*.recipe.yaml")).read_text())
            taught |= set(recipe["calibration"].get("sha256", ()))
            right, first, count = score(folder, recipe, asked.photos, taught, labels)
            print(
                f"{way:13} top-1 {first / count:6.2%}  top-5 {right / count:6.2%}  of {count}  "
                f"quantizing {seconds.get('calibrate', 0):5.1f} s  all {sum(seconds.values()):5.1f} s",
                flush=True,
            )


def convert(model: Path, folder: Path, words: list[str]) -> dict[str, float]:
    """Seconds of each stage."""
    command = [
        sys.executable, "-m", "oakmill", "convert", str(model), "--to", "rvc3", *words, "--max-images", "1",
        "--format", "native", "--no-cache", "--json", "-o", str(folder),
    ]  # fmt: skip
    finished = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: TID251 - as a user calls it
    seconds: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])["result"]["seconds"]
    return seconds


def score(
    folder: Path, recipe: dict[str, Any], photos: Path, taught: set[str], labels: dict[str, int]
) -> tuple[int, int, int]:
    """How many photos have their label among the five highest scores, and as the highest; how many there were."""
    (item,) = recipe["inputs"]
    colours = Encoding(item["encoding_to"])
    taken = ResolvedInput(item["name"], tuple(item["shape"]), "float32", item["layout"], colours, colours, None, None)
    found = SampleSet.of_files((taken,), photos, 1 << 16, 0, Resize.CROP)
    toolchain, right, first, count = Rvc3Toolchain(current()), 0, 0, 0
    names = iter(found.names)
    (output,) = json.loads(next(folder.glob("*.passport.json")).read_text())["vendor_reader"]["outputs"]
    for begin in range(0, len(found), 16):
        batch = [found[place] for place in range(begin, min(begin + 16, len(found)))]
        for answer in toolchain.infer(next(folder.glob("*.xml")), folder / "run", batch, [output["name"]]):
            name = next(names)
            if file_sha256(photos / name) in taught:
                continue
            best = answer[output["name"]].ravel().argsort()[::-1][:5]
            right, first, count = right + (labels[name] in best), first + (labels[name] == best[0]), count + 1
    return right, first, count


if __name__ == "__main__":
    main()

"""Times whole conversions to RVC4, stage by stage, in every mode, beside their accuracy, size and memory.

    .venv/bin/python bench/rvc4.py [-n RUNS] [--modes MODE ...] [--images FOLDER] [MODEL.onnx ...]

Each run is `oakmill convert` in a process of its own, with an empty cache of ranges. Printed are medians; the ratio is
the whole conversion's time to that of FP16_STANDARD, which quantizes nothing, on the same model in the same round.
Agreement is the passport's own first number (QDQ, or the FP16 estimate), HTP the worst output's SNR of the finished
file on the emulated processor. Memory is the largest process's. Without models: what lies in ../shared/data/models, if
anything; images are ../shared/data/images/coco, else drawn ones.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from oakmill.calibration import generated
from oakmill.spec import Encoding, Precision

PROJECT = Path(__file__).resolve().parent.parent
SHARED = PROJECT.parent / "shared" / "data"
REAL = {
    "squeezenet1.1_fp32": ["--mean-values", "104,117,123", "--encoding-from", "BGR"],
    "yolox_nano_416": ["--encoding-from", "BGR", "--resize", "stretch"],
    "ultraface_rfb_320": ["--mean-values", "127", "--scale-values", "128"],
    "person_detector_yolox_192": ["--encoding-from", "BGR", "--resize", "stretch"],
    "plate_rec_48x168": ["--mean-values", "149.94", "--scale-values", "49.215", "--encoding-from", "BGR"],
}
STAGES = ("prepare", "calibrate", "compile", "verify")
BASELINE = Precision.FP16_STANDARD.value


@dataclass(frozen=True)
class Run:
    """One conversion: its answer, its seconds and its memory; or why there is no result."""

    answer: dict[str, Any]
    seconds: float
    megabytes: float
    refused: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=3, help="runs of each mode")
    modes = [item.value for item in Precision if item not in (Precision.AUTO, Precision.CUSTOM)]
    parser.add_argument("--modes", nargs="+", default=modes, choices=modes)
    parser.add_argument("--images", type=Path, help="images that calibrate and test")
    parser.add_argument("models", nargs="*", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as folder:
        images = arguments.images or default_images(Path(folder))
        for model in arguments.models or [SHARED / "models" / f"{name}.onnx" for name in REAL]:
            if model.is_file():
                compare(model, [BASELINE, *(mode for mode in arguments.modes if mode != BASELINE)], images, arguments.n)


def default_images(folder: Path) -> Path:
    """Photographs where there are some, else drawn images."""
    photos = SHARED / "images" / "coco" / "train2017"
    if photos.is_dir():
        return photos
    for index, image in enumerate(generated((1, 480, 640, 3), "NHWC", Encoding.RGB, 128, 0)):
        Image.fromarray(image[0].astype(np.uint8)).save(folder / f"{index}.jpg")
    return folder


def compare(model: Path, modes: list[str], images: Path, runs: int) -> None:
    """All modes in turn, so often; then their table."""
    found: dict[str, list[Run]] = {mode: [] for mode in modes}
    for _ in range(runs):
        for mode in modes:
            found[mode].append(convert(model, mode, images))
    print(f"\n{model.stem}, {len(list(images.iterdir()))} images in {images.name}, medians of {runs}")
    print(
        f"{'mode':35} verdict  agreement          HTP dB     MB  " + "".join(f"{stage:>10}" for stage in STAGES), end=""
    )
    print("   whole   ratio  memory")
    for mode, done in found.items():
        print(row(mode, done, found[BASELINE]))


def convert(model: Path, mode: str, images: Path) -> Run:
    """One conversion in a process and a home of its own; the toolchains are those of the user."""
    from oakmill.settings import current

    quantizes = mode not in (BASELINE, Precision.FP32_STANDARD.value)
    with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as folder:
        (Path(folder) / "toolchains").symlink_to(current().toolchains)
        words = [
            sys.executable,
            "-m",
            "oakmill",
            "convert",
            str(model),
            "--to",
            "rvc4",
            "--json",
            "-o",
            f"{folder}/out",
        ]
        words += ["--target-precision", mode, "--quantization-data" if quantizes else "--images", str(images)]
        words += REAL.get(model.stem, [])
        home = {**os.environ, "OAKMILL_HOME": folder}  # noqa: TID251 - the bench is the user
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=home)
        assert process.stdout
        lines = [json.loads(line) for line in process.stdout]
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        answer = next((line["result"] for line in lines if "result" in line), None)
        if answer is None:
            return Run({}, 0.0, usage.ru_maxrss / 1024, lines[-1]["error"]["message"])
        answer["size"] = sum(Path(file).stat().st_size for file in answer["files"][:1])
        return Run(answer, sum(answer["seconds"].values()), usage.ru_maxrss / 1024)


def row(mode: str, runs: list[Run], baseline: list[Run]) -> str:
    """One mode's line."""
    answer = runs[0].answer
    if not answer:
        return f"{mode:35} refused: {runs[0].refused}"
    simulated, proof = answer["passport"]["checks"]
    task = next(iter(simulated["tasks"]), None)
    lowest = min(simulated["outputs"], key=lambda output: float(output["snr_db"]))
    agreement = f"SNR {float(lowest['snr_db']):.1f} dB"
    if task:
        key, first = next(iter(task["metrics"].items()))
        agreement = f"{key} {first['value']:.1%}" if first["value"] is not None else f"{key} -"
    emulated = min(float(output["snr_db"]) for output in proof["outputs"])
    stages = "".join(
        f"{statistics.median(run.answer['seconds'].get(stage, 0.0) for run in runs):10.2f}" for stage in STAGES
    )
    whole = statistics.median(run.seconds for run in runs)
    ratio = statistics.median(run.seconds / other.seconds for run, other in zip(runs, baseline, strict=True))
    memory = statistics.median(run.megabytes for run in runs)
    return (
        f"{mode:35} {answer['verdict']:8} {agreement:18} {emulated:6.1f} {answer['size'] / 1e6:6.2f}  {stages}"
        f"{whole:8.2f} {ratio:7.2f} {memory:5.0f} MB"
    )


if __name__ == "__main__":
    main()

"""Times an ONNX model's way to an archived superblob: ours, and the reference converter's, side by side.

    .venv/bin/python bench/superblob.py [-n RUNS] [MODEL.onnx ...]

The reference way is what Luxonis' modelconverter does, with the same compiler, as modelconverter itself needs docker:
16 compiler processes, two at a time; `bsdiff4.file_diff` for 15 patches in two threads; an archive by Python's default
xz. Both start from the same prepared ONNX graph; neither verifies. The two ways take turns, each in a process of its
own; printed are medians, and the median of the ratios pair by pair. Memory is that of the whole process tree.
Without models: a ResNet-18 with random weights, and what lies in ../shared/data/models, if anything.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bsdiff4
import onnx
from models import write_resnet18

from oakmill.conversion.output import nn_archive
from oakmill.graph import opset, shapes, simplify
from oakmill.processes.run import Limits, run
from oakmill.settings import Settings, current
from oakmill.toolchains.rvc2.toolchain import Rvc2Toolchain

PROJECT = Path(__file__).resolve().parent.parent
REAL = ("squeezenet1.1_fp32.onnx", "yolox_nano_416.onnx")
AT_A_TIME = 2
BASE = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=3, help="runs of each way")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("models", nargs="*", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as folder:
        if arguments.way:
            print(json.dumps(WAYS[arguments.way](arguments.models[0], Path(folder))))
        else:
            compare(arguments.models or default_models(Path(folder)), arguments.n, Path(folder))


def default_models(folder: Path) -> list[Path]:
    shared = PROJECT.parent / "shared" / "data" / "models"
    return [
        write_resnet18(folder / "resnet18.onnx"),
        *(shared / name for name in REAL if (shared / name).is_file()),
    ]


def compare(models: list[Path], runs: int, folder: Path) -> None:
    print(f"{'model':<24}{'way':<12}{'seconds':>9}{'MB held':>9}{'superblob':>11}{'patches':>9}{'archive':>10}")
    for model in models:
        graph = prepared(model, folder / f"{model.stem}.prepared.onnx")
        pairs = [{way: measured(way, graph, folder) for way in WAYS} for _ in range(runs)]
        for way in WAYS:
            print_row(model.stem, way, [pair[way] for pair in pairs])
        ratio = statistics.median(pair["reference"]["seconds"] / pair["oakmill"]["seconds"] for pair in pairs)
        memory = statistics.median(pair["oakmill"]["mb"] / pair["reference"]["mb"] for pair in pairs)
        print(f"{'':<24}-> {ratio:.1f} times as fast, {memory:.2f} of the memory, medians of {runs} pairs\n")


def print_row(model: str, way: str, runs: list[dict[str, float]]) -> None:
    def middle(key: str) -> float:
        return statistics.median(run[key] for run in runs)

    share = middle("patches") / middle("superblob")
    print(
        f"{model:<24}{way:<12}{middle('seconds'):>9.2f}{middle('mb'):>9.0f}{middle('superblob'):>11.0f}"
        f"{share:>9.2%}{middle('archive'):>10.0f}",
        flush=True,
    )


def prepared(model: Path, target: Path) -> Path:
    graph = simplify.simplify(shapes.fix_input_shapes(onnx.load(model), {}).model)
    onnx.save(opset.lower_opset(graph, 16), target)
    return target


def measured(way: str, graph: Path, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--way", way, str(graph)]
    finished = run(command, cwd=folder, limits=Limits.of(Settings()), name=way)
    if finished.returncode:
        sys.exit(finished.log_tail)
    return {**json.loads(finished.log_tail.strip().splitlines()[-1]), "mb": finished.peak_mb}


def oakmill_way(graph: Path, folder: Path) -> dict[str, float]:
    began = time.perf_counter()
    compiled = Rvc2Toolchain(current()).compile(graph, folder / "job")
    archive = folder / "model.tar.xz"
    nn_archive.write_archive(archive, compiled.file, {})
    return figures(time.perf_counter() - began, compiled.file, archive)


def reference_way(graph: Path, folder: Path) -> dict[str, float]:
    began = time.perf_counter()

    def compile_one(shaves: int) -> None:
        job = folder / str(shaves)
        job.mkdir()
        subprocess.run(command_of(graph, job, shaves), check=True, env=ENVIRONMENT)  # noqa: TID251 - not a product

    def make_patch(shaves: int) -> None:
        if shaves != BASE:
            new, patch = (folder / str(shaves) / name for name in ("model.blob", "model.patch"))
            bsdiff4.file_diff(str(folder / str(BASE) / "model.blob"), str(new), str(patch))

    for step in (compile_one, make_patch):
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            list(pool.map(step, range(1, 17)))
    superblob = join(folder)
    archive = folder / "model.tar.xz"
    with tarfile.open(archive, "w:xz") as file:
        file.add(superblob, superblob.name)
    return figures(time.perf_counter() - began, superblob, archive)


TOOLCHAINS = PROJECT / "src/oakmill/toolchains"
ENVIRONMENT = {"PYTHONPATH": f"{TOOLCHAINS / 'rvc2'}:{TOOLCHAINS / 'for-runners'}", "PATH": "/usr/bin:/bin"}


def command_of(graph: Path, job: Path, shaves: int) -> list[str]:
    """The runner without a sandbox around it, asked for one blob."""
    folder = Rvc2Toolchain(current()).status().folder
    assert folder, "oakmill toolchains install rvc2"
    request = {
        "action": "compile",
        "library": str(folder / "libraries" / "onnxruntime" / "capi"),
        "usb": str(next(folder.glob("lib/python*/site-packages/libusb_package/libusb-1.0.so"))),
        "model": str(graph),
        "target": "model.blob",
        "superblob": False,
        "shaves": shaves,
        "config": {},
        "ports": {"inputs": {}, "outputs": {}},
    }
    (job / "request.json").write_text(json.dumps(request))
    return [str(folder / "bin" / "python"), "-s", "-m", "runner", str(job)]


def join(folder: Path) -> Path:
    base = (folder / str(BASE) / "model.blob").read_bytes()
    patches = [(folder / str(n) / "model.patch") for n in range(1, 17)]
    data = [path.read_bytes() if path.exists() else b"" for path in patches]
    sizes = b"".join(len(part).to_bytes(8, "big") for part in (base, *data))
    target = folder / "model.superblob"
    target.write_bytes(sizes + base + b"".join(data))
    return target


def figures(seconds: float, superblob: Path, archive: Path) -> dict[str, float]:
    with superblob.open("rb") as file:
        sizes = [int.from_bytes(file.read(8), "big") for _ in range(17)]
    return {
        "seconds": seconds,
        "superblob": superblob.stat().st_size,
        "patches": sum(sizes[1:]),
        "archive": archive.stat().st_size,
    }


WAYS: dict[str, Callable[[Path, Path], dict[str, float]]] = {
    "reference": reference_way,
    "oakmill": oakmill_way,
}

if __name__ == "__main__":
    main()

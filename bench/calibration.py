"""Times the calibration of quantization: ours, the limit, and onnxruntime's own, on the same images in one run.

    .venv/bin/python bench/calibration.py [--nets NET ...] [--counts N ...] [--repeat N] [--images FOLDER]

The limit is plain FP32 inference in onnxruntime with all optimisations, of the images read the same way, several at
once as ours does it: nothing that looks at every image's activations can be faster. `loop` is the same as most people
write it: one image after the other, each on all cores. `ort minmax` and `ort percentile` are the calibrators of
`onnxruntime.quantization`, create_calibrator, collect_data and compute_data, and read the images one by one.

Each measurement is a process of its own; the ways take turns. Seconds are from the loaded model to the ranges,
`core ms` is the time of all cores for an image, memory is the process's peak. Printed are medians, and the medians of
the ratios of seconds round by round. onnxruntime's Percentile holds all activations of all images, 30 to 300 MB for
each, so it gets few images; its ratios are of the time for each image, and take for granted that more take as long.

Images are JPEGs of 640x480, made from a seed, or those of a folder, used over and over. squeezenet and yolox are taken
from ../shared/data/models, if they are there; yolo is made here: the shape of a YOLOv8n, 640x640, with random weights.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from models import _Network
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator
from PIL import Image

from oakmill.calibration import find_images, generated, read_image
from oakmill.calibration.feed import cores, prefetched
from oakmill.calibration.ranges import collect
from oakmill.graph import encodings, shapes
from oakmill.spec import Encoding, RangeMethod

PROJECT = Path(__file__).resolve().parent.parent
SHARED = PROJECT.parent / "shared" / "data" / "models"
NETS = {"squeezenet": "squeezenet1.1_fp32.onnx", "yolox": "yolox_nano_416.onnx", "yolo": ""}
MADE = 64
HELD = {"squeezenet": 64, "yolox": 16, "yolo": 8}
"""Images that onnxruntime's Percentile gets at most: about 2 to 3 GB."""


@dataclass(frozen=True)
class Photos:
    """The feeds of `count` images; a file is read again for each."""

    files: Sequence[Path]
    name: str
    shape: tuple[int, ...]
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, NDArray[Any]]:
        path = self.files[index % len(self.files)]
        return {self.name: read_image(path, self.shape, "NCHW", Encoding.BGR)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--counts", nargs="+", type=int, default=[64, 256, 1024])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="the limit is always among them")
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each way")
    parser.add_argument("--images", type=Path, help="a folder of images")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        way, model, count = arguments.child
        print(json.dumps(measure(way, Path(model), find_images(arguments.images), int(count))))
        return
    with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as name:
        folder = Path(name)
        images = arguments.images or make_images(folder / "images")
        ways = list(dict.fromkeys(["limit", *arguments.ways]))
        print(f"{cores()} cores, onnxruntime {onnxruntime.__version__}, medians of {arguments.repeat}\n")
        for net in arguments.nets:
            model = folder / f"{net}.onnx"
            if prepare(net, model):
                print_reading(model, images)
                held = {count: compare(net, model, images, count, ways, arguments.repeat) for count in arguments.counts}
                print_memory(held, ways)


def make_images(folder: Path) -> Path:
    folder.mkdir()
    for index, tensor in enumerate(generated((480, 640, 3), "HWC", Encoding.RGB, MADE, 0)):
        Image.fromarray(tensor.astype(np.uint8)).save(folder / f"{index:03}.jpg", quality=90)
    return folder


def prepare(net: str, target: Path) -> bool:
    """Put a net with fixed shapes where it is asked for."""
    if not NETS[net]:
        write_yolo(target)
    elif (SHARED / NETS[net]).is_file():
        onnx.save(shapes.fix_input_shapes(onnx.load(SHARED / NETS[net]), {}).model, target)
    else:
        print(f"{net}: {NETS[net]} is not in {SHARED}")
        return False
    return True


def print_reading(path: Path, images: Path) -> None:
    photos = photos_of(onnx.load(path), find_images(images), 32)
    began = time.perf_counter()
    for index in range(len(photos)):
        photos[index]
    each = (time.perf_counter() - began) / len(photos) * 1000
    tensors = len(encodings.activations(onnx.load(path)).measured)
    print(f"{path.stem}: {tensors} tensors; an image is read in {each:.1f} ms of one core")
    heads = {"seconds": 9, "ms/image": 10, "core ms": 9, "MB": 7, "of limit": 10, "ort minmax is": 15}
    heads["ort percentile is"] = 19
    print(f"{'images':>8}  {'way':<16}" + "".join(f"{word:>{width}}" for word, width in heads.items()))


def compare(net: str, model: Path, images: Path, count: int, ways: list[str], repeat: int) -> dict[str, float]:
    """Print how long each way takes for so many images; the memory of each."""
    rounds: list[dict[str, dict[str, float]]] = []
    for _ in range(repeat):
        rounds.append({way: child(way, model, images, allowed(way, net, count)) for way in ways})
    middle = {way: {key: statistics.median(r[way][key] for r in rounds) for key in rounds[0][way]} for way in ways}
    for way in ways:
        few = allowed(way, net, count)
        note = f"  (with {few} images: it holds all their activations)" if few < count else ""
        it = middle[way]
        mine = f"{it['seconds']:>9.2f}{it['each'] * 1000:>10.1f}{it['core'] * 1000:>9.1f}{it['mb']:>7.0f}"
        against = "".join(f"{ratio(rounds, *pair):>{width}}" for pair, width in pairs(way, ways))
        print(f"{count:>8}  {way:<16}{mine}{against}{note}", flush=True)
    print()
    return {way: middle[way]["mb"] for way in ways}


def pairs(way: str, ways: list[str]) -> Iterator[tuple[tuple[str, str], int]]:
    """What stands in a way's columns of ratios: what is divided by what, and the column's width."""
    yield (way, "limit"), 10
    others = (("ort minmax", 15), ("ort percentile", 19)) if way in OURS else ()
    yield from (((other, way), width) for other, width in others if other in ways)


def ratio(rounds: list[dict[str, dict[str, float]]], one: str, other: str) -> str:
    return f"{statistics.median(r[one]['each'] / r[other]['each'] for r in rounds):.2f} x"


def print_memory(held: dict[int, dict[str, float]], ways: list[str]) -> None:
    least, most = min(held), max(held)
    if least < most:
        growth = ", ".join(f"{way} {held[most][way] / held[least][way]:.2f}" for way in ways if way != "ort percentile")
        print(f"peak memory with {most} images, with {least} as 1: {growth}\n", flush=True)


def allowed(way: str, net: str, count: int) -> int:
    return min(count, HELD[net]) if way == "ort percentile" else count


def child(way: str, model: Path, images: Path, count: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--images", str(images), "--child", way, str(model), str(count)]
    finished = subprocess.run(  # noqa: TID251 - not a product
        command, check=False, capture_output=True, text=True, cwd=model.parent
    )
    if finished.returncode:
        sys.exit(f"{way} failed on {model.stem}: {finished.stderr[-2000:]}")
    return dict(json.loads(finished.stdout.strip().splitlines()[-1]))


def measure(way: str, path: Path, files: Sequence[Path], count: int) -> dict[str, float]:
    model = onnx.load(path)
    photos = photos_of(model, files, count)
    began, worked = time.perf_counter(), time.process_time()
    WAYS[way](model, path, photos)
    seconds, core = time.perf_counter() - began, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "each": seconds / count, "core": core / count, "mb": peak}


def photos_of(model: onnx.ModelProto, files: Sequence[Path], count: int) -> Photos:
    weights = {tensor.name for tensor in model.graph.initializer}
    value = next(value for value in model.graph.input if value.name not in weights)
    return Photos(files, value.name, tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim), count)


def limit(model: onnx.ModelProto, path: Path, photos: Photos) -> None:
    session = session_of(path, 1)
    for _ in prefetched(lambda i: session.run(None, photos[i]), len(photos), threads=cores(), ahead=cores() + 1):
        pass


def loop(model: onnx.ModelProto, path: Path, photos: Photos) -> None:
    session = session_of(path, cores())
    for index in range(len(photos)):
        session.run(None, photos[index])


def session_of(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def ours(method: RangeMethod) -> Callable[[onnx.ModelProto, Path, Photos], None]:
    def run(model: onnx.ModelProto, path: Path, photos: Photos) -> None:
        collect(model, encodings.activations(model).measured, photos, method=method)

    return run


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """The photos as onnxruntime's calibrators take them."""

    def __init__(self, photos: Photos) -> None:
        self._feeds = iter(photos[index] for index in range(len(photos)))

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._feeds, None)


def theirs(method: CalibrationMethod) -> Callable[[onnx.ModelProto, Path, Photos], None]:
    def run(model: onnx.ModelProto, path: Path, photos: Photos) -> None:
        augmented = path.with_name(f"{path.stem}.{os.getpid()}.augmented.onnx")
        calibrator = create_calibrator(path, augmented_model_path=str(augmented), calibrate_method=method)
        calibrator.collect_data(Reader(photos))
        calibrator.compute_data()
        augmented.unlink()

    return run


class Yolo(_Network):
    """Convolutions with SiLU in stages that split, pass and join, as YOLOv8n has them, up to its raw heads."""

    def conv_silu(self, x: str, before: int, after: int, size: int = 3, stride: int = 1) -> str:
        y = self.conv(x, (before, after), size, stride)
        return self.node("Mul", y, self.node("Sigmoid", y))

    def constant(self, values: list[float], dtype: str) -> str:
        self.weights.append(numpy_helper.from_array(np.array(values, dtype), f"constant_{len(self.weights)}"))
        return self.weights[-1].name

    def stage(self, x: str, before: int, after: int, blocks: int, *, around: bool = True) -> str:
        half = after // 2
        whole = self.conv_silu(x, before, after, 1)
        parts = [f"{whole}_left", f"{whole}_right"]
        self.nodes.append(helper.make_node("Split", [whole, self.constant([half, half], "int64")], parts, axis=1))
        for _ in range(blocks):
            inner = self.conv_silu(self.conv_silu(parts[-1], half, half), half, half)
            parts.append(self.node("Add", parts[-1], inner) if around else inner)
        return self.conv_silu(self.join(*parts), half * len(parts), after, 1)

    def join(self, *parts: str) -> str:
        return self.node("Concat", *parts, axis=1)

    def twice(self, x: str) -> str:
        mode = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.node("Resize", x, "", self.constant([1, 1, 2, 2], "float32"), **mode)

    def pooled(self, x: str) -> str:
        parts = [self.conv_silu(x, 256, 128, 1)]
        for _ in range(3):
            parts.append(self.node("MaxPool", parts[-1], kernel_shape=[5, 5], strides=[1, 1], pads=[2] * 4))
        return self.conv_silu(self.join(*parts), 512, 256, 1)

    def backbone(self, x: str) -> tuple[str, str, str]:
        x = self.conv_silu(self.conv_silu(x, 3, 16, stride=2), 16, 32, stride=2)
        x = self.conv_silu(self.stage(x, 32, 32, 1), 32, 64, stride=2)
        fine = self.stage(x, 64, 64, 2)
        middle = self.stage(self.conv_silu(fine, 64, 128, stride=2), 128, 128, 2)
        return fine, middle, self.pooled(self.stage(self.conv_silu(middle, 128, 256, stride=2), 256, 256, 1))

    def neck(self, fine: str, middle: str, coarse: str) -> tuple[str, str, str]:
        up = self.stage(self.join(self.twice(coarse), middle), 384, 128, 1, around=False)
        fine = self.stage(self.join(self.twice(up), fine), 192, 64, 1, around=False)
        middle = self.stage(self.join(self.conv_silu(fine, 64, 64, stride=2), up), 192, 128, 1, around=False)
        down = self.conv_silu(middle, 128, 128, stride=2)
        return fine, middle, self.stage(self.join(down, coarse), 384, 256, 1, around=False)

    def head(self, x: str, channels: int) -> str:
        boxes = self.conv(self.conv_silu(self.conv_silu(x, channels, 64), 64, 64), (64, 64), 1, 1)
        classes = self.conv(self.conv_silu(self.conv_silu(x, channels, 80), 80, 80), (80, 80), 1, 1)
        return self.join(boxes, self.node("Sigmoid", classes))


def write_yolo(path: Path, size: int = 640) -> None:
    """Write the net, 3.2 million random weights; it takes pixels of 0 to 255."""
    net = Yolo()
    features = net.neck(*net.backbone(net.node("Mul", "images", net.constant([1 / 255], "float32"))))
    heads = [net.head(x, channels) for x, channels in zip(features, (64, 128, 256), strict=True)]
    sides = (size // 8, size // 16, size // 32)
    graph = helper.make_graph(
        net.nodes,
        "yolo",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, size, size])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 144, side, side])
            for name, side in zip(heads, sides, strict=True)
        ],
        net.weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


OURS = ("minmax", "percentile", "mse")
WAYS: dict[str, Callable[[onnx.ModelProto, Path, Photos], None]] = {
    "limit": limit,
    "loop": loop,
    **{method.value: ours(method) for method in RangeMethod},
    "ort minmax": theirs(CalibrationMethod.MinMax),
    "ort percentile": theirs(CalibrationMethod.Percentile),
}

if __name__ == "__main__":
    main()

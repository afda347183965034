"""Counts how often the preflight is right about what converts: on real models, and on operators amid others.

    .venv/bin/python bench/coverage/predict.py [--platforms rvc2 rvc4] [--models FOLDER] [--skip-context]

Real models: `oakmill check` beside `oakmill convert`, as a user runs them, with and without the shape that the
preflight suggests. In context: each case of cases.py with one input and one output of floats is put between two others
(convolutions where it takes an image), which no table was made from, and goes through the same judge as in measure.py.
Right is a refusal that was predicted, or a conversion that was. Each miss is printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from cases import cases
from judging import MODES, Judge
from making import Case, w
from onnx import ModelProto, helper
from warm import Warm

from oakmill.errors import OakmillError
from oakmill.preflight.check import Preflight
from oakmill.preflight.tables import BAD, WRONG
from oakmill.settings import Settings, current
from oakmill.toolchains import catalog
from oakmill.toolchains.base import State

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
QUICK = {
    "rvc2": ["--blob", "--max-images", "2"],
    "rvc3": ["--max-images", "2"],
    "rvc4": ["--max-images", "2", "--proof-images", "1", "--max-quantization-images", "4"],
}
OPSET = 17


@dataclass
class Score:
    """Predictions that were right, and how the others were wrong."""

    right: int = 0
    refused_wrongly: int = 0
    missed: int = 0

    def add(self, predicted: bool, converted: bool, what: str) -> None:
        if predicted == converted:
            self.right += 1
            return
        self.missed += predicted
        self.refused_wrongly += converted
        said, did = ("converts" if one else "refused" for one in (predicted, converted))
        print(f"  predicted: {said}, happened: {did}: {what}", flush=True)

    def __str__(self) -> str:
        total = self.right + self.missed + self.refused_wrongly
        wrong = f"{self.missed} said to convert and do not, {self.refused_wrongly} the other way"
        return f"{self.right} of {total} right; {wrong}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--platforms", nargs="+", default=list(QUICK), choices=list(QUICK))
    parser.add_argument("--models", type=Path, default=SHARED / "models")
    parser.add_argument("--skip-context", action="store_true")
    arguments = parser.parse_args()
    for platform in arguments.platforms:
        toolchain = _toolchain(platform)
        if toolchain is None or toolchain.status().state is not State.INSTALLED:
            print(f"{platform}: its toolchain is not installed, and left out")
            continue
        print(f"{platform}, real models: {real(platform, arguments.models)}")
        if platform in MODES and not arguments.skip_context:
            for mode, score in in_context(platform).items():
                print(f"{platform} {mode}, operators amid others: {score}")


def _toolchain(platform: str) -> Any:
    try:
        return catalog.find(platform, current())
    except OakmillError:
        return None


def real(platform: str, folder: Path) -> Score:
    """Real models, as they are and with the shapes that are suggested."""
    score = Score()
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".onnx", ".xml", ".tflite", ".xz"):
            continue
        tries: list[list[str]] = [[]]
        for options in tries:
            code, found = _run("check", path, "--to", platform, "--json", *options)
            (report,) = json.loads(found)["platforms"] if code in (0, 4) and found else (None,)
            with tempfile.TemporaryDirectory() as output:
                given = [*options, *QUICK[platform], "-o", output, "--json"]
                if platform != "rvc2":
                    given += ["--quantization-data", str(SHARED / "images" / "coco")]
                done, _ = _run("convert", path, "--to", platform, *given)
            score.add(code == 0, done == 0, " ".join([path.name, *options]))
            findings = report["findings"] if report and not options else []
            shape = next((item["remedy"] for item in findings if item["code"] == "open_shape"), "")
            if shape:
                tries.append(shape.split())
    return score


def _run(*words: str | Path) -> tuple[int, str]:
    finished = subprocess.run(  # noqa: TID251 - the bench is the user
        [sys.executable, "-m", "oakmill", *map(str, words)], capture_output=True, text=True, check=False, timeout=900
    )
    return finished.returncode, finished.stdout


@dataclass(frozen=True)
class InContext(Case):
    """A case between two others: convolutions where it takes an image, else products with a constant."""

    def model(self, opset: int) -> ModelProto | None:
        made = super().model(opset)
        if made is None or len(made.graph.output) != 1 or len(made.graph.input) != 1:
            return None
        before, after = made.graph.input[0], made.graph.output[0]
        types = {value.type.tensor_type.elem_type for value in (before, after)}
        if types != {onnx.TensorProto.FLOAT} or not (_sizes(before) and _sizes(after)):
            return None
        return _amid(made, _sizes(before), _sizes(after))


def _sizes(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def _amid(model: ModelProto, before: list[int], after: list[int]) -> ModelProto | None:
    graph = model.graph
    for node in graph.node:
        node.input[:] = ["before" if name == "x0" else name for name in node.input]
    first, second = _other("x0", "squeezed", "first", before), _other(graph.output[0].name, "end", "second", after)
    graph.initializer.extend([first[1], second[1]])
    sigmoid = helper.make_node("Sigmoid", ["squeezed"], ["before"], "before_sigmoid")
    nodes = [first[0], sigmoid, *graph.node, second[0]]
    del graph.node[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.output.append(onnx.ValueInfoProto(name="end"))
    graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)
    except onnx.shape_inference.InferenceError:
        return None


def _other(source: str, target: str, name: str, sizes: list[int]) -> tuple[onnx.NodeProto, onnx.TensorProto]:
    """A convolution, or a product with a constant, and its weights."""
    weights = w(8, sizes[1], 1, 1, spread=0.1).value if len(sizes) == 4 else w(1).value
    if len(sizes) == 4 and name == "first":
        weights = w(sizes[1], sizes[1], 1, 1, spread=0.1).value
    op = "Conv" if len(sizes) == 4 else "Mul"
    return helper.make_node(op, [source, name], [target], name), onnx.numpy_helper.from_array(weights, name)


def in_context(platform: str) -> dict[str, Score]:
    """Each operator that stands between two others."""
    scores = {mode: Score() for mode in MODES[platform]}
    with tempfile.TemporaryDirectory(prefix="oakmill-") as folder, Warm(Path(folder) / "jobs") as warm:
        judge = Judge(platform, _settings(Path(folder)), warm.folder)
        for item, model in contexts():
            preflight = Preflight(model)
            for mode, outcome in judge.judge(item, model).items():
                predicted = preflight.report(platform, mode).verdict != "no"
                what = f"{mode} {item.name}: {outcome[1][:120]}"
                # That numbers are off by more than rounding explains is told of RVC4, and refuses nothing.
                converted = outcome[0] not in BAD or (platform == "rvc4" and outcome[0] == WRONG)
                scores[mode].add(predicted, converted, what)
    return scores


def contexts() -> Iterator[tuple[Case, ModelProto]]:
    """The cases that can stand there, with their models."""
    for item in cases():
        fields = {name: getattr(item, name) for name in Case.__dataclass_fields__}
        between = InContext(**fields)
        model = between.model(OPSET if OPSET in item.opsets else item.opsets[-1])
        if model is not None:
            yield between, model


def _settings(folder: Path) -> Settings:
    home = folder / "home"
    home.mkdir()
    (home / "toolchains").symlink_to(current().toolchains, target_is_directory=True)
    return current().model_copy(update={"home": home})


if __name__ == "__main__":
    main()

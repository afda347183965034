"""The TFLite toolchain on our side: tf2onnx and LiteRT in an environment of their own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from oakmill.processes.events import Watcher, ignore
from oakmill.toolchains import arrays
from oakmill.toolchains.base import Managed, expect
from oakmill.toolchains.making import Contents
from oakmill.toolchains.tflite import tiny

VERSION = "1.17.0"
OPSET = 16
"""The newest that RVC2's compiler reads rightly."""

_HERE = Path(__file__).parent
_MODEL, _FAITHFUL, _FLOAT = "model.tflite", "faithful.onnx", "float.onnx"


@dataclass(frozen=True)
class Converted:
    """A TFLite model as ONNX, and what LiteRT computes from each sample.

    `faithful` quantizes where the TFLite model does; `floating` does not, and is the same file where it never does.
    In `answers`, outputs of quantized integers are float32: the numbers that the integers stand for.
    """

    faithful: Path
    floating: Path
    answers: tuple[dict[str, NDArray[Any]], ...]


class TfliteToolchain(Managed):
    """tf2onnx 1.17, with LiteRT in TensorFlow's place, and as the interpreter to compare with."""

    name = f"sources/tf2onnx-{VERSION}"
    what = "tf2onnx, which writes TFLite models as ONNX, and LiteRT, which says what they compute"
    package = _HERE
    contents = Contents(_HERE / "requirements.lock")

    def prove(self, folder: Path) -> Mapping[str, Any]:
        """Convert and run a model of less than 1 kB."""
        model = tiny.write_model(folder / "tiny.tflite")
        converted = self.convert(model, folder / "job", [{tiny.INPUT: tiny.PICTURE}])
        expect(converted.answers[0][tiny.OUTPUT], tiny.ANSWER, 1e-5)
        return {"onnx_bytes": converted.faithful.stat().st_size}

    def convert(
        self,
        model: Path,
        job: Path,
        samples: Sequence[Mapping[str, NDArray[Any]]] = (),
        *,
        quantized: bool = False,
        shapes: Mapping[str, Sequence[int]] | None = None,
        watch: Watcher = ignore,
    ) -> Converted:
        """Write a TFLite model as ONNX, and run it on samples in LiteRT.

        Args:
            model: the TFLite file.
            job: a folder for the results; it is made.
            samples: for each an array by the input's name, in the input's own shape and type.
            quantized: whether tensors of the model are quantized.
            shapes: of inputs that leave dimensions open.
            watch: is told what the tools print.

        Raises:
            RunnerError: of kind `interpreter` where LiteRT refuses the model, of kind `conversion` where tf2onnx does.
            ToolKilled, LimitExceeded: it did not come to an end.
        """
        job.mkdir(parents=True)
        shutil.copyfile(model, job / _MODEL)  # the tools see this file, and nothing beside the original
        request = {
            "model": _MODEL,
            "opset": OPSET,
            "quantized": quantized,
            "shapes": {name: list(shape) for name, shape in (shapes or {}).items()},
            "samples": arrays.save_samples(job, samples),
        }
        result = self.ask("convert", request, job, watch=watch)
        answers = arrays.load_answers(job, result["outputs"], len(samples))
        return Converted(job / _FAITHFUL, job / (_FLOAT if quantized else _FAITHFUL), answers)


def command(model: str) -> list[str]:
    """The command line that says the same as is done to a TFLite file of that name."""
    options = ["--opset", str(OPSET), "--dequantize", "--output", "model.onnx"]
    return ["python", "-m", "tf2onnx.convert", "--tflite", model, *options]

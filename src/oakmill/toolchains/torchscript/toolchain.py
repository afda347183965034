"""The TorchScript toolchain on our side: PyTorch in an environment of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from oakmill.processes.events import Watcher, ignore
from oakmill.toolchains import arrays
from oakmill.toolchains.base import Managed, expect
from oakmill.toolchains.cpu_torch import CPU_BUILD, VERSION
from oakmill.toolchains.making import Contents
from oakmill.toolchains.torchscript import tiny

OPSET = 16
"""The newest that RVC2's compiler reads rightly."""

_HERE = Path(__file__).parent
_MODEL, _ONNX = "model.pt", "model.onnx"


@dataclass(frozen=True)
class Exported:
    """A TorchScript module as ONNX, and what PyTorch computes from each sample, by the names of the outputs."""

    onnx: Path
    answers: tuple[dict[str, NDArray[Any]], ...]


class TorchScriptToolchain(Managed):
    """PyTorch 2.13 for the CPU; nothing but TorchScript needs it."""

    name = f"sources/torch-{VERSION}"
    what = "PyTorch for the CPU (200 MB to download, 1 GB on disk), which writes TorchScript as ONNX"
    package = _HERE
    contents = Contents(_HERE / "requirements.lock", by_pip=CPU_BUILD)
    pythons = ("3.11",)

    def prove(self, folder: Path) -> Mapping[str, Any]:
        """Export and run a module of less than 1 kB."""
        model = tiny.write_model(folder / "tiny.pt")
        exported = self.export(model, folder / "job", [{tiny.INPUT: tiny.PICTURE}])
        (answer,) = exported.answers[0].values()
        expect(answer, tiny.ANSWER)
        return {"onnx_bytes": exported.onnx.stat().st_size}

    def export(
        self, model: Path, job: Path, samples: Sequence[Mapping[str, NDArray[Any]]], watch: Watcher = ignore
    ) -> Exported:
        """Write a TorchScript module as ONNX, and run it on samples in PyTorch.

        Args:
            model: the TorchScript file.
            job: a folder for the results; it is made.
            samples: at least one; an array for each tensor that forward takes, in its order, by the name that it is to
                have. The first gives the shapes.
            watch: is told what PyTorch prints.

        Raises:
            RunnerError: PyTorch cannot load it (kind `load`), run it on the samples (`run`), or export it
                (`conversion`).
            ToolKilled, LimitExceeded: it did not come to an end.
        """
        job.mkdir(parents=True)
        shutil.copyfile(model, job / _MODEL)  # PyTorch sees this file, and nothing beside the original
        request = {
            "model": _MODEL,
            "opset": OPSET,
            "inputs": list(samples[0]),
            "samples": [list(files.values()) for files in arrays.save_samples(job, samples)],
        }
        result = self.ask("export", request, job, watch=watch)
        answers = arrays.load_answers(job, result["outputs"], len(samples))
        return Exported(job / _ONNX, answers)


def command(model: str) -> list[str]:
    """The command line that says the same as is done to a TorchScript file of that name."""
    load = f"torch.jit.load({json.dumps(model)})"
    export = f'torch.onnx.export({load}, EXAMPLE, "model.onnx", opset_version={OPSET}, dynamo=False)'
    return ["python", "-c", f"import torch; {export}"]

"""The Ultralytics toolchain on our side: exports YOLO checkpoints, in a sandbox or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from oakmill.errors import ToolchainBroken, ToolFailed
from oakmill.processes import sandbox
from oakmill.processes.events import Watcher, ignore
from oakmill.toolchains import arrays
from oakmill.toolchains.base import Managed
from oakmill.toolchains.cpu_torch import CPU_BUILD
from oakmill.toolchains.making import Contents

VERSION = "8.4.190"
OPSET = 16
"""The newest that RVC2's compiler reads rightly."""
INPUT = "images"

_HERE = Path(__file__).parent
_MODEL, _ONNX, _SAMPLES = "model.pt", "model.onnx", "samples.npz"
_LICENCE = (
    "Ultralytics is under the AGPL-3.0, which asks for your sources where you hand on, or offer over a network, what "
    "is made with it; its makers count trained models in, and sell another licence. Oakmill's own licence does not "
    "cover it"
)
_VARIABLES = {
    "YOLO_OFFLINE": "True",
    "YOLO_AUTOINSTALL": "False",
    "YOLO_VERBOSE": "False",
    "ULTRALYTICS_SAFE_LOAD": "True",
}


@dataclass(frozen=True)
class Exported:
    """A checkpoint as ONNX, and what PyTorch computes of generated images.

    `size` is height and width in pixels; `trained`: whether it is the training's. `chooses`: the outputs are the best
    boxes in their order.
    """

    onnx: Path
    samples: tuple[dict[str, NDArray[Any]], ...]
    answers: tuple[dict[str, NDArray[Any]], ...]
    size: tuple[int, int]
    trained: bool
    chooses: bool


class UltralyticsToolchain(Managed):
    """Ultralytics 8.4 with PyTorch for the CPU; nothing but its checkpoints needs it."""

    name = f"sources/ultralytics-{VERSION}"
    what = (
        "Ultralytics with PyTorch for the CPU (300 MB to download, 1.1 GB on disk), which exports YOLO checkpoints "
        "(.pt); AGPL-3.0"
    )
    package = _HERE
    contents = Contents(_HERE / "requirements.lock", by_pip=CPU_BUILD)
    pythons = ("3.11",)
    licence = _LICENCE
    accept = "AGPL-3.0"

    def prove(self, folder: Path) -> Mapping[str, Any]:
        """Export a detector of two classes."""
        made = self.make_tiny(folder / "made")
        exported = self.export(made, folder / "job", None)
        notes = {item.key: item.value for item in onnx.load(exported.onnx).metadata_props}
        if exported.size != (64, 96) or "acorn" not in notes.get("names", ""):
            raise ToolchainBroken(f"it exports {exported.size} {notes.get('names')} instead of 64 x 96 with names")
        return {"onnx_bytes": exported.onnx.stat().st_size}

    def make_tiny(self, job: Path) -> Path:
        """Write a checkpoint of a detector of two classes, trained on nothing at 64 x 96, into the folder `job`."""
        self.ask("make", {"model": _MODEL}, job, variables=_VARIABLES)
        return job / _MODEL

    def export(
        self, model: Path, job: Path, size: tuple[int, int] | None, *, samples: int = 2, seed: int = 0,
        watch: Watcher = ignore,
    ) -> Exported:  # fmt: skip
        """Write a checkpoint as ONNX, and run it on generated images in PyTorch.

        Args:
            model: the checkpoint.
            job: a folder for the results; it is made.
            size: height and width of the image; without, that of the training.
            samples: how many images.
            seed: of the images.
            watch: is told what Ultralytics prints.

        Raises:
            IsolationMissing: no sandbox works here, and to open a checkpoint is to run what is written in it.
            RunnerError: it cannot be loaded (kind `load`), holds no model (`task`), does not take that size (`size`),
                or cannot be exported (`conversion`).
            ToolKilled, LimitExceeded: it did not come to an end.
            ToolFailed: its answer cannot be read: code in a checkpoint may write any.
        """
        self.require_wall()
        job.mkdir(parents=True)
        shutil.copyfile(model, job / _MODEL)
        request = {"model": _MODEL, "size": size, "opset": OPSET, "samples": samples, "seed": seed}
        result = self.ask("export", request, job, variables=_VARIABLES, watch=watch)
        return _read(result, job, samples)

    def require_wall(self) -> None:
        """That a checkpoint, which may run what is written in it, runs it where it can do nothing.

        Raises:
            IsolationMissing: no sandbox works here, or it is switched off.
        """
        found = sandbox.choose(self._settings)
        if found.level is sandbox.Level.NONE:
            raise sandbox.IsolationMissing(
                f"a checkpoint is opened in a sandbox only, as it may run code, and there is none: {found.detail}",
                subject=self.name,
                remedy=found.remedy,
            )


def _read(result: Mapping[str, Any], job: Path, samples: int) -> Exported:
    try:
        height, width = map(int, result["size"])
        outputs = list(map(str, result["outputs"]))
        trained, chooses = bool(result["trained"]), bool(result["chooses"])
    except (KeyError, TypeError, ValueError) as error:
        said = f"Ultralytics' answer cannot be read: {type(error).__name__}: {error}"
        raise ToolFailed(said, remedy="export the model to ONNX where it was trained") from error
    images = arrays.load_named(job / _SAMPLES, [INPUT], samples)
    answers = arrays.load_answers(job, outputs, samples)
    return Exported(job / _ONNX, images, answers, (height, width), trained, chooses)


def command(model: str) -> list[str]:
    """The command line that says the same as is done to a checkpoint of that name, at the size that the inputs have."""
    return ["yolo", "export", f"model={model}", "format=onnx", f"opset={OPSET}", "batch=1", "simplify=False"]

"""The aimet-onnx toolchain on our side: weights that are learned, in an environment with PyTorch of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from oakmill.errors import ToolchainBroken
from oakmill.processes.events import Watcher, ignore
from oakmill.toolchains import arrays
from oakmill.toolchains.base import Managed
from oakmill.toolchains.cpu_torch import CPU_BUILD
from oakmill.toolchains.making import Contents

VERSION = "2.42.0"
SPARE_SECONDS = 1800
"""Beyond the time in which layers are begun: for loading, and for the layer that is being learned then."""

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Order:
    """What is to be learned.

    `method` is adaround or seqmse, `steps` its iterations or candidates for each layer. Layers are named by their
    weights; without names, all are learned that are begun within `seconds`.
    """

    method: str
    steps: int
    seed: int = 0
    layers: tuple[str, ...] | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Learned:
    """The weights that were learned, by name, in the order of their layers; and whether there was time for all."""

    weights: Mapping[str, NDArray[Any]]
    complete: bool
    seconds: float


class Aimet(Managed):
    """aimet-onnx with PyTorch for the CPU; nothing but --improve needs it."""

    name = f"quantizers/aimet-{VERSION}"
    what = (
        f"Qualcomm's aimet-onnx {VERSION} with PyTorch for the CPU (400 MB to download, 1.8 GB on disk), needed for "
        "--improve alone"
    )
    package = _HERE
    contents = Contents(_HERE / "requirements.lock", by_pip=CPU_BUILD)
    pythons = ("3.11",)

    def prove(self, folder: Path) -> Mapping[str, Any]:
        """Learn the weights of one convolution.

        Raises:
            ToolchainBroken: it learned nothing.
        """
        values = np.random.default_rng(0)
        weights = values.normal(size=(4, 3, 3, 3)).astype(np.float32)
        images = [{"picture": values.random((1, 3, 8, 8), np.float32)} for _ in range(4)]
        onnx.save(_tiny(weights), folder / "tiny.onnx")
        learned = self.improve(folder / "tiny.onnx", images, folder / "job", Order("adaround", 20))
        found = learned.weights.get("weights")
        if found is None or np.abs(found - weights).max() > np.abs(weights).max() / 100:
            raise ToolchainBroken("it learned nothing of a convolution")
        return {"layers": len(learned.weights), "seconds": learned.seconds}

    def improve(
        self,
        model: Path,
        samples: Sequence[Mapping[str, NDArray[Any]]],
        job: Path,
        order: Order,
        *,
        watch: Watcher = ignore,
    ) -> Learned:
        """Learn weights from samples by the names of the inputs, in the folder `job`, which is made.

        Raises:
            RunnerError: the tool cannot take the model.
            ToolFailed: what it wrote is damaged.
            ToolKilled, LimitExceeded: it did not come to an end.
        """
        job.mkdir(parents=True)
        request = {
            "model": str(model.absolute()),
            "samples": arrays.save_samples(job, samples),
            "method": order.method,
            "steps": order.steps,
            "seed": order.seed,
            "layers": None if order.layers is None else list(order.layers),
            "seconds": order.seconds,
        }
        answer = self._with_time(order).ask("improve", request, job, read=[model.parent], watch=watch)
        (weights,) = arrays.load_named(job / "weights.npz", answer["layers"], 1)
        return Learned(weights, answer["complete"], answer["seconds"])

    def _with_time(self, order: Order) -> Aimet:
        """The same, allowed to run as long as was asked for; of layers that are named, as long as it takes."""
        most = 86400 if order.seconds is None else order.seconds + SPARE_SECONDS
        seconds = max(self._settings.tool_seconds, most)
        return Aimet(self._settings.model_copy(update={"tool_seconds": seconds}))


def _tiny(weights: NDArray[np.float32]) -> onnx.ModelProto:
    """One convolution."""
    node = helper.make_node("Conv", ["picture", "weights"], ["mixed"], "mix", kernel_shape=[3, 3])
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 8, 8])
    mixed = helper.make_tensor_value_info("mixed", TensorProto.FLOAT, [1, 4, 6, 6])
    graph = helper.make_graph([node], "tiny", [picture], [mixed], [numpy_helper.from_array(weights, "weights")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)

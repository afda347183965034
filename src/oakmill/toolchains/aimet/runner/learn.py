"""AdaRound and sequential MSE of aimet-onnx, whose loops over layers end in time, and tell how far they are."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import onnx
import torch  # type: ignore[import-not-found]
from aimet_onnx.adaround.adaround_optimizer import AdaroundOptimizer  # type: ignore[import-not-found]
from aimet_onnx.adaround.adaround_weight import Adaround  # type: ignore[import-not-found]
from aimet_onnx.common.defs import QuantScheme  # type: ignore[import-not-found]
from aimet_onnx.quantsim import QuantizationSimModel  # type: ignore[import-not-found]
from aimet_onnx.sequential_mse.seq_mse import SeqMseParams, SequentialMse  # type: ignore[import-not-found]
from frame import Refused, report
from onnx import numpy_helper

CHIP = "htp_v73"
"""Whose rules say which weights have a scale for each channel."""
KINDS = ("Conv", "ConvTranspose", "Gemm")
"""What has a scale for each channel in a DLC too; a MatMul has one there."""
LARGEST = 127
"""Of signed 8 bits that mean the same on both sides of zero."""


def improve(request: dict[str, Any]) -> dict[str, Any]:
    """Learn the layers that are asked for, and write their weights."""
    random.seed(request["seed"])
    np.random.seed(request["seed"])
    torch.manual_seed(request["seed"])
    torch.set_num_threads(1)  # the order of sums, and so the last bit, would follow the number of cores
    model = onnx.load(request["model"])
    before = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    sim = QuantizationSimModel(
        model, quant_scheme=QuantScheme.min_max, param_type="int8", activation_type="int8", config_file=CHIP
    )
    for name in sim.param_names:  # as a DLC has them: no step has a number on one side of zero alone
        sim.qc_quantize_op_dict[name].use_strict_symmetric = True
    layers = Layers(request, _learnable(sim))
    samples = [{name: np.load(file) for name, file in sample.items()} for sample in request["samples"]]
    METHODS[request["method"]](sim, samples, request["steps"], layers)
    done = [name for name in layers.done if name in before]
    np.savez("weights.npz", **{f"{place}/0": _stored(sim, name, before[name]) for place, name in enumerate(done)})
    return {"layers": done, "complete": layers.complete, "seconds": round(layers.seconds, 1)}


class Layers:
    """Which layers are learned: those that are asked for, until the time is over."""

    def __init__(self, request: dict[str, Any], total: int) -> None:
        self._wanted, self._allowed = request["layers"], request["seconds"]
        self._total = total if self._wanted is None else len(self._wanted)
        self._began = time.monotonic()
        self.done: list[str] = []
        self.complete = True

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def begin(self, names: list[str]) -> bool:
        """Whether these are to be learned now; they count as done then."""
        if self._wanted is not None and not set(names) <= set(self._wanted):
            return False
        if self._allowed is not None and self.seconds > self._allowed:
            self.complete = False
            return False
        self.done += names
        report(len(self.done), self._total, "layers learned")
        return True


def _learnable(sim: Any) -> int:
    """How many layers have such weights."""
    return sum(node.op_type in KINDS for node in sim.model.model.graph.node)


def _adaround(sim: Any, samples: list[dict[str, Any]], steps: int, layers: Layers) -> None:
    """Round each weight up or down, as its layer's outputs come nearest to the float model's."""
    learn = AdaroundOptimizer.adaround_module.__func__

    def one(cls: Any, module: Any, *more: Any, **named: Any) -> None:
        if module.type in KINDS and layers.begin([module.params["weight"].name]):
            learn(cls, module, *more, **named)

    AdaroundOptimizer.adaround_module = classmethod(one)
    Adaround.apply_adaround(sim, samples, num_iterations=steps)


def _seqmse(sim: Any, samples: list[dict[str, Any]], steps: int, layers: Layers) -> None:
    """Choose each channel's scale among so many, by its layer's outputs."""

    class Timed(SequentialMse):  # type: ignore[misc]
        def _run_seq_mse(self, nodes: list[Any]) -> None:
            if layers.begin([self.dependency_graph.get_param_name(node) for node in nodes]):
                super()._run_seq_mse(nodes)

    others = [op.name for op in sim.connected_graph.ordered_ops if op.type == "MatMul"]
    params = SeqMseParams(num_batches=None, num_candidates=steps)
    Timed(None, sim, params, samples, others).apply_seq_mse_algo()


METHODS = {"adaround": _adaround, "seqmse": _seqmse}


def _stored(sim: Any, name: str, before: Any) -> Any:
    """What 8 bits hold of a learned weight, so that whoever rounds to the nearest gets the same steps and numbers.

    A channel's largest weight stays: from it the scale follows, where the method leaves the scale as it was.
    """
    quantizer = sim.qc_quantize_op_dict[name]
    encodings = quantizer.get_encodings()
    if encodings is None or any(item.offset != -LARGEST for item in encodings):
        raise Refused("model", f"{name!r} has no signed 8 bits")
    scales = np.array([item.delta for item in encodings], np.float64)
    if quantizer.quant_info.usePerChannelMode:
        axis = quantizer.quant_info.channelAxis % before.ndim
        scales = scales.reshape([-1 if place == axis else 1 for place in range(before.ndim)])
    learned = numpy_helper.to_array(next(item for item in sim.model.model.graph.initializer if item.name == name))
    steps = np.clip(np.round(learned / scales), -LARGEST, LARGEST)
    plain = np.clip(np.round(before / scales), -LARGEST, LARGEST)
    return (np.where(np.abs(plain) == LARGEST, plain, steps) * scales).astype(before.dtype)

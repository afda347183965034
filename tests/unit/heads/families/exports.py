"""Small detectors as Ultralytics' exporter writes them: three grids, distances as distributions, boxes decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

BINS = 4
STRIDES = (8, 16, 32)


class Export:
    """Writes one; `joined`: older exports join distances and logits on each grid, and split them after all grids."""

    def __init__(self, classes: int = 3, side: int = 64, opset: int = 12, *, joined: bool = True) -> None:
        self._random = np.random.default_rng(7)
        self._nodes: list[NodeProto] = []
        self._weights: dict[str, np.ndarray] = {}
        self.classes, self.side, self.opset, self.joined = classes, side, opset, joined

    def model(self, **metadata: str) -> ModelProto:
        """The network, with what its writer notes in it."""
        grids = [self._grid(place, stride) for place, stride in enumerate(STRIDES)]
        distances, logits = self._together(grids)
        self._decode(distances)
        self._add("Sigmoid", [logits], "scores")
        self._add("Concat", ["boxes", "scores"], "output0", axis=1)
        cells = sum((self.side // stride) ** 2 for stride in STRIDES)
        graph = helper.make_graph(
            self._nodes,
            "detector",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, self.side, self.side])],
            [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 4 + self.classes, cells])],
            [numpy_helper.from_array(value, name) for name, value in self._weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        names = {number: f"thing {number}" for number in range(self.classes)}
        known = {"author": "Ultralytics", "task": "detect", "stride": "32", "version": "8.3.0", "names": str(names)}
        helper.set_model_props(model, {**known, **metadata})
        return model

    def _add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def _constant(self, name: str, value: object, kind: str = "float32") -> str:
        self._weights[name] = np.array(value, kind)
        return name

    def _convolution(self, source: str, name: str, channels: tuple[int, int], stride: int = 1) -> str:
        weight = self._random.normal(size=[channels[1], channels[0], stride, stride]) * 0.8 / stride
        self._constant(f"{name}/weight", weight)
        return self._add("Conv", [source, f"{name}/weight"], name, strides=[stride, stride])

    def _grid(self, place: int, stride: int) -> tuple[str, str]:
        body = self._convolution("images", f"body{place}", (3, 8), stride)
        distances = self._convolution(body, f"distances{place}", (8, 4 * BINS))
        return distances, self._convolution(body, f"logits{place}", (8, self.classes))

    def _flat(self, name: str, channels: int) -> str:
        shape = self._constant(f"{name}/shape", [1, channels, -1], "int64")
        return self._add("Reshape", [name, shape], f"{name}/flat")

    def _together(self, grids: list[tuple[str, str]]) -> tuple[str, str]:
        """The distances of all grids, and their logits, each [1, C, N]."""
        if not self.joined:
            parts = ([self._flat(a, 4 * BINS) for a, _ in grids], [self._flat(b, self.classes) for _, b in grids])
            return self._add("Concat", parts[0], "distances", axis=2), self._add("Concat", parts[1], "logits", axis=2)
        both = [self._add("Concat", [*grid], f"both{place}", axis=1) for place, grid in enumerate(grids)]
        flat = [self._flat(name, 4 * BINS + self.classes) for name in both]
        self._add("Concat", flat, "all", axis=2)
        sizes = [4 * BINS, self.classes]
        split = ["all", self._constant("sizes", sizes, "int64")] if self.opset >= 13 else ["all"]
        old: dict[str, Any] = {} if self.opset >= 13 else {"split": sizes}
        self._nodes.append(helper.make_node("Split", split, ["distances", "logits"], "split", axis=1, **old))
        return "distances", "logits"

    def _decode(self, distances: str) -> None:
        """Distances to centre and size in pixels, as the export has it inside."""
        cells = np.concatenate([self._cells(stride) for stride in STRIDES])
        self._add("Reshape", [distances, self._constant("bins", [1, 4, BINS, -1], "int64")], "binned")
        if self.opset >= 13:
            self._add("Transpose", ["binned"], "turned", perm=[0, 2, 1, 3])
            self._add("Softmax", ["turned"], "likely", axis=1)
        else:  # there it is over all that follows its axis
            self._add("Transpose", ["binned"], "turned", perm=[0, 1, 3, 2])
            self._add("Softmax", ["turned"], "softmax", axis=3)
            self._add("Transpose", ["softmax"], "likely", perm=[0, 3, 1, 2])
        ramp = self._constant("ramp", np.arange(BINS).reshape(1, BINS, 1, 1))
        self._add("Conv", ["likely", ramp], "summed")
        self._add("Reshape", ["summed", self._constant("sides", [1, 4, -1], "int64")], "ltrb")
        mix = np.array([[-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5], [1, 0, 1, 0], [0, 1, 0, 1]], "f")
        self._add("MatMul", [self._constant("mix", mix), "ltrb"], "mixed")
        self._add("Add", ["mixed", self._constant("centres", cells[None, :, :4].transpose(0, 2, 1))], "placed")
        self._add("Mul", ["placed", self._constant("strides", cells[None, None, :, 4])], "boxes")

    def _cells(self, stride: int) -> np.ndarray:
        """Centre in cells, two zeros for the size, and the stride, of each cell."""
        count = self.side // stride
        x, y = np.meshgrid(np.arange(count) + 0.5, np.arange(count) + 0.5)
        zero = np.zeros(count * count)
        return np.stack([x.ravel(), y.ravel(), zero, zero, zero + stride], 1)

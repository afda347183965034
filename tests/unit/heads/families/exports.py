"""Small detectors as Ultralytics' exporter writes them: three grids, distances as distributions, boxes decoded.

`task` adds what its head has besides; `bins` of 1 are distances as they are, as in v26; `chosen` ends with the best
boxes, as v10 and v26 do; `rows` with rows of an objectness of 1, as YOLOv6 does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

BINS = 4
STRIDES = (8, 16, 32)


class Export:
    """Writes one; `joined`: older exports join distances and logits on each grid, and split them after all grids."""

    def __init__(
        self,
        classes: int = 3,
        side: int = 64,
        opset: int = 12,
        *,
        joined: bool = True,
        task: str = "detect",
        bins: int = BINS,
        chosen: bool = False,
        rows: bool = False,
        strides: tuple[int, ...] = STRIDES,
        dims: int = 3,
    ) -> None:
        self._random = np.random.default_rng(7)
        self._nodes: list[NodeProto] = []
        self._weights: dict[str, np.ndarray] = {}
        self.classes, self.side, self.opset, self.joined = classes, side, opset, joined
        self.task, self.bins, self.chosen, self.rows, self.strides, self.dims = task, bins, chosen, rows, strides, dims
        self.others = {"detect": 0, "segment": 5, "pose": 4 * dims, "obb": 1}[task]
        self.cells = np.concatenate([self._cells(stride) for stride in strides])

    def model(self, **metadata: str) -> ModelProto:
        """The network, with what its writer notes in it."""
        grids = [self._grid(place, stride) for place, stride in enumerate(self.strides)]
        distances, logits = self._together(grids)
        others = self._others()
        self._decode(self._summed(distances))
        self._add("Sigmoid", [logits], "scores")
        shape = self._outputs(others)
        outputs = [helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)]
        if self.task == "segment":
            protos = self._convolution("images", "prototypes", (3, self.others), 4)
            self._add("Relu", [protos], "output1")
            size = [1, self.others, self.side // 4, self.side // 4]
            outputs.append(helper.make_tensor_value_info("output1", TensorProto.FLOAT, size))
        graph = helper.make_graph(
            self._nodes,
            "detector",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, self.side, self.side])],
            outputs,
            [numpy_helper.from_array(value, name) for name, value in self._weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        names = {number: f"thing {number}" for number in range(self.classes)}
        known = {"author": "Ultralytics", "task": self.task, "stride": "32", "version": "8.3.0", "names": str(names)}
        known |= {"kpt_shape": f"[4, {self.dims}]"} if self.task == "pose" else {}
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
        distances = self._convolution(body, f"distances{place}", (8, 4 * self.bins))
        if self.others:
            self._convolution(body, f"others{place}", (8, self.others))
        return distances, self._convolution(body, f"logits{place}", (8, self.classes))

    def _flat(self, name: str, channels: int) -> str:
        shape = self._constant(f"{name}/shape", [1, channels, -1], "int64")
        return self._add("Reshape", [name, shape], f"{name}/flat")

    def _together(self, grids: list[tuple[str, str]]) -> tuple[str, str]:
        """The distances of all grids, and their logits, each [1, C, N]."""
        if not self.joined:
            parts = ([self._flat(a, 4 * self.bins) for a, _ in grids], [self._flat(b, self.classes) for _, b in grids])
            return self._add("Concat", parts[0], "distances", axis=2), self._add("Concat", parts[1], "logits", axis=2)
        both = [self._add("Concat", [*grid], f"both{place}", axis=1) for place, grid in enumerate(grids)]
        flat = [self._flat(name, 4 * self.bins + self.classes) for name in both]
        self._add("Concat", flat, "all", axis=2)
        sizes = [4 * self.bins, self.classes]
        split = ["all", self._constant("sizes", sizes, "int64")] if self.opset >= 13 else ["all"]
        old: dict[str, Any] = {} if self.opset >= 13 else {"split": sizes}
        self._nodes.append(helper.make_node("Split", split, ["distances", "logits"], "split", axis=1, **old))
        return "distances", "logits"

    def _others(self) -> str:
        """What the task has besides, decoded: coefficients of masks, keypoints in pixels, or an angle."""
        if not self.others:
            return ""
        flat = [self._flat(f"others{place}", self.others) for place in range(len(self.strides))]
        joined = self._add("Concat", flat, "others", axis=2)
        if self.task == "obb":
            self._add("Sub", [self._add("Sigmoid", [joined], "turn"), self._constant("quarter", 0.25)], "from")
            return self._add("Mul", ["from", self._constant("pi", np.pi)], "angles")
        return self._keypoints(joined) if self.task == "pose" else joined

    def _keypoints(self, joined: str) -> str:
        self._add("Reshape", [joined, self._constant("points", [1, 4, self.dims, -1], "int64")], "by point")
        places = [self._constant("places", [0, 1], "int64"), self._constant("third", [2], "int64")]
        self._add("Gather", ["by point", places[0]], "offsets", axis=2)
        doubled = self._add("Mul", ["offsets", self._constant("two", 2.0)], "doubled") if self.bins > 1 else "offsets"
        corner = self.cells[:, :2].T - (0.5 if self.bins > 1 else 0.0)
        self._add("Add", [doubled, self._constant("corners", corner)], "in cells")
        self._add("Mul", ["in cells", self._constant("steps", self.cells[None, :, 4])], "in pixels")
        if self.dims == 3:
            self._add("Sigmoid", [self._add("Gather", ["by point", places[1]], "seen", axis=2)], "visible")
            self._add("Concat", ["in pixels", "visible"], "decoded", axis=2)
        last = self._constant("in rows", [1, 4 * self.dims, -1], "int64")
        return self._add("Reshape", ["decoded" if self.dims == 3 else "in pixels", last], "keypoints")

    def _outputs(self, others: str) -> list[int]:
        """Joins all to the one output, in rows or the best of them; its shape."""
        rows, columns = len(self.cells), 4 + self.classes + self.others
        if self.rows:
            ones = self._constant("ones", np.ones((1, 1, rows)))
            self._add("Concat", ["boxes", ones, "scores"], "all rows", axis=1)
            self._add("Transpose", ["all rows"], "output0", perm=[0, 2, 1])
            return [1, rows, columns + 1]
        parts = ["boxes", "scores", *([others] if others else [])]
        if not self.chosen:
            self._add("Concat", parts, "output0", axis=1)
            return [1, columns, rows]
        self._add("Transpose", [self._add("Concat", parts, "all of them", axis=1)], "rows", perm=[0, 2, 1])
        self._choose(columns)
        return [1, 20, 6 + self.others]

    def _choose(self, columns: int) -> None:
        """The 20 best of all rows and classes: corners, score, class, and the others."""
        self._add("Transpose", ["scores"], "by row", perm=[0, 2, 1])
        self._add("Reshape", ["by row", self._constant("one row", [1, -1], "int64")], "every score")
        self._nodes.append(
            helper.make_node("TopK", ["every score", self._constant("k", [20], "int64")], ["best", "places of best"])
        )
        count = self._constant("classes", self.classes, "int64")
        row = self._add("Div", ["places of best", count], "row of best")
        times = self._add("Mul", [row, count], "first of row")
        label = self._add("Sub", ["places of best", times], "label of best")
        last = self._constant("last", [1, 20, 1], "int64")
        self._add("Cast", [label], "label as number", to=TensorProto.FLOAT)
        for name in ("label as number", "best"):
            self._add("Reshape", [name, last], f"{name}, one to a row")
        index = self._constant("flat index", [-1], "int64")
        self._add("Gather", ["rows", self._add("Reshape", [row, index], "rows of best")], "chosen", axis=1)
        pieces = {"box of best": (0, 4), "others of best": (columns - self.others, columns)}
        for name, bounds in pieces.items():
            words = [self._constant(f"{name} {place}", [value], "int64") for place, value in enumerate((*bounds, 2))]
            self._add("Slice", ["chosen", *words], name)
        found = ["box of best", "best, one to a row", "label as number, one to a row"]
        self._add("Concat", [*found, *(["others of best"] if self.others else [])], "output0", axis=2)

    def _summed(self, distances: str) -> str:
        """Four distances of each cell, out of their bins."""
        if self.bins == 1:
            return distances
        self._add("Reshape", [distances, self._constant("bins", [1, 4, self.bins, -1], "int64")], "binned")
        if self.opset >= 13:
            self._add("Transpose", ["binned"], "turned", perm=[0, 2, 1, 3])
            self._add("Softmax", ["turned"], "likely", axis=1)
        else:  # there it is over all that follows its axis
            self._add("Transpose", ["binned"], "turned", perm=[0, 1, 3, 2])
            self._add("Softmax", ["turned"], "softmax", axis=3)
            self._add("Transpose", ["softmax"], "likely", perm=[0, 3, 1, 2])
        ramp = self._constant("ramp", np.arange(self.bins).reshape(1, self.bins, 1, 1))
        self._add("Conv", ["likely", ramp], "summed")
        return self._add("Reshape", ["summed", self._constant("sides", [1, 4, -1], "int64")], "ltrb")

    def _decode(self, distances: str) -> None:
        """Distances to centre and size in pixels, or to corners where boxes are chosen, as the export has it inside."""
        mix = np.array([[-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5], [1, 0, 1, 0], [0, 1, 0, 1]], "f")
        corners = np.array([[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "f")
        as_corners = self.chosen and self.task != "obb"
        self._add("MatMul", [self._constant("mix", corners if as_corners else mix), distances], "mixed")
        centres = self.cells[:, [0, 1, 0, 1] if as_corners else [0, 1, 2, 3]].T[None]
        mixed = self._turned() if self.task == "obb" else "mixed"
        self._add("Add", [mixed, self._constant("centres", centres)], "placed")
        self._add("Mul", ["placed", self._constant("strides", self.cells[None, None, :, 4])], "boxes")

    def _turned(self) -> str:
        """The way from a cell to the middle, turned by the box' angle."""
        for place, name in enumerate(("way x", "way y")):
            self._add("Gather", ["mixed", self._constant(f"axis {name}", [place], "int64")], name, axis=1)
        self._add("Gather", ["mixed", self._constant("axes of size", [2, 3], "int64")], "size", axis=1)
        self._add("Cos", ["angles"], "cos")
        self._add("Sin", ["angles"], "sin")
        for way in "xy":
            for kind in ("cos", "sin"):
                self._add("Mul", [f"way {way}", kind], f"{way} {kind}")
        self._add("Sub", ["x cos", "y sin"], "x there")
        self._add("Add", ["x sin", "y cos"], "y there")
        return self._add("Concat", ["x there", "y there", "size"], "turned way", axis=1)

    def _cells(self, stride: int) -> np.ndarray:
        """Centre in cells, two zeros for the size, and the stride, of each cell."""
        count = self.side // stride
        x, y = np.meshgrid(np.arange(count) + 0.5, np.arange(count) + 0.5)
        zero = np.zeros(count * count)
        return np.stack([x.ravel(), y.ravel(), zero, zero, zero + stride], 1)

"""ONNX's own backend suite as cases: models of opset 20 and below with the inputs and outputs that the suite states.

The suite declares an operator at the newest opset that changed it. Models of a newer opset than 20 are declared
at 20, where the operator is the same there. Only what onnxruntime itself loads, and computes as the suite says, is
kept: such a case has a right answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, defs, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.loader import load_model_tests

NEWEST = 20
KINDS = ("simple", "pytorch-converted", "pytorch-operator")
"""Kinds of the suite that are whole files; what has to be downloaded is not among them."""
TOLERANCE = 2e-3
"""Between onnxruntime and the suite, which both compute in float32; the suite itself asks 1e-3."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Stated:
    """A model, what is fed to it, and what the suite says that it gives."""

    name: str
    op: str
    model: ModelProto
    feeds: Arrays
    expected: Arrays

    @property
    def digest(self) -> str:
        """Of all that decides what becomes of it."""
        seen = hashlib.sha256(self.model.SerializeToString(deterministic=True))
        for values in self.feeds.values():
            seen.update(repr(values.tolist()).encode() if values.dtype.kind == "O" else values.tobytes())
        return seen.hexdigest()[:24]

    def fixed(self) -> Stated | None:
        """The same with every input but the first as a constant, as trained models have them; None with one input."""
        names = [value.name for value in self.model.graph.input]
        if len(names) < 2:
            return None
        model = ModelProto()
        model.CopyFrom(self.model)
        first = next((name for name in names if self.feeds[name].dtype.kind == "f"), names[0])
        kept = [value for value in model.graph.input if value.name == first]
        model.graph.initializer.extend(
            numpy_helper.from_array(self.feeds[name], name) for name in names if name != first
        )
        del model.graph.input[:]
        model.graph.input.extend(kept)
        return Stated(f"{self.name} +fixed", self.op, model, {first: self.feeds[first]}, self.expected)


def kept(folder: Path) -> list[Stated]:
    """All cases, which take a minute to make and try, from a file that this wrote earlier."""
    seen = hashlib.sha256(Path(__file__).read_bytes() + repr((onnx.__version__, onnxruntime.__version__)).encode())
    file = folder / f"oakmill-suite-{seen.hexdigest()[:12]}.pickle"
    if not file.is_file():
        file.write_bytes(pickle.dumps(list(stated())))
    found: list[Stated] = pickle.loads(file.read_bytes())
    return found


def stated(*, fixed: bool = True) -> Iterator[Stated]:
    """All cases that have a right answer; with `fixed`, also those whose other inputs are constants."""
    onnxruntime.set_default_logger_severity(4)
    seen: set[str] = set()
    for item in _collected():
        for case in (item, item.fixed() if fixed else None):
            if case is not None and case.digest not in seen and _is_right(case):
                seen.add(case.digest)
                yield case


def _collected() -> Iterator[Stated]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = collect_testcases()
    for case in found:
        made = _stated(case.name, case.model, case.data_sets[0]) if case.model and case.data_sets else None
        if made is not None:
            yield made
    for kind in KINDS:
        for case in load_model_tests(kind=kind):
            if case.model_dir and (made := _of_folder(Path(case.model_dir))) is not None:
                yield made


def _of_folder(folder: Path) -> Stated | None:
    model = onnx.load(folder / "model.onnx")
    sides = []
    for side, values in (("input", model.graph.input), ("output", model.graph.output)):
        files = sorted((folder / "test_data_set_0").glob(f"{side}_*.pb"), key=lambda path: int(path.stem.split("_")[1]))
        read = []
        for file, _ in zip(files, values, strict=False):
            tensor = onnx.TensorProto()
            try:
                tensor.ParseFromString(file.read_bytes())
                read.append(numpy_helper.to_array(tensor))
            except Exception:  # noqa: BLE001 - a sequence, or an optional, which is no tensor
                return None
        sides.append(read)
    return _stated(folder.name, model, (sides[0], sides[1]))


def _stated(name: str, model: ModelProto, data: tuple[Sequence[Any], Sequence[Any]]) -> Stated | None:
    """The case at an opset that is measured; None where there is none, or where a side is no tensor."""
    sides = []
    for values, arrays in ((model.graph.input, data[0]), (model.graph.output, data[1])):
        if len(values) != len(arrays) or not all(value.type.HasField("tensor_type") for value in values):
            return None
        if not all(isinstance(array, np.ndarray | np.generic) for array in arrays):
            return None
        sides.append({value.name: np.asarray(array) for value, array in zip(values, arrays, strict=True)})
    old = _at_most(model, NEWEST)
    if old is None or not sides[0]:
        return None
    op = next((node.op_type for node in old.graph.node), "")
    return Stated(name, op, old, sides[0], sides[1])


def _at_most(model: ModelProto, newest: int) -> ModelProto | None:
    """The model at an opset of at most `newest`; None where an operator is not there, or another one."""
    versions = {item.domain: item.version for item in model.opset_import}
    if set(versions) - {"", "ai.onnx"} or not versions:
        return None
    opset = max(versions.values())
    copy = ModelProto()
    copy.CopyFrom(model)
    copy.ir_version = min(copy.ir_version, 10)
    if opset <= newest:
        return copy
    for node in copy.graph.node:
        if not defs.has(node.op_type, newest, ""):
            return None
        schema = defs.get_schema(node.op_type, newest, "")
        if not {item.name for item in node.attribute} <= set(schema.attributes):
            return None
    del copy.opset_import[:]
    copy.opset_import.append(onnx.helper.make_opsetid("", newest))
    return copy


def _is_right(case: Stated) -> bool:
    """Whether onnxruntime takes the model and computes what the suite says."""
    with contextlib.suppress(Exception):
        onnx.checker.check_model(case.model)
        session = onnxruntime.InferenceSession(case.model.SerializeToString(), providers=["CPUExecutionProvider"])
        found = dict(zip(case.expected, session.run(list(case.expected), case.feeds), strict=True))
        return all(close(wanted, found[name], TOLERANCE) for name, wanted in case.expected.items())
    return False


def close(wanted: NDArray[Any], found: NDArray[Any], tolerance: float) -> bool:
    """Whether the values are the same but for a share of their own size, and of how far all of them are spread.

    Whole numbers, truth values and text are equal or not; what is not finite is so in the same places.
    """
    if wanted.size != np.asarray(found).size:
        return False
    a, b = wanted.ravel(), np.asarray(found).ravel()
    if wanted.dtype.kind not in "fc":
        return bool(np.array_equal(a.astype(b.dtype) if wanted.dtype.kind == "b" else a, b))
    a, b = a.astype(np.float64), b.astype(np.float64)
    known = np.isfinite(a)
    if not np.array_equal(known, np.isfinite(b)) or not np.array_equal(a[~known], b[~known], equal_nan=True):
        return False
    spread = float(np.ptp(a[known])) if known.any() else 0.0
    return bool((np.abs(a[known] - b[known]) <= tolerance * (np.abs(a[known]) + spread) + 1e-6).all())

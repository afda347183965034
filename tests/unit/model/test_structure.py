from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.errors import BrokenModel
from oakmill.model.structure import check_structure

Build = Callable[..., ModelProto]
FLOATS = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])


def branching(*inner: NodeProto, output: str = "z") -> NodeProto:
    """A node whose branches both run the given nodes."""
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1])]
    branch = helper.make_graph(list(inner), "branch", [], outputs)
    return helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)


def test_sound_models_pass(build: Build) -> None:
    check_structure(build())
    check_structure(build(nodes=[helper.make_node("Clip", ["x", "", "w"], ["y"])]))  # "" is an input left out
    check_structure(build(nodes=[branching(helper.make_node("Add", ["x", "w"], ["z"]))]))  # reads from outside


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"inputs": []}, "has no inputs"),
        ({"outputs": []}, "has no outputs"),
        ({"outputs": [FLOATS, FLOATS]}, "two outputs of the name 'y'"),
        ({"nodes": [helper.make_node("Relu", ["gone"], ["y"], name="relu")]}, "'relu' .Relu. reads 'gone'"),
        ({"nodes": [helper.make_node("Relu", ["x"], ["other"])]}, "output 'y' is computed by no node"),
        ({"nodes": [helper.make_node("Relu", ["x"], ["x"])]}, "computes 'x', which exists"),
        (
            {"nodes": [helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Relu", ["x"], ["a"])]},
            "reads 'a', which nothing before it",
        ),
        ({"nodes": [helper.make_node("Relu", ["y"], ["y"])]}, "reads 'y', which nothing before it"),
        ({"nodes": [branching(helper.make_node("Relu", ["gone"], ["z"]))]}, "reads 'gone'"),
        ({"nodes": [branching(helper.make_node("Relu", ["x"], ["a"]))]}, "output 'z' is computed by no node"),
    ],
)
def test_models_that_contradict_themselves_are_refused(
    build: Build, parts: dict[str, list[NodeProto]], words: str
) -> None:
    with pytest.raises(BrokenModel, match=words):
        check_structure(build(**parts))


def test_two_inputs_or_initializers_of_one_name_are_refused(build: Build) -> None:
    for field in ("input", "initializer"):
        model = build()
        items = getattr(model.graph, field)
        items.append(items[0])
        with pytest.raises(BrokenModel, match=f"two {field}s of the name"):
            check_structure(model)


def test_what_a_branch_computes_is_unknown_outside(build: Build) -> None:
    nodes = [branching(helper.make_node("Relu", ["x"], ["z"])), helper.make_node("Relu", ["z"], ["out"])]
    with pytest.raises(BrokenModel, match="reads 'z'"):
        check_structure(build(nodes=nodes))


def test_a_function_is_checked_too(build: Build) -> None:
    body = [helper.make_node("Relu", ["gone"], ["b"])]
    model = build()
    model.functions.append(helper.make_function("custom", "f", ["a"], ["b"], body, list(model.opset_import)))
    with pytest.raises(BrokenModel, match="reads 'gone', which nothing before it in function 'f'"):
        check_structure(model)


def test_names_that_are_no_text_are_refused(build: Build) -> None:
    damaged = build().SerializeToString().replace(b"\x22\x04Conv", b"\x22\x04Co\xff\xff")
    model = ModelProto.FromString(damaged)
    with pytest.raises(BrokenModel, match="not UTF-8 text"):
        check_structure(model)


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (TensorProto(name="w", data_type=1, dims=[4], raw_data=bytes(15)), "needs 16 bytes, but holds 15"),
        (TensorProto(name="w", data_type=1, dims=[1 << 40], raw_data=bytes(16)), "but holds 16"),
        (TensorProto(name="w", data_type=1, dims=[4]), "needs 4 values, but holds 0"),
        (TensorProto(name="w", data_type=7, dims=[2], int64_data=[1]), "needs 2 values, but holds 1"),
        (TensorProto(name="w", data_type=8, dims=[2], string_data=[b"a"]), "needs 2 values, but holds 1"),
        (TensorProto(name="w", data_type=1, dims=[-4], raw_data=bytes(16)), "negative dimension"),
        (TensorProto(name="w", data_type=999, dims=[4], raw_data=bytes(16)), "unknown type 999"),
    ],
)
def test_tensors_whose_data_does_not_fit_are_refused(build: Build, weight: TensorProto, words: str) -> None:
    with pytest.raises(BrokenModel, match=words):
        check_structure(build(initializer=[weight]))


@pytest.mark.parametrize(
    "kind",
    [
        "FLOAT",
        "FLOAT16",
        "BFLOAT16",
        "DOUBLE",
        "INT8",
        "UINT8",
        "INT4",
        "UINT64",
        "BOOL",
        "COMPLEX64",
        "STRING",
    ],
)
def test_tensors_of_every_kind_pass_as_onnx_itself_writes_them(build: Build, kind: str) -> None:
    number = TensorProto.DataType.Value(kind)
    values: list[Any] = [b"a", b"b", b"c"] if kind == "STRING" else [1, 0, 1]
    check_structure(build(initializer=[helper.make_tensor("w", number, [3], values)]))
    if kind not in {"STRING", "INT4", "BFLOAT16"}:
        array = np.array(values, helper.tensor_dtype_to_np_dtype(number))
        check_structure(build(initializer=[numpy_helper.from_array(array, "w")]))

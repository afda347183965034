"""What a parser of the camera computes in float is left to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper

from oakmill.graph import equality
from oakmill.heads import families
from oakmill.heads.families.base import Evidence, Found

SIDE = 16
DIGITS = "0123456789"


def network(body: str, **metadata: str) -> ModelProto:
    """A small network of an image of 16 x 16, of random weights."""
    text = f"""
        <ir_version: 8, opset_import: ["": 17]>
        net (float[1,3,{SIDE},{SIDE}] image) => (float[{"1,16,12" if "turned" in body else "1,12"}] out) {body}
    """
    made = onnx.parser.parse_model(text)
    weight = np.random.default_rng(0).normal(size=(12, 3, 1, 1)).astype(np.float32) * 4
    made.graph.initializer.append(onnx.numpy_helper.from_array(weight, "weight"))
    helper.set_model_props(made, metadata)
    onnx.checker.check_model(made)
    return made


READER = """{
    map = Conv (image, weight)
    row = ReduceMean <axes = [2], keepdims = 0> (map)
    turned = Transpose <perm = [0, 2, 1]> (row)
    out = Softmax <axis = 2> (turned)
}"""
LABELS = """{
    map = Conv (image, weight)
    mean = GlobalAveragePool (map)
    scores = Sigmoid (mean)
    out = Flatten (scores)
}"""
NETWORKS = {"text": network(READER, character="\n".join(DIGITS)), "classification": network(LABELS)}


def found_in(family: str) -> Found:
    model = NETWORKS[family]
    metadata = {item.key: item.value for item in model.metadata_props}
    found = families.recognise(model, Evidence(metadata, (SIDE, SIDE), family))
    assert found is not None
    return found


def run(model: ModelProto) -> dict[str, Any]:
    image = np.random.default_rng(1).random((1, 3, SIDE, SIDE), dtype=np.float32)
    return dict(equality.Session(model).run({"image": image}))


@pytest.mark.parametrize("family", NETWORKS)
def test_the_network_ends_before_the_function_and_says_the_same(family: str) -> None:
    """DepthAI's parsers of classes and characters ask that shares sum up to 1. A Sigmoid's never do, so that a camera's
    app stopped at the first frame; of a reader in 8 bits each text was refused, as its 6,625 shares summed up to 0.886
    to 0.996, and rows must to a hundredth.
    """
    model, found = NETWORKS[family], found_in(family)
    ended = found.cut(model, "rvc4")
    onnx.checker.check_model(ended, full_check=True)
    assert [value.name for value in ended.graph.output] == ["out_logits"]
    assert [value.name for value in model.graph.output] == ["out"]
    assert not {"Softmax", "Sigmoid"} & {node.op_type for node in ended.graph.node}
    assert found.apart(run(model), run(ended)) < 1e-6
    (head,) = found.heads(tuple(map(str, range(12))))
    assert head["outputs"] == ["out_logits"]
    assert head["metadata"]["is_softmax"] is False


@pytest.mark.parametrize("family", NETWORKS)
def test_other_numbers_are_told_apart(family: str) -> None:
    before, after = run(NETWORKS[family]), run(found_in(family).cut(NETWORKS[family], "rvc4"))
    after["out_logits"] = after["out_logits"][..., ::-1]
    assert found_in(family).apart(before, after) > 0.1

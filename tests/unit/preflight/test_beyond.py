"""What no compiled network has is refused in one sentence that names it."""

from __future__ import annotations

import pytest
from onnx import ModelProto

from oakmill.errors import UnsupportedModel
from oakmill.preflight.check import require
from tests.unit.graph.building import parse

BEYOND = {
    "a sequence of tensors": "s = SplitToSequence(x) y = ConcatFromSequence<axis=0>(s)",
    "draws random numbers": "y = RandomNormalLike(x)",
    "is in training mode": "y, m, v = BatchNormalization<training_mode=1>(x, a, a, a, a)",
    "is a step of training": "y = SoftmaxCrossEntropyLoss(x, t)",
}


def model(body: str) -> ModelProto:
    return parse(body, inputs="float[2,3] x, int64[2] t", outputs="float[?,?] y", constants="float[3] a = {1, 1, 1}")


@pytest.mark.parametrize("why", BEYOND)
@pytest.mark.parametrize("platform", ["rvc2", "rvc4"])
def test_it_is_refused_with_its_reason(why: str, platform: str) -> None:
    """They were "never tried: its compiler decides", and ended with a compiler's words on a layer."""
    with pytest.raises(UnsupportedModel, match=why) as caught:
        require(model(BEYOND[why]), platform, "fp16")
    assert caught.value.remedy


def test_what_is_not_computed_is_not_looked_at() -> None:
    assert require(model("l = SoftmaxCrossEntropyLoss(x, t) y = Relu(x)"), "rvc2", "fp16") == ()

"""Small models and settings that the tests of oakmill.model share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.settings import Settings

Build = Callable[..., ModelProto]


@pytest.fixture
def settings() -> Settings:
    return Settings(source_max_mb=128)


@pytest.fixture
def build() -> Build:
    """Makes y = Conv(x, w) on [1, 3, 8, 8]; keywords replace parts of its graph."""
    return build_model


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.onnx"
    onnx.save(build_model(), path)
    return path


def build_model(opset: int = 17, **parts: Any) -> ModelProto:
    weight = numpy_helper.from_array(np.full((4, 3, 3, 3), 0.5, np.float32), "w")
    graph = {
        "nodes": [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")],
        "name": "graph",
        "inputs": [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        "outputs": [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 6, 6])],
        "initializer": [weight],
    }
    return helper.make_model(
        helper.make_graph(**(graph | parts)),
        opset_imports=[helper.make_opsetid("", opset)],
        producer_name="tests",
        producer_version="1",
    )

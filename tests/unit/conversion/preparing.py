"""Models made ready for RVC4 and pictures for them, as the conversion's stages hand them on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image

from oakmill.calibration import generated
from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.inputs import ResolvedInput
from oakmill.conversion.prepare import Needs, Prepared, prepare
from oakmill.model.source import SourceFormat, SourceModel, Tensor
from oakmill.spec import Encoding, InputSpec, Rvc4Spec
from oakmill.spec.recipe import InputRecord

INPUT = InputRecord(
    name="image",
    shape=(1, 3, 8, 8),
    dtype="float32",
    layout="NCHW",
    encoding_from=Encoding.RGB,
    encoding_to=Encoding.BGR,
)
"""As a recipe records an input of images."""

NEEDS = Needs(highest_opset=20, lowest_opset=13, channels_last=True)


def picture_input(name: str = "image", size: int = 8) -> ResolvedInput:
    """An input as RVC4 takes it, of a source in NCHW."""
    return ResolvedInput(
        name, (1, size, size, 3), "float32", "NHWC", Encoding.RGB, Encoding.RGB, None, None, array_layout="NCHW"
    )


def numbers_input(name: str = "state") -> ResolvedInput:
    return ResolvedInput(name, (1, 4), "float32", "NC", Encoding.NONE, Encoding.NONE, None, None)


def photos(folder: Path, count: int, *, size: int = 12, seed: int = 5) -> Path:
    """A folder of PNG pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, pixels in enumerate(generated((size, size, 3), "HWC", Encoding.RGB, count, seed)):
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index:03}.png")
    return folder


def classifier(*, size: int = 8) -> ModelProto:
    """image -> Conv -> Relu -> a map of 4 channels, and the mean of each channel."""
    weight = np.random.default_rng(7).normal(size=[4, 3, 3, 3]).astype("f") / 100
    nodes = [
        helper.make_node("Conv", ["image", "weight"], ["features"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["features"], ["map"], "relu"),
        helper.make_node("ReduceMean", ["map"], ["means"], "mean", axes=[2, 3], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, size, size])],
        [
            helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, 4, size, size]),
            helper.make_tensor_value_info("means", TensorProto.FLOAT, [1, 4]),
        ],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def prepared(
    model: ModelProto, asked: Sequence[InputSpec] = (), spec: Rvc4Spec | None = None, needs: Needs = NEEDS
) -> Prepared:
    """The model as RVC4's compiler is to get it."""
    tensors = tuple(
        Tensor(value.name, tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim), "float32")
        for value in model.graph.input
    )
    source = SourceModel(SourceFormat.ONNX, Path("model.onnx"), (), "model", "", 0, tensors, ())
    return prepare(model, source, asked, spec or Rvc4Spec(), needs, Progress())


def samples_of(made: Prepared, count: int = 6, seed: int = 0) -> SampleSet:
    """Generated pictures for its inputs."""
    return SampleSet.generated(made.boundary, count, seed)

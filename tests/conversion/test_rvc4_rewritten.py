"""What Qualcomm's compiler refuses or misreads comes out right on the emulated processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.conversion.conftest import Convert
from tests.conversion.makers import SIDE, saved


def awkward() -> ModelProto:
    """An image of bytes, quantized weights, uneven pools, shifted neighbours, GELU by its Erf, an Einsum, anchors."""
    random = np.random.default_rng(5)
    constants = {
        "w": random.integers(-127, 128, [8, 3, 3, 3]).astype(np.int8),
        "ws": np.full(8, 0.003, np.float32),
        "wz": np.zeros(8, np.int8),
        "full": np.float32(255),
        "double": np.array([1, 1, 2, 2], np.float32),
        "root": np.float32(np.sqrt(2)),
        "one": np.float32(1),
        "half": np.float32(0.5),
        "mix": (random.normal(size=[8, 6]) / 3).astype(np.float32),
        "fixed": np.arange(8, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["whole"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["whole", "full"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["turned"], perm=[0, 3, 1, 2]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["weight"], axis=0),
        helper.make_node("Conv", ["turned", "weight"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("AveragePool", ["c"], ["p"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]),
        helper.make_node("Resize", ["p", "", "double"], ["r"], mode="nearest", nearest_mode="floor"),
        helper.make_node("Div", ["r", "root"], ["e0"]),
        helper.make_node("Erf", ["e0"], ["e1"]),
        helper.make_node("Add", ["e1", "one"], ["e2"]),
        helper.make_node("Mul", ["r", "e2"], ["e3"]),
        helper.make_node("Mul", ["e3", "half"], ["gelu"]),
        helper.make_node("Einsum", ["gelu", "mix"], ["y"], "y", equation="bchw,cd->bdhw"),
        helper.make_node("Identity", ["fixed"], ["anchors"]),
    ]
    graph = helper.make_graph(
        nodes,
        "awkward",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 6, SIDE, SIDE]),
            helper.make_tensor_value_info("anchors", TensorProto.FLOAT, [8]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("precision", ["INT8", "FP16"])
def test_what_the_compiler_misreads_is_right_in_the_finished_file(
    precision: str, photos: Path, tmp_path: Path, convert4: Convert
) -> None:
    """Each of these was refused, hung in the quantizer, or left 1 dB and less on the processor."""
    teaches = ["--quantization-data", photos] if precision == "INT8" else []
    path = saved(awkward(), tmp_path / "awkward.onnx")
    answer = convert4(path, "--target-precision", precision, *teaches, "-o", tmp_path / "out")
    assert answer.exit_code == 0, (answer.error, answer.stderr)
    reader = answer.result["passport"]["vendor_reader"]
    assert [(item["name"], item["dtype"]) for item in reader["inputs"]] == [("image", "uint8")]
    assert [item["name"] for item in reader["outputs"]] == ["y"]
    for method in answer.result["passport"]["checks"]:
        (found,) = method["outputs"]
        assert found["snr_db"] > (30 if precision == "INT8" else 45), method["name"]


def test_silu_in_16_bits_is_right_on_few_rows(photos: Path, tmp_path: Path, convert4: Convert) -> None:
    """YOLOX at 192 pixels and YOLOv8 at 320 were refused in 16 bits: on 9 to 12 rows their SiLU came out at 6 dB."""
    random = np.random.default_rng(0)
    weights = [numpy_helper.from_array((random.normal(size=(8, 3, 1, 1)) / 2).astype(np.float32), "w")]
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["x"]),
        helper.make_node("Sigmoid", ["x"], ["gate"]),
        helper.make_node("Mul", ["x", "gate"], ["y"]),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 12, 16])
        for name, channels in (("image", 3), ("y", 8))
    ]
    graph = helper.make_graph(nodes, "silu", values[:1], values[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    arguments = ["--target-precision", "INT8_INT16_MIXED", "--quantization-data", photos, "-o", tmp_path / "out"]
    answer = convert4(saved(model, tmp_path / "silu.onnx"), *arguments)
    assert answer.exit_code == 0, (answer.error, answer.stderr)
    for method in answer.result["passport"]["checks"]:
        assert method["outputs"][0]["snr_db"] > 30, method["name"]


def test_weights_of_16_bits_are_computed_as_they_were_simulated(
    photos: Path, tmp_path: Path, convert4: Convert
) -> None:
    """Both YOLOX were refused in INT16_STANDARD, 18 dB where 36 were simulated: the processor reads no weight above
    0x7F7F, and drops half of the bits of a depthwise Conv's sums; so was UltraFace, for its Convs with dilations."""
    random = np.random.default_rng(0)
    sizes = np.geomspace(0.01, 1, 8)[:, None, None, None]
    own = np.abs(random.normal(size=(8, 1, 3, 3))) / sizes
    across, mixed = random.normal(size=(8, 3, 1, 1)) * sizes / 255, random.normal(size=(6, 8, 1, 1))
    across[0, 0], mixed[:, 0] = np.abs(across).max(), np.abs(mixed).max()
    weights = {"across": across, "own": own, "mixed": mixed, "apart": random.normal(size=(6, 6, 3, 3))}
    nodes = [
        helper.make_node("Conv", ["image", "across"], ["a"]),
        helper.make_node("Conv", ["a", "own"], ["b"], group=8, strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["b", "mixed"], ["c"]),
        helper.make_node("Conv", ["c", "apart"], ["y"], dilations=[3, 3], pads=[3, 3, 3, 3]),
    ]
    shapes = {"image": [1, 3, 32, 32], "y": [1, 6, 16, 16]}
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    constants = [numpy_helper.from_array(item.astype(np.float32), name) for name, item in weights.items()]
    graph = helper.make_graph(nodes, "wide", values[:1], values[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    arguments = ["--target-precision", "INT16_STANDARD", "--quantization-data", photos, "-o", tmp_path / "out"]
    answer = convert4(saved(model, tmp_path / "wide.onnx"), *arguments)
    assert answer.exit_code == 0, (answer.error, answer.stderr)
    simulated, finished = (method["outputs"][0]["snr_db"] for method in answer.result["passport"]["checks"])
    assert simulated > 40
    assert finished > simulated - 2

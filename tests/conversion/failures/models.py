"""Makes the models and images that a conversion fails on."""

from __future__ import annotations

import io
import shutil
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image

from tests.conversion.makers import SIDE, conv_model, saved, two_input_model

NAME = "model.onnx"


def beside_an_empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return good(folder)


def good(folder: Path) -> Path:
    return saved(conv_model(), folder / NAME)


def two_inputs(folder: Path) -> Path:
    return saved(two_input_model(), folder / NAME)


def text(folder: Path) -> Path:
    path = folder / NAME
    path.write_text("hello, this is not a model\n" * 10)
    return path


def empty(folder: Path) -> Path:
    path = folder / NAME
    path.touch()
    return path


def truncated(folder: Path) -> Path:
    path = good(folder)
    path.write_bytes(path.read_bytes()[:-200])
    return path


def nothing(folder: Path) -> Path:
    return folder / NAME


def itself(folder: Path) -> Path:
    return folder


def checkpoint(folder: Path) -> Path:
    """As torch.save leaves it: a zip with a pickle."""
    path = folder / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("model/data/0", bytes(64))
        archive.writestr("model/version", b"3\n")
    return path


class _Zeros(io.RawIOBase):
    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int = -1) -> bytes:
        taken = min(size, self._left)
        self._left -= taken
        return bytes(taken)


def zip_bomb(folder: Path) -> Path:
    path = folder / "model.tar.xz"
    with tarfile.open(path, "w:xz", preset=1) as archive:
        entry = tarfile.TarInfo("config.json")
        entry.size = 400 << 20
        archive.addfile(entry, _Zeros(entry.size))
    return path


def climbing_archive(folder: Path) -> Path:
    path = folder / "model.tar.xz"
    with tarfile.open(path, "w:xz") as archive:
        for name in ("config.json", "../../escaped.txt"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return path


def _external(folder: Path, location: str) -> Path:
    model = conv_model()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "432")):
        weight.external_data.add(key=key, value=value)
    return saved(model, folder / NAME)


def external_data_outside(folder: Path) -> Path:
    return _external(folder, "../secret.bin")


def external_data_missing(folder: Path) -> Path:
    return _external(folder, "weights.bin")


def nan_weight(folder: Path) -> Path:
    weight = np.ones((4, 3, 3, 3), np.float32)
    weight[2, 1, 0, 0] = np.nan
    return saved(conv_model(weight=weight), folder / NAME)


def two_megabytes(folder: Path) -> Path:
    weight = np.random.default_rng(0).standard_normal((4, 3, 211, 211)).astype(np.float32)
    return saved(conv_model(weight=weight, shape=(1, 3, 256, 256)), folder / NAME)


def unknown_domain(folder: Path) -> Path:
    node = helper.make_node("FancyPool", ["hidden"], ["scores"], "fancy", domain="my.company")
    model = conv_model(tail=[node])
    model.opset_import.append(helper.make_opsetid("my.company", 1))
    return saved(model, folder / NAME)


def optimised_by_onnxruntime(folder: Path) -> Path:
    """As onnxruntime itself saves it, at the level "extended": its Conv has the Relu behind it."""
    path = folder / NAME
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(conv_model().SerializeToString(), options, providers=["CPUExecutionProvider"])
    return path


def opset_99(folder: Path) -> Path:
    return saved(conv_model(opset=99), folder / NAME)


def opset_not_lowered(folder: Path) -> Path:
    """Opset 20's GridSample samples volumes, which opset 16 cannot, where the grid is not constant."""
    nodes = [
        helper.make_node("Unsqueeze", ["hidden", "axis"], ["volume"], "as_volume"),
        helper.make_node("ReduceMean", ["hidden"], ["mean"], "mean"),
        helper.make_node("Mul", ["grid", "mean"], ["moved"], "move"),
        helper.make_node("GridSample", ["volume", "moved"], ["scores"], "sample_volume"),
    ]
    return saved(
        _with(conv_model(opset=20, tail=nodes), axis=np.array([2]), grid=np.zeros((1, 1, 4, 4, 3), np.float32)),
        folder / NAME,
    )


def open_dimensions(folder: Path) -> Path:
    return saved(conv_model(shape=(1, 3, "height", "width")), folder / NAME)


def no_shape(folder: Path) -> Path:
    model = conv_model()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    return saved(model, folder / NAME)


def integers(folder: Path) -> Path:
    model = conv_model()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT32
    model.graph.node.insert(0, helper.make_node("Cast", ["image"], ["pixels"], "as_floats", to=TensorProto.FLOAT))
    model.graph.node[1].input[0] = "pixels"
    return saved(model, folder / NAME)


def inner_shape(folder: Path) -> Path:
    """An open input, and a Reshape that fits one size only."""
    node = helper.make_node("Reshape", ["hidden", "to"], ["scores"], "flatten")
    model = conv_model(shape=(1, 3, "height", "width"), tail=[node])
    return saved(_with(model, to=np.array([1, 4 * SIDE * SIDE])), folder / NAME)


def _with(model: ModelProto, **constants: NDArray[np.generic]) -> ModelProto:
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
    return model


def _of_integers(model: ModelProto) -> ModelProto:
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    return model


def with_tail(*nodes: str, opset: int = 13, **constants: NDArray[np.generic]) -> ModelProto:
    """The small network with other nodes behind it, each as "Op input,input output"."""
    tail = []
    for words in nodes:
        op, inputs, output = words.split()
        tail.append(helper.make_node(op, inputs.split(","), [output], f"{op.lower()}_{output}"))
    return _with(conv_model(tail=tail, opset=opset), **constants)


def grid_sample(folder: Path) -> Path:
    """By a grid that is fed: by a constant one it is a product with a matrix."""
    model = with_tail("GridSample hidden,grid scores", opset=16)
    model.graph.input.append(helper.make_tensor_value_info("grid", TensorProto.FLOAT, [1, 4, 4, 2]))
    return saved(model, folder / NAME)


def determinant(folder: Path) -> Path:
    return saved(with_tail("Det hidden scores"), folder / NAME)


def pool_in_three(folder: Path) -> Path:
    model = with_tail("Unsqueeze hidden,axis volume", "MaxPool volume scores", axis=np.array([2]))
    model.graph.node[-1].attribute.append(helper.make_attribute("kernel_shape", [1, 2, 2]))
    return saved(model, folder / NAME)


def select_boxes(folder: Path) -> Path:
    model = with_tail(
        "Reshape hidden,four boxes", "Reshape hidden,flat chances", "NonMaxSuppression boxes,chances,most scores",
        four=np.array([1, 256, 4]), flat=np.array([1, 4, 256]), most=np.array(10),
    )  # fmt: skip
    return saved(_of_integers(model), folder / NAME)


def non_zero(folder: Path) -> Path:
    return saved(_of_integers(with_tail("NonZero hidden scores")), folder / NAME)


def with_if(folder: Path) -> Path:
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(op, ["hidden"], [f"{name}_out"], f"{name}_node")],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)],
        )
        for name, op in (("then", "Neg"), ("else", "Abs"))
    }
    nodes = [
        helper.make_node("Greater", ["level", "nil"], ["positive"], "is_positive"),
        helper.make_node("If", ["positive"], ["scores"], "choose", **branches),
    ]
    model = _with(conv_model(tail=nodes), nil=np.zeros(1, np.float32))
    model.graph.input.append(helper.make_tensor_value_info("level", TensorProto.FLOAT, [1]))
    return saved(model, folder / NAME)


def deep(folder: Path) -> Path:
    """Some seconds of compiling."""
    model = conv_model(shape=(1, 3, 320, 320))
    count = 60
    nodes = [
        helper.make_node(
            "Conv", [f"x{index}" if index else "features", "deep"], [f"x{index + 1}"], f"c{index}", pads=[1, 1, 1, 1]
        )
        for index in range(count)
    ]
    del model.graph.node[1:]
    model.graph.node.extend([*nodes, helper.make_node("Relu", [f"x{count}"], ["scores"], "last")])
    weight = np.random.default_rng(0).standard_normal((4, 4, 3, 3)).astype(np.float32) * 0.2
    return saved(_with(model, deep=weight), folder / NAME)


def heavy(folder: Path) -> Path:
    """150 MB of weights in a sparse file beside the model."""
    rows = 4 * SIDE * SIDE
    columns = 150 * (1 << 20) // 4 // rows
    model = with_tail("Reshape hidden,flat row", "MatMul row,big scores", flat=np.array([1, rows]))
    weight = TensorProto(
        name="big", data_type=TensorProto.FLOAT, dims=[rows, columns], data_location=TensorProto.EXTERNAL
    )
    weight.external_data.add(key="location", value="big.data")
    model.graph.initializer.append(weight)
    with (folder / "big.data").open("wb") as file:
        file.truncate(rows * columns * 4)
    return saved(model, folder / NAME)


def config_with_typo(folder: Path) -> Path:
    good(folder)
    path = folder / "config.yaml"
    path.write_text("input_model: model.onnx\nmean_valeus: [1, 2, 3]\n")
    return path


def open_vino_ir(folder: Path) -> Path:
    from tests.unit.model.ir_making import write_ir

    path = folder / "model.xml"
    write_ir(path)
    return path


def other_encodings(folder: Path) -> Path:
    (folder / "encodings.json").write_text('{"activation_encodings": {"other_net_out": [{"bitwidth": 8}]}}')
    return good(folder)


# images


def photos(folder: Path, count: int = 4, size: int = 24) -> Path:
    random = np.random.default_rng(5)
    for index in range(count):
        pixels = random.integers(0, 256, (size, size + 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03}.png")
    return folder


def words(folder: Path) -> None:
    (folder / "words.jpg").write_text("these are words and no picture\n" * 20)


def cut_off(folder: Path) -> None:
    path = photos(folder, 1, size=200) / "000.png"
    path.write_bytes(path.read_bytes()[:500])


def many_pixels(folder: Path) -> None:
    """100 megapixels in some kB."""
    side, rows = 10_000, zlib.compressobj(9)
    data = b"".join(rows.compress(bytes(side + 1)) for _ in range(side)) + rows.flush()

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def array(folder: Path, values: NDArray[np.generic]) -> None:
    np.save(folder / "values.npy", values)


def wrong_shape(folder: Path) -> None:
    array(folder, np.zeros((1, 3, SIDE // 2, SIDE), np.float32))


def complex_numbers(folder: Path) -> None:
    array(folder, np.zeros((1, 3, SIDE, SIDE), np.complex64))


def not_finite(folder: Path) -> None:
    array(folder, np.full((1, 3, SIDE, SIDE), np.nan, np.float32))


def not_pixels(folder: Path) -> None:
    array(folder, np.linspace(-500, 500, 3 * SIDE * SIDE, dtype=np.float32).reshape(1, 3, SIDE, SIDE))


def raw_of_wrong_size(folder: Path) -> None:
    (folder / "values.raw").write_bytes(bytes(100))


def teaches(folder: Path) -> Path:
    """The folder of images, beside the model."""
    made = folder / "teaches"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    return made


def zip_cut_off(folder: Path) -> Path:
    """Calibration pictures in a zip that is not whole."""
    pictures = teaches(folder)
    photos(pictures)
    with zipfile.ZipFile(folder / "pictures.zip", "w") as archive:
        for path in pictures.iterdir():
            archive.write(path, path.name)
    whole = (folder / "pictures.zip").read_bytes()
    (folder / "pictures.zip").write_bytes(whole[: len(whole) // 2])
    return good(folder)

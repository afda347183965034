"""The real tools for RVC3: OpenVINO 2022.3.2 reads and runs IRs, NNCF and POT quantize what its mo wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.errors import ToolchainMissing
from oakmill.graph import equality
from oakmill.settings import Settings, current
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.rvc3 import tiny
from oakmill.toolchains.rvc3.quantizers import Control, Done, Order, Quantizer
from oakmill.toolchains.rvc3.toolchain import Rvc3Toolchain
from tests.conversion.makers import saved
from tests.unit.graph.building import feeds, parse

Outputs = Mapping[str, NDArray[Any]]
SIDE = 16
CALIBRATE = 16


@pytest.fixture(scope="module", autouse=True)
def tools(rvc3_toolchains: None) -> None:
    """All tools are there."""


def toolchain() -> Rvc3Toolchain:
    return Rvc3Toolchain(current())


def test_each_tool_proves_itself() -> None:
    assert toolchain().verify()["ir_bytes"] > 500
    assert Quantizer(current()).verify()["quantizers"] == 1
    assert Quantizer(current(), "pot").verify()["quantizers"] >= 1


def test_what_is_not_installed_says_how_to_get_it(tmp_path: Path) -> None:
    for tool in (Rvc3Toolchain(Settings(home=tmp_path)), Quantizer(Settings(home=tmp_path), "pot")):
        with pytest.raises(ToolchainMissing) as raised:
            tool.require()
        assert f"oakmill toolchains install {tool.name}" in raised.value.remedy


def test_no_package_that_reports_home_is_installed() -> None:
    """Telemetry is in none of the environments: its newest version even crashes mo on Python 3.8."""
    for tool in (toolchain(), Quantizer(current()), Quantizer(current(), "pot")):
        assert "openvino-telemetry" not in tool.require().versions


def network() -> ModelProto:
    """image -> Conv -> Relu -> Conv -> the mean of each of 6 channels."""
    random = np.random.default_rng(0)
    weights = {"w1": random.normal(size=[8, 3, 3, 3]) / 300, "w2": random.normal(size=[6, 8, 3, 3]) / 3}
    return helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Conv", ["image", "w1"], ["a"], "first", pads=[1, 1, 1, 1]),
                helper.make_node("Relu", ["a"], ["b"], "relu"),
                helper.make_node("Conv", ["b", "w2"], ["c"], "second"),
                helper.make_node("ReduceMean", ["c"], ["scores"], "mean", axes=[2, 3], keepdims=0),
            ],
            "net",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 6])],
            [numpy_helper.from_array(values.astype("f"), name) for name, values in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )


def pictures(count: int, seed: int = 1) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    smooth = (
        random.integers(0, 256, (count, 1, 3, 1, 1)) * np.linspace(0.2, 1, SIDE) * np.linspace(1, 0.1, SIDE)[:, None]
    )
    return smooth.astype(np.uint8)


@pytest.fixture(scope="module")
def ir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ir")
    model = saved(network(), folder / "net.onnx")
    return toolchain().convert(model, folder / "mo", ["--data_type", "FP16"])


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("samples") / "image.npy"
    np.save(path, pictures(40))
    return path


Made = Callable[[str, str], Done]


@pytest.fixture(scope="module")
def made(ir: Path, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """What a tool makes of the whole IR for a device; made once for all tests here."""

    @cache
    def quantized(tool: str, device: str) -> Done:
        folder = tmp_path_factory.mktemp(f"{tool}-{device}")
        return Quantizer(current(), tool).quantize(ir, folder, Order({"image": samples}, CALIBRATE, device))

    return quantized


def signal_to_noise(expected: NDArray[Any], found: NDArray[Any]) -> float:
    return float(10 * np.log10((expected**2).sum() / ((expected - found) ** 2).sum()))


def run(path: Path, job: Path, names: list[str] | None = None) -> list[Outputs]:
    samples = [{"image": picture.astype(np.float32)} for picture in pictures(6, seed=2)]
    return list(toolchain().infer(path, job, samples, names or ["scores"]))


def test_the_ir_computes_what_the_model_does(ir: Path, tmp_path: Path) -> None:
    session = equality.Session(network())
    for picture, found in zip(pictures(6, seed=2), run(ir, tmp_path / "job"), strict=True):
        wanted = session.run({"image": picture.astype(np.float32)})
        assert signal_to_noise(wanted["scores"], found["scores"]) > 50


@pytest.mark.parametrize(
    ("tool", "device"),
    [
        ("nncf", "VPU"),
        ("pot", "ANY"),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in (("nncf", "ANY"), ("pot", "VPU"))),
    ],
)
def test_a_quantized_ir_is_read_by_openvino_2022_3_and_computes_nearly_the_same(
    tool: str, device: str, ir: Path, made: Made, tmp_path: Path
) -> None:
    done = made(tool, device)
    assert done.file.with_suffix(".bin").stat().st_size < ir.with_suffix(".bin").stat().st_size
    read = toolchain().read(done.file, tmp_path / "read", ["image"], ["scores"])
    assert [(port.name, port.shape, port.dtype) for port in read.inputs] == [("image", (1, 3, 16, 16), "float32")]
    before, after = run(ir, tmp_path / "before"), run(done.file, tmp_path / "after")
    for plain, quantized in zip(before, after, strict=True):
        assert signal_to_noise(plain["scores"], quantized["scores"]) > 20


@pytest.mark.parametrize("tool", ["nncf", pytest.param("pot", marks=pytest.mark.slow)])
def test_the_same_samples_give_the_same_bytes(tool: str, ir: Path, samples: Path, made: Made, tmp_path: Path) -> None:
    again = Quantizer(current(), tool).quantize(ir, tmp_path / "again", Order({"image": samples}, CALIBRATE))
    for ending in (".xml", ".bin"):
        first, second = (done.file.with_suffix(ending).read_bytes() for done in (made(tool, "VPU"), again))
        assert first == second
        assert str(tmp_path).encode() not in first


@pytest.mark.parametrize("tool", ["nncf", pytest.param("pot", marks=pytest.mark.slow)])
def test_layers_are_left_in_floating_point_by_name_and_by_type(
    tool: str, ir: Path, samples: Path, made: Made, tmp_path: Path
) -> None:
    quantizer, every = Quantizer(current(), tool), made(tool, "VPU")
    named = quantizer.quantize(ir, tmp_path / "named", Order({"image": samples}, 8, ignored_names=("second",)))
    typed = quantizer.quantize(ir, tmp_path / "typed", Order({"image": samples}, 8, ignored_types=("Convolution",)))
    assert every.report["quantizers"] > named.report["quantizers"] > typed.report["quantizers"]
    assert typed.report["ignored"] == ["first", "second"]
    with pytest.raises(RunnerError, match="no layer 'third'") as raised:
        quantizer.quantize(ir, tmp_path / "none", Order({"image": samples}, 8, ignored_names=("third",)))
    assert raised.value.kind == "layers"


def test_accuracy_control_puts_back_what_noise_taught_wrongly(ir: Path, tmp_path: Path) -> None:
    """Taught by dark pictures, the network cuts bright ones off; the last quarter of the samples are bright."""
    taught = np.concatenate([pictures(24) // 40, pictures(8, seed=3)])
    np.save(tmp_path / "samples.npy", taught)
    files = {"image": tmp_path / "samples.npy"}
    plain = Quantizer(current()).quantize(ir, tmp_path / "plain", Order(files, 24))
    order = Order(files, 24, control=Control(drop=0.01, seconds=60))
    controlled = Quantizer(current()).quantize(ir, tmp_path / "controlled", order)
    control = controlled.report["control"]
    assert (control["images"], control["reached"], control["out_of_time"]) == (8, True, False)
    assert control["agreement_before"] < 0.99 <= control["agreement"]
    assert controlled.report["quantizers"] < plain.report["quantizers"]


def test_an_ir_with_other_outputs_is_refused(ir: Path, tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="the IR has the outputs scores, the model logits") as raised:
        toolchain().read(ir, tmp_path / "job", ["image"], ["logits"])
    assert raised.value.kind == "names"


def test_an_ir_that_is_none_is_refused(tmp_path: Path) -> None:
    tiny.write_ir(tmp_path / "tiny.xml").write_text("<net/>")
    with pytest.raises(RunnerError) as raised:
        toolchain().read(tmp_path / "tiny.xml", tmp_path / "job", ["picture"], ["mixed"])
    assert raised.value.kind == "model"


def test_opset_18_is_never_given_to_its_reader(tmp_path: Path) -> None:
    """OpenVINO 2022.3 reads a ReduceMean whose axes are an input as one over all axes, and says nothing."""
    model = parse("y = ReduceMean<keepdims=1>(x, a)", inputs="float[1,8,6,5] x", constants="int64[1] a = {1}", opset=18)
    written = toolchain().convert(saved(model, tmp_path / "mean.onnx"), tmp_path / "mo", [])
    read = toolchain().read(written, tmp_path / "read", ["x"], ["y"])
    assert equality.run(model, feeds(model))["y"].shape == (1, 1, 6, 5)
    assert read.outputs[0].shape == (1, 1, 1, 1), "it reads opset 18 now: Needs(highest_opset=17) may go up"


def test_pixel_shuffles_are_right_for_every_sample(tmp_path: Path) -> None:
    """With a request of its own for each sample the plugin's Transpose in six dimensions read what had been freed.

    A right network then stood at 0 dB, and its conversion was refused; about every sixteenth inference was wrong.
    """
    model = parse("y = Transpose<perm=[0,1,4,2,5,3]>(x)", inputs="float[1,4,6,8,2,2] x", opset=13)
    written = toolchain().convert(saved(model, tmp_path / "shuffle.onnx"), tmp_path / "mo", [])
    random = np.random.default_rng(0)
    samples = [{"x": random.normal(size=(1, 4, 6, 8, 2, 2)).astype("f")} for _ in range(200)]
    for sample, found in zip(samples, toolchain().infer(written, tmp_path / "job", samples, ["y"]), strict=True):
        assert np.array_equal(found["y"], sample["x"].transpose(0, 1, 4, 2, 5, 3))


def test_integer_kernels_take_no_part(samples: Path, tmp_path: Path) -> None:
    """The plugin's own kernel for a quantized GRU gave zeros where NNCF's network says -0.98."""
    random = np.random.default_rng(0)
    sizes = {"w": [1, 48, 48], "r": [1, 48, 16], "b": [1, 96]}
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Mul", ["image", "k"], ["small"], "small"),
                helper.make_node("Reshape", ["small", "shape"], ["steps"], "steps"),
                helper.make_node("GRU", ["steps", "w", "r", "b"], ["", "last"], "gru", hidden_size=16),
                helper.make_node("Squeeze", ["last", "zero"], ["scores"], "squeeze"),
            ],
            "net",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 16])],
            [
                *(numpy_helper.from_array((random.normal(size=s) * 0.3).astype("f"), n) for n, s in sizes.items()),
                numpy_helper.from_array(np.array([16, 1, 48]), "shape"),
                numpy_helper.from_array(np.array([0]), "zero"),
                numpy_helper.from_array(np.array(0.01, np.float32), "k"),
            ],
        ),
        opset_imports=[helper.make_opsetid("", 14)],
        ir_version=8,
    )
    onnx.save(model, tmp_path / "gru.onnx")
    written = toolchain().convert(tmp_path / "gru.onnx", tmp_path / "mo", [])
    done = Quantizer(current()).quantize(written, tmp_path / "job", Order({"image": samples}, 16))
    assert done.report["quantizers"]
    session = equality.Session(model)
    for picture, found in zip(pictures(6, seed=2), run(done.file, tmp_path / "run"), strict=True):
        wanted = session.run({"image": picture.astype(np.float32)})
        assert signal_to_noise(wanted["scores"], found["scores"]) > 20

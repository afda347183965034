"""A conversion to RVC3 without its tools: the IR's two files, compile_tool's words, and what its spec refuses."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from pydantic import ValidationError

from oakmill.conversion.depthai import Depthai
from oakmill.conversion.events import Progress
from oakmill.conversion.inputs import ResolvedInput
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc3.platform import Rvc3, Rvc3Network
from oakmill.conversion.sources.model_optimizer import MoStep
from oakmill.errors import CompileFailed, SpecError, VerificationFailed
from oakmill.model.source import Tensor
from oakmill.settings import Settings
from oakmill.spec import Encoding, Rvc3Spec
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.model_optimizer.options import MoOptions
from oakmill.toolchains.rvc3 import compile_tool, tiny, vendor
from oakmill.toolchains.rvc3.toolchain import Network, Port, Rvc3Toolchain

IMAGE = ResolvedInput("picture", (1, 3, 8, 8), "float32", "NCHW", Encoding.RGB, Encoding.BGR, None, None)
STATE = ResolvedInput("state", (1, 4), "int64", "NC", Encoding.NONE, Encoding.NONE, None, None)
COMPILES = "#!/bin/sh\nprintf '%s\\n' \"$@\" >said\nprintf '\\0\\0\\0\\0BLOB\\0\\0\\0\\0' >model.blob\n"


class FakeToolchain(Rvc3Toolchain):
    """Reads what the model has."""

    refuses = ""

    def read(self, ir: Path, job: Path, inputs: Any, outputs: Any) -> Network:
        if self.refuses:
            raise RunnerError(self.refuses, kind="model", details={}, log="")
        ports = tuple(Port(item.name, item.shape, item.dtype) for item in (IMAGE, STATE) if item.name in inputs)
        return Network("2022.3.2", ports, tuple(Port(name, (1, 2, 8, 8), "float32") for name in outputs))


def platform(arguments: str = "", compiler: str = "", folder: Path = Path(), **spec: Any) -> Rvc3:
    settings = Settings(home=folder)
    if compiler:
        tool = folder / "tools" / "compile_tool"
        tool.parent.mkdir()
        tool.write_text(compiler)
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
        settings = Settings(home=folder, rvc3_compile_tool=tool)
    toolchain = FakeToolchain(settings)
    return Rvc3(
        Rvc3Spec(target_precision="FP16", **spec), settings, toolchain, MoStep(MoOptions(), toolchain),
        compile_tool.read(arguments.split()), compiler=vendor.configured(settings),
    )  # fmt: skip


def prepared(*inputs: ResolvedInput) -> Prepared:
    empty = onnx.ModelProto()
    return Prepared(empty, empty, empty, inputs, (Tensor("mixed", (1, 2, 8, 8), "float32"),), inputs)


def network(folder: Path) -> Rvc3Network:
    file = tiny.write_ir(folder / "prepared.xml")
    return Rvc3Network(file, onnx.ModelProto(), plain=file)


def test_without_a_compiler_the_result_is_an_ir_of_two_files(tmp_path: Path) -> None:
    conversion = platform()
    built = conversion.compile(prepared(IMAGE), network(tmp_path), tmp_path / "job", Progress())
    assert (conversion.suffix, conversion.part_suffixes) == ("xml", ("bin",))
    assert built.ports == {"inputs": {"picture": "FP32"}, "outputs": {"mixed": "FP32"}}
    moved = built.moved(tmp_path / "net.v2.xml")
    assert (moved.file.name, [part.name for part in moved.parts]) == ("net.v2.xml", ["net.v2.bin"])
    assert all(path.is_file() for path in (moved.file, *moved.parts))
    information = conversion.build_info(built, conversion.commands(prepared(IMAGE), "net.v2.xml"))
    assert (information["status"], information["needs_compiler"]) == ("IR, not compiled", True)
    assert "IR, not compiled" in information["not_proven"][0]
    assert "compile_tool" not in information["cmd_info"]


def test_with_a_compiler_it_is_a_blob_that_takes_pixels(tmp_path: Path) -> None:
    conversion = platform(compiler=COMPILES, folder=tmp_path)
    built = conversion.compile(prepared(IMAGE), network(tmp_path), tmp_path / "job", Progress())
    assert (conversion.suffix, conversion.part_suffixes, built.parts) == ("blob", (), ())
    assert built.ports == {"inputs": {"picture": "U8"}, "outputs": {"mixed": "FP32"}}
    said = (tmp_path / "job" / "compile" / "said").read_text().split()
    assert said[:4] == ["-d", "VPUX.3400", "-ip", "U8"]
    assert conversion.commands(prepared(IMAGE), "net.blob")["compile_tool"] == (
        ["compile_tool", "-d", "VPUX.3400", "-ip", "U8", "-m", "net.xml", "-o", "net.blob"]
    )
    with Depthai(tmp_path / "depthai", Settings()) as depthai:
        found = conversion.check(built, None, prepared(IMAGE), depthai, tmp_path / "read")
    assert (found["kind"], found["status"]) == ("blob", "compiled")
    assert conversion.build_info(built, {})["status"] == "compiled"


@pytest.mark.parametrize(
    ("arguments", "inputs", "words", "ports"),
    [
        ("", (IMAGE, STATE), "-iop picture:U8,state:I32", {"picture": "U8", "state": "I32"}),
        ("-ip FP16", (IMAGE, STATE), "-ip FP16", {"picture": "FP16", "state": "FP16"}),
        ("-iop mixed:FP16", (IMAGE,), "-ip U8 -iop mixed:FP16", {"picture": "U8"}),
        ("-iop picture:FP32 -op FP16", (IMAGE,), "-ip FP32 -op FP16", {"picture": "FP32"}),
        ("-il NHWC", (IMAGE,), "-ip U8 -il NHWC", {"picture": "U8"}),
    ],
)
def test_compile_tool_is_told_each_input_s_number_format(
    arguments: str, inputs: tuple[ResolvedInput, ...], words: str, ports: dict[str, str], tmp_path: Path
) -> None:
    conversion = platform(arguments, COMPILES, tmp_path)
    command = " ".join(conversion.commands(prepared(*inputs), "net.blob")["compile_tool"])
    assert command == f"compile_tool -d VPUX.3400 {words} -m net.xml -o net.blob"
    built = conversion.compile(prepared(*inputs), network(tmp_path), tmp_path / "job", Progress())
    assert built.ports["inputs"] == ports


def test_arguments_for_a_port_that_is_not_there_are_refused(tmp_path: Path) -> None:
    conversion = platform("-iop logits:FP16", COMPILES, tmp_path)
    with pytest.raises(SpecError, match="'logits', which is no input or output"):
        conversion.compile(prepared(IMAGE), network(tmp_path), tmp_path / "job", Progress())


def test_a_compiler_s_refusal_offers_any_and_does_not_take_it(tmp_path: Path) -> None:
    conversion = platform("", "#!/bin/sh\necho 'no such layer' >&2\nexit 1\n", tmp_path)
    from oakmill.toolchains.rvc3.quantizers import Quantizer

    conversion = replace(conversion, quantizer=Quantizer(conversion.settings))
    with pytest.raises(CompileFailed, match="no such layer") as raised:
        conversion.compile(prepared(IMAGE), network(tmp_path), tmp_path / "job", Progress())
    assert "--pot-target-device ANY" in raised.value.remedy


def test_an_ir_that_openvino_2022_3_cannot_read_is_refused(tmp_path: Path) -> None:
    conversion = platform()
    assert isinstance(conversion.toolchain, FakeToolchain)
    conversion.toolchain.refuses = "Cannot create Interpolate layer of opset11"
    with pytest.raises(VerificationFailed, match=r"OpenVINO 2022\.3\.2 cannot use the IR: Cannot create Interpolate"):
        conversion.compile(prepared(IMAGE), network(tmp_path), tmp_path / "job", Progress())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"target_precision": "INT16"}, "RVC3 has INT8_STANDARD, FP16_STANDARD and AUTO"),
        ({"target_precision": "FP16", "ignored_types": ("Add",)}, "quantizes nothing"),
        ({"target_precision": "FP16", "accuracy_control": True}, "quantizes nothing"),
        ({"quantizer": "pot", "accuracy_control": True}, "accuracy control is NNCF's"),
        ({"ignored_types": (".*",)}, "pattern"),
    ],
)
def test_what_contradicts_itself_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Rvc3Spec.model_validate(values)

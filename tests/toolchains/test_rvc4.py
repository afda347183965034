"""The real RVC4 toolchain: what it compiles is read back and run by the vendor's library, from the finished file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper, parser

from oakmill.errors import SpecError, ToolchainBroken, ToolKilled, VerificationFailed
from oakmill.processes.events import ToolEvent
from oakmill.settings import Settings, current
from oakmill.toolchains import door, environments
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.rvc4 import dlc, failures, tiny
from oakmill.toolchains.rvc4.toolchain import Compiled, Port, Rvc4Toolchain
from tests.tools import installed


@pytest.fixture(scope="session")
def toolchain() -> Rvc4Toolchain:
    return installed(Rvc4Toolchain(current()))


@pytest.fixture(scope="session")
def compiled(toolchain: Rvc4Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    folder = tmp_path_factory.mktemp("rvc4")
    return toolchain.compile(tiny.write_model(folder / "tiny.onnx"), folder / "job")


def saved(model: ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


def run_once(toolchain: Rvc4Toolchain, file: Path, job: Path) -> dict[str, np.ndarray]:
    (answer,) = toolchain.infer(file, job, [{tiny.INPUT: tiny.PICTURE}])
    return answer


def test_it_verifies_itself(toolchain: Rvc4Toolchain) -> None:
    seen = toolchain.verify()
    assert str(seen["qairt"]).startswith("v2.51.0.")


def test_the_vendors_library_reads_what_was_meant(compiled: Compiled) -> None:
    assert compiled.inputs == (Port(tiny.INPUT, (1, 8, 8, 3), "uint8", 1.0, 0),)
    assert compiled.outputs == (Port(tiny.OUTPUT, (1, 1, 1, 3), "uint8", tiny.STEP, 0),)
    assert compiled.caches == ()
    assert {"model", "model.params", "model.params.bin"} <= dlc.read(compiled.file).keys()


def test_equal_models_give_equal_bytes(toolchain: Rvc4Toolchain, compiled: Compiled, tmp_path: Path) -> None:
    """The DLC held the time, and a hash of the model's path as the name of its graph."""
    again = toolchain.compile(tiny.write_model(tmp_path / "of_another_name.onnx"), tmp_path / "job")
    assert again.file.read_bytes() == compiled.file.read_bytes()


def test_numbers_come_from_the_finished_file(toolchain: Rvc4Toolchain, compiled: Compiled, tmp_path: Path) -> None:
    """A scale that is changed in the file changes what comes out: nothing is taken from the ONNX model."""
    before = run_once(toolchain, compiled.file, tmp_path / "before")[tiny.OUTPUT]
    np.testing.assert_allclose(before, tiny.ANSWER, atol=tiny.STEP)
    records: dict[str, dlc.Content] = dict(dlc.read(compiled.file))
    changed = 0
    for name in ("model", "model.params"):
        record = records[name]
        assert isinstance(record, dlc.Record)
        content = record.read()
        weight = struct.pack("<f", tiny.SCALES["two"])
        changed += content.count(weight)
        records[name] = content.replace(weight, struct.pack("<f", tiny.SCALES["two"] / 2))
    assert changed
    dlc.write(records, tmp_path / "changed.dlc")
    after = run_once(toolchain, tmp_path / "changed.dlc", tmp_path / "after")[tiny.OUTPUT]
    np.testing.assert_allclose(after, before / 2, atol=tiny.STEP)


def test_caches_are_for_the_chips_that_were_asked_for(toolchain: Rvc4Toolchain, tmp_path: Path) -> None:
    """In a sandbox the vendor's compiler crashed ("double free"): it writes into the current folder."""
    model = tiny.write_model(tmp_path / "tiny.onnx")
    events: list[ToolEvent] = []
    made = toolchain.compile(
        model, tmp_path / "job", caches=("qcs8550", "sm8650"), vtcm_mb=8, optimization=3, watch=events.append
    )
    assert [(cache.soc, cache.soc_model, cache.arch, cache.vtcm_mb) for cache in made.caches] == [
        ("qcs8550", 66, 73, 8),
        ("sm8650", 57, 75, 8),
    ]
    assert [event.done for event in events if event.total == 3] == [1, 2, 3]
    answer = run_once(toolchain, made.file, tmp_path / "infer")
    np.testing.assert_allclose(answer[tiny.OUTPUT], tiny.ANSWER, atol=tiny.STEP)
    with pytest.raises(SpecError, match="bogus"):
        toolchain.compile(model, tmp_path / "bogus", caches=("bogus",))


CONV = """
    <ir_version: 8, opset_import: ["": 17]>
    agraph (float[1,8,8,3] image) => (float[1,6,6,4] maps, float[1,4] total)
    {
        planes = Transpose <perm=[0,3,1,2]> (image)
        raw = Conv (planes, w)
        hidden = Relu (raw)
        maps = Transpose <perm=[0,2,3,1]> (hidden)
        pooled = GlobalAveragePool (hidden)
        total = Flatten (pooled)
    }
"""


def test_float_models_compute_in_float16(toolchain: Rvc4Toolchain, tmp_path: Path) -> None:
    """Outputs are matched by name, for their order in the file is another; weights may lie beside the model."""
    model = parser.parse_model(CONV)
    random = np.random.default_rng(0)
    weights = random.normal(size=(4, 3, 3, 3)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    onnx.save_model(model, tmp_path / "model.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    made = toolchain.compile(tmp_path / "model.onnx", tmp_path / "job", half=True)
    assert {port.name: port.scale for port in made.outputs} == {"maps": None, "total": None}
    image = random.uniform(-1, 1, size=(1, 8, 8, 3)).astype(np.float32)
    answers = list(toolchain.infer(made.file, tmp_path / "infer", [{"image": image}] * 2, half=True))
    patches = np.lib.stride_tricks.sliding_window_view(image[0], (3, 3), axis=(0, 1))
    maps = np.maximum(np.einsum("yxcij,ocij->yxo", patches, weights), 0)
    assert len(answers) == 2
    for answer in answers:
        np.testing.assert_allclose(answer["maps"][0], maps, atol=0.01)
        np.testing.assert_allclose(answer["total"][0], maps.mean(axis=(0, 1)), atol=0.01)
    hurried = toolchain.infer(made.file, tmp_path / "again", [{"image": image}] * 2, half=True, seconds=1e-6)
    assert len(list(hurried)) == 1, "one image is run, however little time there is"


NON_ZERO = """
    <ir_version: 8, opset_import: ["": 17]>
    agraph (float[1,3,8,8] image) => (int64[4,n] places)
    {
        hidden = Relu (image)
        places = NonZero (hidden)
    }
"""
DET = """
    <ir_version: 8, opset_import: ["": 17]>
    agraph (float[1,3,8,8] image) => (float[1,3] value)
    {
        hidden = Relu (image)
        determinant = Det (hidden)
        value = Exp (determinant)
    }
"""
OPEN = """
    <ir_version: 8, opset_import: ["": 17]>
    agraph (float[n,3,8,8] image) => (float[n,3,8,8] value) { value = Relu (image) }
"""


@pytest.mark.parametrize(
    ("text", "subject", "words"),
    [
        (NON_ZERO, "places", "NonZero output shape must be static"),
        (DET, "determinant", "Operators of type `Det` are not supported"),
        (OPEN, "value", "a shape is open there"),
    ],
)
def test_a_node_that_cannot_go_is_named(
    toolchain: Rvc4Toolchain, tmp_path: Path, text: str, subject: str, words: str
) -> None:
    """onnxruntime's own sentence is the same for all: "nodes that are assigned to the default CPU EP"."""
    model = parser.parse_model(text)
    with pytest.raises(RunnerError) as caught:
        toolchain.compile(saved(model, tmp_path / "model.onnx"), tmp_path / "job", half=True)
    assert caught.value.kind == "not_on_npu"
    error = failures.explain(caught.value, model)
    assert error.subject == subject
    assert words in error.message


def test_a_file_that_is_no_model_is_refused_in_words(toolchain: Rvc4Toolchain, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07 no model")
    with pytest.raises(RunnerError) as caught:
        toolchain.compile(tmp_path / "broken.onnx", tmp_path / "job")
    assert "refused the model" in failures.explain(caught.value).message


def test_an_lstm_aborts_the_vendors_library_but_not_us(toolchain: Rvc4Toolchain, tmp_path: Path) -> None:
    """The DLC is written, and then cannot be composed: the library throws where nothing catches."""
    random = np.random.default_rng(0)
    graph = helper.make_graph(
        [helper.make_node("LSTM", ["x", "w", "r"], ["y"], "cell", hidden_size=8)],
        "recurrent",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [6, 1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [6, 1, 1, 8])],
        [
            numpy_helper.from_array(random.normal(size=(1, 32, size)).astype(np.float32), name)
            for name, size in (("w", 4), ("r", 8))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ToolKilled, match="hidden_size") as caught:
        toolchain.compile(saved(model, tmp_path / "model.onnx"), tmp_path / "job", half=True)
    assert "unroll" in caught.value.remedy


def test_a_damaged_file_is_an_error_and_no_hang(toolchain: Rvc4Toolchain, compiled: Compiled, tmp_path: Path) -> None:
    records: dict[str, dlc.Content] = dict(dlc.read(compiled.file))
    dlc.write({**records, "model": b"\0" * 64}, tmp_path / "damaged.dlc")
    with pytest.raises((RunnerError, ToolKilled, VerificationFailed)):
        toolchain.read(tmp_path / "damaged.dlc", tmp_path / "read")
    (tmp_path / "part.dlc").write_bytes(compiled.file.read_bytes()[:-50])
    with pytest.raises(VerificationFailed, match="not a whole DLC"):
        toolchain.read(tmp_path / "part.dlc", tmp_path / "part")


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ({"image": tiny.PICTURE}, "the graph's inputs are picture, given are image"),
        ({tiny.INPUT: tiny.PICTURE.astype(np.float32)}, "takes uint8 .* given is float32"),
        ({tiny.INPUT: tiny.PICTURE[:, :4]}, r"takes uint8 \[1, 8, 8, 3\], given is uint8 \[1, 4, 8, 3\]"),
    ],
)
def test_samples_that_do_not_fit_are_refused(
    toolchain: Rvc4Toolchain, compiled: Compiled, tmp_path: Path, samples: dict[str, np.ndarray], words: str
) -> None:
    with pytest.raises(RunnerError, match=words):
        list(toolchain.infer(compiled.file, tmp_path / "job", [samples]))


def test_libraries_of_ones_own_stand_in(toolchain: Rvc4Toolchain, tmp_path: Path) -> None:
    """Here the package's own, in another folder; one that holds something else is said to be broken."""
    environment = environments.require("rvc4/qairt-2.51", current(), "")
    (package,) = environment.folder.glob("lib/python*/site-packages/onnxruntime_qnn")
    sdk = tmp_path / "sdk"
    sdk.mkdir()
    for name in ("libQnnHtp.so", "libQnnIr.so", "libQnnSystem.so"):
        (sdk / name).hardlink_to(package / name)
    for library in (package.parent / "onnxruntime_qnn.libs").iterdir():
        (sdk / library.name).hardlink_to(library)
    own = Rvc4Toolchain(current(), "2.51", sdk)
    model = tiny.write_model(tmp_path / "tiny.onnx")
    made = own.compile(model, tmp_path / "job")
    assert made.qairt.startswith("v2.51.0.")
    (sdk / "libQnnSystem.so").unlink()
    (sdk / "libQnnSystem.so").write_bytes(b"no library")
    with pytest.raises(ToolchainBroken, match=r"libQnnSystem\.so cannot be loaded"):
        own.read(made.file, tmp_path / "read")


def test_without_a_sandbox_it_works_as_well(compiled: Compiled, tmp_path: Path) -> None:
    free = Rvc4Toolchain(Settings(home=current().home, isolation="off"))
    assert free.read(compiled.file, tmp_path / "read").inputs == compiled.inputs
    assert door.RESULT in {file.name for file in (tmp_path / "read").iterdir()}


def test_a_real_model_in_float16(toolchain: Rvc4Toolchain, shared_data: Path, tmp_path: Path) -> None:
    import onnxruntime

    model = shared_data / "models" / "squeezenet1.1_fp32.onnx"
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    (port,) = session.get_inputs()
    image = np.random.default_rng(0).normal(size=port.shape).astype(np.float32)
    made = toolchain.compile(model, tmp_path / "job", half=True)
    (answer,) = toolchain.infer(made.file, tmp_path / "infer", [{port.name: image}], half=True)
    (expected,) = session.run(None, {port.name: image})
    np.testing.assert_allclose(answer[made.outputs[0].name].ravel(), expected.ravel(), atol=0.01)

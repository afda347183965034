"""OpenVINO IR as a source: the real compiler on a real network, held against a blob that was compiled elsewhere."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from oakmill.conversion.depthai import Depthai
from oakmill.conversion.sources.ir_edit import Editor
from oakmill.graph.preprocessing import Preprocessing
from oakmill.model.ir_graph import IrGraph
from oakmill.model.ir_xml import parse
from oakmill.settings import current
from oakmill.toolchains.model_optimizer.toolchain import ModelOptimizer
from oakmill.toolchains.rvc2.toolchain import Rvc2Toolchain
from tests.conversion.conftest import Answer, Convert
from tests.tools import installed
from tests.unit.model.ir_making import write_ir

STEM = "StatefulPartitionedCall/strided_slice_2/Split"
PLAIN = ("--encoding-from", "BGR", "--encoding-to", "BGR")


@pytest.fixture(scope="module", autouse=True)
def optimizer() -> ModelOptimizer:
    """The real Model Optimizer, whose libraries read IR."""
    return installed(ModelOptimizer(current()))


@pytest.fixture
def landmarks(shared_data: Path) -> Path:
    return shared_data / "models/ir/face_landmark_160x160.xml"


def checked(answer: Answer) -> Answer:
    assert answer.exit_code == 0, answer.stderr
    assert answer.result["verdict"] == "ok"
    return answer


def test_the_blob_is_that_of_the_reference_in_all_that_can_be_compared(
    convert: Convert, landmarks: Path, shared_data: Path, tmp_path: Path
) -> None:
    """The reference was compiled elsewhere, with OpenVINO 2021.4 for 6 SHAVEs.

    Inputs, outputs, their types and orders, and the number of stages are the same. The bytes differ: the format's
    version in the header (2021.4 writes 2021.4, 2022.2 writes 2022.1), and some hundred bytes of stage descriptions,
    whose layout that version changed.
    """
    reference = shared_data / "compiled/face_landmark_160x160_openvino_2021.4_6shave.blob"
    checked(convert(landmarks, "--blob", "--shaves", "6", *PLAIN, "--format", "native", "-o", tmp_path / "out"))
    ours = tmp_path / "out/face_landmark_160x160.rvc2.blob"

    with Depthai(tmp_path / "read", current()) as depthai:
        theirs, mine = depthai.read([reference, ours])

    for key in ("inputs", "outputs", "stages", "shaves"):
        assert mine[key] == theirs[key], key
    assert mine["stages"] == 202
    assert 0 < ours.stat().st_size - reference.stat().st_size < 1024


def test_a_blob_with_preprocessing_is_proved(convert: Convert, landmarks: Path, tmp_path: Path) -> None:
    preprocessing = ("--mean-values", "10,20,30", "--scale-values", "2,3,4")
    answer = checked(convert(landmarks, "--blob", *preprocessing, "-o", tmp_path / "out"))

    simulated, stored = answer.result["passport"]["checks"]
    assert simulated["method"].startswith("prepared network on OpenVINO's CPU plugin")
    assert all(output["snr_db"] > 100 for output in simulated["outputs"])
    assert (stored["name"], len(stored["outputs"])) == ("FP16 weights", 3)
    with tarfile.open(answer.result["files"][0]) as packed:
        recipe = packed.extractfile("recipe.yaml")
        assert recipe is not None
        text = recipe.read().decode()
    assert "format: openvino_ir" in text
    assert "rvc2/mo-2022.2.0" in text
    assert "prepared.xml" in text


def test_the_embedded_preprocessing_computes_what_numpy_does(tmp_path: Path) -> None:
    """One network, proved by the CPU plugin outside of the conversion: raw in, against the formula by hand."""
    toolchain = Rvc2Toolchain(current(), libraries=ModelOptimizer(current()).libraries)
    path = write_ir(tmp_path / "small.xml")
    editor = Editor(IrGraph(parse(path)), path.with_suffix(".bin"))
    editor.embed(Preprocessing("x", "NCHW", mean=(1, 2, 3), scale=(4, 5, 6), reverse_channels=True))
    raw = np.random.default_rng(0).integers(0, 256, (1, 3, 8, 8)).astype(np.float32)
    mean, scale = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in ((1, 2, 3), (4, 5, 6)))

    (found,) = toolchain.infer(editor.write(tmp_path / "out/net.xml"), tmp_path / "a", [{"x": raw}])
    (wanted,) = toolchain.infer(path, tmp_path / "b", [{"x": (raw[:, ::-1] - mean) / scale}])

    assert np.allclose(found["y"], wanted["y"], rtol=1e-4, atol=1e-3)
    assert np.abs(wanted["y"]).max() > 10


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("squeezenet1.1_fp32", ()), pytest.param("ultraface_rfb_320", ("--data_type", "FP16"), marks=pytest.mark.slow)],
)
def test_version_11_gives_as_many_stages_as_the_onnx_model(
    optimizer: ModelOptimizer,
    convert: Convert,
    shared_data: Path,
    tmp_path: Path,
    name: str,
    arguments: tuple[str, ...],
) -> None:
    model = shared_data / f"models/{name}.onnx"
    ir = optimizer.convert(model, tmp_path / "mo", arguments)
    assert 'version="11"' in ir.read_text()[:200]

    both = [
        checked(convert(source, "--blob", *PLAIN, *more, "-o", tmp_path / source.suffix[1:])).result["passport"][
            "vendor_reader"
        ]
        for source, more in ((ir, ()), (model, ("--keep-outputs",)))
    ]

    assert both[0] == both[1]


def test_a_shape_is_taken_where_the_network_can(convert: Convert, landmarks: Path, tmp_path: Path) -> None:
    answer = checked(convert(landmarks, "--blob", "--shape", "1,3,192,192", "-o", tmp_path / "out"))

    assert answer.result["passport"]["vendor_reader"]["inputs"][0]["dims"] == [192, 192, 3, 1]
    assert "input 'images' is brought from 1,3,160,160 to 1,3,192,192" in answer.result["notes"]


def test_a_shape_that_the_network_cannot_take_is_refused(
    optimizer: ModelOptimizer, convert: Convert, shared_data: Path, tmp_path: Path
) -> None:
    ir = optimizer.convert(shared_data / "models/ultraface_rfb_320.onnx", tmp_path / "mo", ())

    answer = convert(ir, "--blob", "--shape", "1,3,192,192", "-o", tmp_path / "out")

    assert (answer.exit_code, answer.error["code"]) == (2, "SpecError")
    assert "cannot take that input shape" in answer.error["message"]
    assert not list(tmp_path.glob("out/*"))


def test_it_ends_where_it_is_to_end(convert: Convert, landmarks: Path, tmp_path: Path) -> None:
    answer = checked(convert(landmarks, "--blob", "--outputs", f"{STEM}.1", "-o", tmp_path / "out"))

    assert [item["name"] for item in answer.result["passport"]["vendor_reader"]["outputs"]] == [f"{STEM}.1"]


def test_an_open_batch_becomes_one_and_other_open_dimensions_are_asked_for(convert: Convert, tmp_path: Path) -> None:
    answer = checked(convert(write_ir(tmp_path / "batch.xml", 11, shape="?,3,8,8"), "--blob", "-o", tmp_path / "out"))
    assert "The open batch dimension of input 'x' was set to 1." in answer.result["notes"]

    answer = convert(write_ir(tmp_path / "open.xml", 11, shape="?,3,?,8"), "--blob", "-o", tmp_path / "out")
    assert (answer.exit_code, answer.error["code"]) == (4, "DynamicShape")
    assert "--shape x=1,3,320,8" in answer.error["remedy"]

    answer = checked(convert(tmp_path / "open.xml", "--shape", "1,3,16,8", "-o", tmp_path / "out"))
    assert answer.result["passport"]["vendor_reader"]["kind"] == "superblob"


def test_an_nn_archive_that_holds_an_ir(convert: Convert, landmarks: Path, tmp_path: Path) -> None:
    config = {
        "config_version": "1.0",
        "model": {
            "metadata": {"name": "landmarks", "path": landmarks.name},
            "inputs": [
                {
                    "name": "images", "dtype": "float32", "input_type": "image", "shape": [1, 3, 160, 160],
                    "layout": "NCHW", "preprocessing": {"mean": [1, 2, 3], "scale": [2, 2, 2], "dai_type": "RGB888p"},
                }
            ],
            "outputs": [{"name": f"{STEM}.{index}", "dtype": "float32"} for index in range(3)],
            "heads": None,
        },
    }  # fmt: skip
    files = {"config.json": json.dumps(config).encode(), **{
        path.name: path.read_bytes() for path in (landmarks, landmarks.with_suffix(".bin"))
    }}  # fmt: skip
    with tarfile.open(tmp_path / "landmarks.tar.xz", "w:xz", preset=0) as packed:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            packed.addfile(entry, io.BytesIO(data))

    answer = checked(convert(tmp_path / "landmarks.tar.xz", "--blob", "-o", tmp_path / "out"))

    assert any("from the NN Archive" in note and "images.mean_values" in note for note in answer.result["notes"])


def test_what_says_nothing_to_an_ir_is_refused(convert: Convert, landmarks: Path, tmp_path: Path) -> None:
    answer = convert(landmarks, "--mo-args", "--scale 2", "-o", tmp_path / "out")

    assert (answer.exit_code, answer.error["code"]) == (2, "SpecError")
    assert "came out of the Model Optimizer already" in answer.error["message"]


def test_rvc4_cannot_be_reached(convert4: Convert, landmarks: Path, tmp_path: Path) -> None:
    answer = convert4(landmarks, "--target-precision", "FP16", "-o", tmp_path / "out")

    assert (answer.exit_code, answer.error["code"]) == (4, "UnsupportedModel")
    assert "no maintained converter leads from OpenVINO's format back to it" in answer.error["message"]


def test_newer_operations_are_named(convert: Convert, landmarks: Path, tmp_path: Path) -> None:
    path = tmp_path / "newer.xml"
    path.write_text(
        landmarks.read_text().replace('type="MaxPool" version="opset1"', 'type="MaxPool" version="opset14"')
    )
    shutil.copyfile(landmarks.with_suffix(".bin"), path.with_suffix(".bin"))

    answer = convert(path, "-o", tmp_path / "out")

    assert (answer.exit_code, answer.error["code"]) == (4, "UnsupportedModel")
    assert "(MaxPool) is of OpenVINO's opset 14" in answer.error["message"]


def test_what_the_reader_refuses_is_told_in_its_words(convert: Convert, tmp_path: Path) -> None:
    path = write_ir(tmp_path / "odd.xml")
    path.write_text(path.read_text().replace('type="ReLU"', 'type="Wobble"'))

    answer = convert(path, "-o", tmp_path / "out")

    assert (answer.exit_code, answer.error["code"]) == (4, "UnsupportedModel")
    assert "Convolution (opset1), Wobble (opset1)" in answer.error["message"]


@pytest.mark.slow
def test_the_same_twice(convert: Convert, landmarks: Path, tmp_path: Path) -> None:
    answers = [
        checked(convert(landmarks, "--blob", "--no-cache", "--format", "native", "-o", tmp_path / str(index))).result[
            "sha256"
        ]
        for index in range(2)
    ]

    assert answers[0] == answers[1]

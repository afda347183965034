"""A checkpoint's export is asked for as the spec says, refused in one sentence, and proved where boxes are chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from oakmill.conversion.events import Progress, unobserved
from oakmill.conversion.sources import camera_heads, checkpoint
from oakmill.errors import (
    LicenceNotAccepted,
    OakmillError,
    ProofFailed,
    SpecError,
    ToolchainMissing,
    ToolFailed,
    UnsupportedModel,
)
from oakmill.model import open_source
from oakmill.processes import sandbox
from oakmill.settings import Settings, current
from oakmill.spec import Encoding, InputSpec
from oakmill.toolchains import catalog
from oakmill.toolchains.base import State
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.installing import accepting, install_missing
from oakmill.toolchains.ultralytics.toolchain import Exported, UltralyticsToolchain
from tests.unit.model.test_torch_files import checkpoint as packed
from tests.unit.model.test_torch_files import named

IMAGE = np.full((1, 3, 2, 2), 0.5, np.float32)


def doubled(path: Path) -> Path:
    """A model that gives the double of what it takes."""
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 2, 2]) for name in ("images", "output0")]
    graph = helper.make_graph([helper.make_node("Add", ["images", "images"], ["output0"])], "g", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    helper.set_model_props(model, {"author": "Ultralytics", "task": "detect", "names": "{0: 'oak'}"})
    onnx.save(model, path)
    return path


def exported(folder: Path, answer: NDArray[Any] = IMAGE * 2) -> Exported:
    return Exported(doubled(folder / "m.onnx"), ({"images": IMAGE},), ({"output0": answer},), (2, 2), True, False)


class Asked:
    """In the place of the toolchain: keeps the size that is asked for, and answers or refuses."""

    size: tuple[int, int] | None = None
    answer: Exported
    refusal: OakmillError | None = None


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    asked = Asked()
    asked.answer = exported(tmp_path)

    def export(_: object, model: Path, job: Path, size: tuple[int, int] | None, **more: Any) -> Exported:
        asked.size = size
        if asked.refusal:
            raise asked.refusal
        return asked.answer

    monkeypatch.setattr(UltralyticsToolchain, "require", lambda _: None)
    monkeypatch.setattr(UltralyticsToolchain, "export", export)
    return asked


def convert(folder: Path, shape: tuple[int, ...] | None = None) -> Any:
    path = packed(folder / "best.pt", named("ultralytics.nn.tasks.DetectionModel"))
    source = open_source(path, folder / "work", current())
    progress = Progress(unobserved)
    found = checkpoint.as_onnx(source, (InputSpec(shape=shape),), folder / "job", 0, current(), progress)
    return source, found, progress


def test_the_exporters_notes_become_the_sources_and_the_file_stays_the_checkpoint(tool: Asked, tmp_path: Path) -> None:
    source, found, progress = convert(tmp_path)
    assert tool.size is None
    assert found.metadata["names"] == "{0: 'oak'}"
    assert (found.sha256, found.files, found.format) == (source.sha256, source.files, source.format)
    assert found.inputs[0].shape == (1, 3, 2, 2)
    assert "2 x 2 pixels (height x width), as in the training" in progress.notes[0]
    assert "at most 0 apart" in progress.notes[-1]


def test_its_image_is_rgb_by_255_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    """What it takes is decided before it is exported, when there is no graph to recognise."""
    path = packed(tmp_path / "best.pt", named("ultralytics.nn.tasks.SegmentationModel"))
    source = open_source(path, tmp_path / "work", current())
    ((item,), told) = camera_heads.preprocessed((InputSpec(),), source)
    assert (item.scale_values, item.encoding_from) == ((255.0,), Encoding.RGB)
    assert told
    said = InputSpec(scale_values=(1.0,))
    assert camera_heads.preprocessed((said,), source) == ((said,), ())


def test_a_shape_is_the_size_of_the_image(tool: Asked, tmp_path: Path) -> None:
    convert(tmp_path, (1, 3, 288, 512))
    assert tool.size == (288, 512)


@pytest.mark.parametrize("shape", [(3, 64, 64), (2, 3, 64, 64), (1, 64, 64, 3)])
def test_another_shape_than_one_images_is_refused(tool: Asked, tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(SpecError, match="one image") as caught:
        convert(tmp_path, shape)
    assert "--shape 1,3,HEIGHT,WIDTH" in caught.value.remedy


@pytest.mark.parametrize(
    ("kind", "details", "error", "remedy"),
    [
        ("size", {"larger": [64, 128]}, SpecError, "--shape 1,3,64,128"),
        ("size", {"larger": "64"}, SpecError, "--shape 1,3,HEIGHT,WIDTH"),
        ("size", {}, SpecError, "--shape 1,3,HEIGHT,WIDTH"),
        ("another", {}, UnsupportedModel, "where it was trained"),
        ("load", {}, UnsupportedModel, "save it anew"),
        ("task", {}, UnsupportedModel, "best.pt"),
        ("conversion", {}, UnsupportedModel, "where it was trained"),
    ],
)
def test_a_refusal_says_what_to_do(
    tool: Asked, tmp_path: Path, kind: str, details: dict[str, Any], error: type[OakmillError], remedy: str
) -> None:
    tool.refusal = RunnerError("it names os.system", kind=kind, details=details, log="")
    with pytest.raises(error, match=r"best\.pt.*it names os\.system") as caught:
        convert(tmp_path)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("changed", [{"size": None}, {"size": [1, "a"]}, {"outputs": 3}, {"trained": ...}, {}])
def test_an_answer_that_cannot_be_read_is_an_error_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    """Code in a checkpoint may write any answer: a size that was none, or a damaged file, ended in a traceback."""
    answer = {"size": [2, 2], "outputs": ["output0"], "trained": True, "chooses": False, **changed}
    answer = {key: value for key, value in answer.items() if value is not ...}

    def ask(_: object, action: str, request: object, job: Path, **more: object) -> dict[str, Any]:
        (job / "samples.npz").write_bytes(b"PK\x03\x04 no archive")
        return answer

    monkeypatch.setattr(UltralyticsToolchain, "require_wall", lambda _: None)
    monkeypatch.setattr(UltralyticsToolchain, "ask", ask)
    (tmp_path / "m.pt").touch()
    with pytest.raises(ToolFailed, match="cannot be read"):
        UltralyticsToolchain(current()).export(tmp_path / "m.pt", tmp_path / "job", None)


def test_outputs_that_the_onnx_has_not_are_told(tool: Asked, tmp_path: Path) -> None:
    tool.answer = replace(exported(tmp_path), answers=({"other": IMAGE},))
    with pytest.raises(ProofFailed, match="gives output0, and PyTorch other"):
        convert(tmp_path)


def test_an_onnx_that_computes_something_else_is_not_converted(tool: Asked, tmp_path: Path) -> None:
    tool.answer = exported(tmp_path, IMAGE * 2.1)
    with pytest.raises(ProofFailed, match="does not compute what the checkpoint does"):
        convert(tmp_path)


def rows(*scores: float) -> NDArray[np.float32]:
    """Chosen boxes with these scores, each at a place of its own."""
    places = np.arange(len(scores) * 4, dtype=np.float32).reshape(-1, 4)
    return np.column_stack([places, scores, np.zeros(len(scores))]).astype(np.float32)[None]


def test_boxes_of_equal_scores_may_stand_in_any_order_and_the_last_may_be_others() -> None:
    wanted = {"output0": rows(0.9, 0.5, 0.5, 0.1)}
    swapped = {"output0": wanted["output0"][:, [0, 2, 1, 3]].copy()}
    swapped["output0"][0, 3, :4] = 99
    mine, theirs = checkpoint._alike(wanted, swapped, chooses=True)
    np.testing.assert_array_equal(mine["output0"], theirs["output0"])
    assert len(mine["output0"]) == 3


def test_a_box_that_is_missing_is_seen() -> None:
    wanted = {"output0": rows(0.9, 0.5, 0.1)}
    other = {"output0": wanted["output0"].copy()}
    other["output0"][0, 0, :4] += 5
    mine, theirs = checkpoint._alike(wanted, other, chooses=True)
    assert not np.allclose(mine["output0"], theirs["output0"])


def test_it_is_installed_at_the_users_word_alone(tmp_path: Path) -> None:
    """./run and a hub install what is missing by themselves; a licence that asks for sources is nobody's default."""
    settings = Settings(home=tmp_path, install_toolchains=True)
    toolchain = catalog.find("sources/ultralytics", settings)
    install_missing([toolchain], settings, lambda _: pytest.fail("it was installed"), print)
    status = toolchain.status()
    assert (status.state, status.unaccepted) == (State.MISSING, "AGPL-3.0")
    assert "--accept-licence AGPL-3.0" in status.detail
    with pytest.raises(LicenceNotAccepted, match=r"AGPL-3\.0\. .*asks for your sources"):
        toolchain.install()
    assert not catalog.find("sources/ultralytics", accepting(settings, "agpl-3.0")).status().unaccepted


def test_without_it_a_conversion_says_how_to_get_it(tmp_path: Path) -> None:
    path = packed(tmp_path / "best.pt", named("ultralytics.nn.tasks.DetectionModel"))
    settings = Settings(home=tmp_path, install_toolchains=True)
    source = open_source(path, tmp_path / "work", settings)
    with pytest.raises(ToolchainMissing, match="not installed") as caught:
        checkpoint.as_onnx(source, (InputSpec(),), tmp_path / "job", 0, settings, Progress(unobserved))
    assert "oakmill toolchains install sources/ultralytics-8.4.190 --accept-licence AGPL-3.0" in caught.value.remedy


def test_without_a_sandbox_no_checkpoint_is_opened(tmp_path: Path) -> None:
    toolchain = UltralyticsToolchain(Settings(home=tmp_path, isolation="off"))
    with pytest.raises(sandbox.IsolationMissing, match="opened in a sandbox only"):
        toolchain.export(tmp_path / "best.pt", tmp_path / "job", None)
    assert not (tmp_path / "job").exists()

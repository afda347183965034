"""Uploads: what is found of a model, when one of several files is complete, and what is refused."""

from __future__ import annotations

import io
import signal
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from oakmill.errors import BrokenModel, Conflict, LimitExceeded, NotAModel, OakmillError, UnsafeSource
from oakmill.jobs import ingest
from oakmill.jobs.ingest import Inspector
from oakmill.jobs.supervise import Child
from oakmill.registry.tables import Instance, InstanceFile, InstanceStatus, Role
from oakmill.settings import Settings
from oakmill.storage.stores import open_store
from tests.conversion.makers import archived, conv_model, saved
from tests.unit.jobs.conftest import Hub


@pytest.fixture(scope="module")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inspector]:
    inspector = Inspector(Settings(home=tmp_path_factory.mktemp("home")))
    inspector.warm()
    yield inspector
    inspector.close()


def test_a_model_is_described_with_what_stands_in_the_way_of_each_platform(
    inspector: Inspector, tmp_path: Path
) -> None:
    facts = inspector.inspect({"a.onnx": saved(conv_model(), tmp_path / "blob")})
    assert (facts["complete"], facts["model_type"], facts["opset"]) == (True, "ONNX", 13)
    assert facts["inputs"] == [{"name": "image", "shape": [1, 3, 16, 16], "dtype": "float32"}]
    verdicts = {name: found["verdict"] for name, found in facts["preflight"].items()}
    assert verdicts == {"rvc2": "yes", "rvc3": "yes", "rvc4": "yes"}


def test_an_archive_says_its_heads(inspector: Inspector, tmp_path: Path) -> None:
    facts = inspector.inspect({"a.tar.xz": archived(conv_model(), tmp_path / "blob", {"mean": [1, 2, 3]})})
    assert facts["is_nn_archive"] and facts["archive"]["model"]["inputs"][0]["preprocessing"]["mean"] == [1, 2, 3]


def escaping_archive(path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("../../escaped")
        archive.addfile(entry, io.BytesIO())
        config = tarfile.TarInfo("config.json")
        archive.addfile(config, io.BytesIO())
    return path


def escaping_data(path: Path) -> Path:
    model = conv_model()
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "../../../../etc/passwd", 0, 432)
    tensor.ClearField("raw_data")
    return saved(model, path)


@pytest.mark.parametrize(
    ("name", "make", "error"),
    [
        ("picture.png", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n") and path, NotAModel),
        ("empty.onnx", lambda path: path.write_bytes(b"") or path, NotAModel),
        (
            "cut.onnx",
            lambda path: path.write_bytes(conv_model().SerializeToString()[:-40]) and path,
            (BrokenModel, NotAModel),
        ),
        ("archive.tar", escaping_archive, UnsafeSource),
        ("data.onnx", escaping_data, UnsafeSource),
    ],
)
def test_what_is_no_model_or_hostile_is_refused(
    inspector: Inspector, tmp_path: Path, name: str, make: object, error: type[OakmillError]
) -> None:
    with pytest.raises(error):
        inspector.inspect({name: make(tmp_path / "blob")})  # type: ignore[operator]


def test_a_file_name_that_leads_elsewhere_is_refused(inspector: Inspector, tmp_path: Path) -> None:
    with pytest.raises(UnsafeSource):
        inspector.inspect({"../a.onnx": saved(conv_model(), tmp_path / "blob")})


def pending(hub: Hub, model_type: str) -> str:
    with hub.db.session() as session:
        session.get_one(Instance, "aimi_1").status = InstanceStatus.PENDING
        session.get_one(Instance, "aimi_1").model_type = model_type
        session.delete(session.get_one(InstanceFile, "aimf_1"))
    return "aimi_1"


def send(hub: Hub, inspector: Inspector, instance: str, name: str, path: Path) -> ingest.Facts:
    blobs = open_store(hub.settings)
    stored = blobs.put_file(path)
    return ingest.receive(hub.db, blobs, inspector, hub.settings, instance, name=name, stored=stored)


def test_a_model_with_its_weights_beside_is_complete_when_both_are_there(
    hub: Hub, inspector: Inspector, tmp_path: Path
) -> None:
    onnx.save(conv_model(), tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    instance = pending(hub, "ONNX")
    assert send(hub, inspector, instance, "m.onnx", tmp_path / "m.onnx")["missing"] == ["m.data"]
    assert send(hub, inspector, instance, "m.data", tmp_path / "m.data")["complete"]
    with hub.db.reading() as session:
        found = session.get_one(Instance, instance)
        roles = {file.name: file.role for file in session.query(InstanceFile).filter_by(instance_id=instance)}
    assert (found.status, found.input_shape) == (InstanceStatus.AVAILABLE, [[1, 3, 16, 16]])
    assert roles == {"m.onnx": Role.MODEL, "m.data": Role.PART}
    with pytest.raises(Conflict):
        send(hub, inspector, instance, "more.onnx", tmp_path / "m.onnx")


def test_weights_in_a_sub_folder_are_found_where_the_model_names_them(
    hub: Hub, inspector: Inspector, tmp_path: Path
) -> None:
    """Exporters write thousands of weights into a folder of their own; such a model could not be uploaded."""
    (tmp_path / "deep").mkdir()
    onnx.save(conv_model(), tmp_path / "m.onnx", save_as_external_data=True, location="deep/w.bin", size_threshold=0)
    instance = pending(hub, "ONNX")
    assert send(hub, inspector, instance, "m.onnx", tmp_path / "m.onnx")["missing"] == ["deep/w.bin"]
    with pytest.raises(Conflict):
        send(hub, inspector, instance, "m.onnx/w.bin", tmp_path / "deep" / "w.bin")
    assert send(hub, inspector, instance, "deep/w.bin", tmp_path / "deep" / "w.bin")["complete"]
    with hub.db.reading() as session:
        roles = {file.name: file.role for file in session.query(InstanceFile).filter_by(instance_id=instance)}
    assert roles == {"m.onnx": Role.MODEL, "deep/w.bin": Role.PART}


def test_weights_may_have_any_name_that_the_model_gives_them(inspector: Inspector, tmp_path: Path) -> None:
    """PyTorch names a file after each tensor: `conv.weight`, `onnx__MatMul_12`; these were taken for broken models."""
    onnx.save(conv_model(), tmp_path / "m.onnx", save_as_external_data=True, location="conv.weight", size_threshold=0)
    files = {"m.onnx": tmp_path / "m.onnx", "conv.weight": tmp_path / "conv.weight"}
    assert inspector.inspect(files)["complete"]
    with pytest.raises(NotAModel):
        inspector.inspect(files | {"other.weight": tmp_path / "conv.weight"})


def test_weights_that_are_the_model_file_itself_are_refused(inspector: Inspector, tmp_path: Path) -> None:
    """Nothing beyond the file was ever read, but the graph's own bytes were taken for weights, which no tool writes."""
    model = conv_model()
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "self.onnx", 0, 432)
    tensor.ClearField("raw_data")
    model.doc_string = "long enough " * 50
    with pytest.raises(UnsafeSource, match="in the model's own file"):
        inspector.inspect({"self.onnx": saved(model, tmp_path / "blob")})


def test_a_model_of_another_type_than_its_instance_is_refused(hub: Hub, inspector: Inspector, tmp_path: Path) -> None:
    instance = pending(hub, "TFLITE")
    with pytest.raises(NotAModel, match="is ONNX, but the instance is for TFLITE"):
        send(hub, inspector, instance, "m.onnx", saved(conv_model(), tmp_path / "m.onnx"))
    with hub.db.reading() as session:
        assert session.get_one(Instance, instance).status == InstanceStatus.PENDING


def test_an_archive_decides_the_type_of_its_instance(hub: Hub, inspector: Inspector, tmp_path: Path) -> None:
    """Pages guessed ONNX for every archive, and those that hold an IR or TFLite were refused after their upload."""
    instance = pending(hub, "TFLITE")
    send(hub, inspector, instance, "m.tar.xz", archived(conv_model(), tmp_path / "m.tar.xz", {}))
    with hub.db.reading() as session:
        found = session.get_one(Instance, instance)
    assert (found.model_type, found.is_nn_archive, found.status) == ("ONNX", True, InstanceStatus.AVAILABLE)


def test_a_file_that_is_looked_at_for_long_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks went one after the other: a hostile file that used up its minute kept all other uploads waiting for it."""
    inspector = Inspector(Settings(home=tmp_path))
    path, take, stopped = saved(conv_model(), tmp_path / "blob"), inspector._taken, list[Child]()

    def take_and_stop() -> Child:
        child = take()
        child._running.process.send_signal(signal.SIGSTOP)
        stopped.append(child)
        return child

    monkeypatch.setattr(inspector, "_taken", take_and_stop)
    refused: list[OakmillError] = []

    def look() -> None:
        try:
            inspector.inspect({"slow.onnx": path}, "slow")
        except OakmillError as error:
            refused.append(error)

    slow = threading.Thread(target=look)
    slow.start()
    while not stopped:
        time.sleep(0.01)
    monkeypatch.undo()
    assert inspector.inspect({"fast.onnx": path}, "fast")["complete"]
    stopped[0]._running.process.kill()
    slow.join()
    assert [type(error) for error in refused] in ([NotAModel], [LimitExceeded])
    inspector.close()

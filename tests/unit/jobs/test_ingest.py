"""Uploads: what is found of a model, when one of several files is complete, and what is refused."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import onnx
import pytest

from oakmill.errors import BrokenModel, Conflict, NotAModel, OakmillError, UnsafeSource, UnsupportedModel
from oakmill.jobs import ingest
from oakmill.registry.tables import Instance, InstanceFile, InstanceStatus, Role
from oakmill.settings import Settings
from oakmill.storage.stores import open_store
from oakmill.toolchains.installing import accepting
from oakmill.untrusted.ask import IsolatedWorkers
from oakmill.untrusted.folder import link_or_copy
from oakmill.untrusted.questions import Inspection, SourceFacts
from tests.conversion.makers import archived, conv_model, saved
from tests.conversion.tflite_makers import convolution, written
from tests.looks import Looks
from tests.unit.jobs.conftest import Hub
from tests.unit.model.test_torch_files import checkpoint, named


@pytest.fixture(scope="module")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IsolatedWorkers]:
    workers = Looks(Settings(home=tmp_path_factory.mktemp("home")))
    yield workers
    workers.close()


def inspected(isolated: IsolatedWorkers, files: Mapping[str, Path]) -> Inspection:
    return ingest.inspect(isolated, {name: partial(link_or_copy, path) for name, path in files.items()})


def whole(found: Inspection) -> SourceFacts:
    assert found.source is not None
    return found.source


def test_a_model_is_described_with_what_stands_in_the_way_of_each_platform(
    isolated: IsolatedWorkers, tmp_path: Path
) -> None:
    found = inspected(isolated, {"a.onnx": saved(conv_model(), tmp_path / "blob")})
    assert (whole(found).model_type, whole(found).opset) == ("ONNX", 13)
    facts = found.as_facts()
    assert facts["inputs"] == [{"name": "image", "shape": [1, 3, 16, 16], "dtype": "float32"}]
    verdicts = {name: report["verdict"] for name, report in facts["preflight"].items()}
    assert verdicts == {"rvc2": "ok", "rvc3": "ok", "rvc4": "ok"}


def test_an_archive_says_its_heads(isolated: IsolatedWorkers, tmp_path: Path) -> None:
    found = inspected(isolated, {"a.tar.xz": archived(conv_model(), tmp_path / "blob", {"mean": [1, 2, 3]})})
    facts = found.as_facts()
    assert whole(found).is_nn_archive and facts["archive"]["model"]["inputs"][0]["preprocessing"]["mean"] == [1, 2, 3]


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
    isolated: IsolatedWorkers, tmp_path: Path, name: str, make: object, error: type[OakmillError]
) -> None:
    with pytest.raises(error):
        inspected(isolated, {name: make(tmp_path / "blob")})  # type: ignore[operator]


def test_a_file_name_that_leads_elsewhere_is_refused(isolated: IsolatedWorkers, tmp_path: Path) -> None:
    with pytest.raises(UnsafeSource):
        inspected(isolated, {"../a.onnx": saved(conv_model(), tmp_path / "blob")})


def pending(hub: Hub, model_type: str) -> str:
    with hub.db.session() as session:
        session.get_one(Instance, "aimi_1").status = InstanceStatus.PENDING
        session.get_one(Instance, "aimi_1").model_type = model_type
        session.delete(session.get_one(InstanceFile, "aimf_1"))
    return "aimi_1"


def send(hub: Hub, isolated: IsolatedWorkers, instance: str, name: str, path: Path) -> Inspection:
    blobs = open_store(hub.settings)
    stored = blobs.put_file(path)
    return ingest.receive(hub.db, blobs, isolated, instance, name=name, stored=stored, settings=hub.settings)


def test_a_checkpoint_is_taken_once_the_licence_of_its_exporter_is_accepted(
    hub: Hub, isolated: IsolatedWorkers, tmp_path: Path
) -> None:
    """Jobs failed late, or nobody knew that an operator can switch it on."""
    path = checkpoint(tmp_path / "best.pt", named("ultralytics.nn.tasks.DetectionModel"))
    instance = pending(hub, "PYTORCH")
    with pytest.raises(UnsupportedModel, match=r"best\.pt is a checkpoint of Ultralytics") as caught:
        send(hub, isolated, instance, "best.pt", path)
    assert "--accept-licence AGPL-3.0" in caught.value.remedy
    willing = Hub(db=hub.db, settings=accepting(hub.settings, "AGPL-3.0"))
    assert whole(send(willing, isolated, instance, "best.pt", path)).format == "checkpoint"


def test_a_model_with_its_weights_beside_is_complete_when_both_are_there(
    hub: Hub, isolated: IsolatedWorkers, tmp_path: Path
) -> None:
    onnx.save(conv_model(), tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    instance = pending(hub, "ONNX")
    assert send(hub, isolated, instance, "m.onnx", tmp_path / "m.onnx").missing == ("m.data",)
    assert send(hub, isolated, instance, "m.data", tmp_path / "m.data").source
    with hub.db.reading() as session:
        found = session.get_one(Instance, instance)
        roles = {file.name: file.role for file in session.query(InstanceFile).filter_by(instance_id=instance)}
    assert (found.status, found.input_shape) == (InstanceStatus.AVAILABLE, [[1, 3, 16, 16]])
    assert roles == {"m.onnx": Role.MODEL, "m.data": Role.PART}
    with pytest.raises(Conflict):
        send(hub, isolated, instance, "more.onnx", tmp_path / "m.onnx")


def test_weights_in_a_sub_folder_are_found_where_the_model_names_them(
    hub: Hub, isolated: IsolatedWorkers, tmp_path: Path
) -> None:
    """Exporters write thousands of weights into a folder of their own; such a model could not be uploaded."""
    (tmp_path / "deep").mkdir()
    onnx.save(conv_model(), tmp_path / "m.onnx", save_as_external_data=True, location="deep/w.bin", size_threshold=0)
    instance = pending(hub, "ONNX")
    assert send(hub, isolated, instance, "m.onnx", tmp_path / "m.onnx").missing == ("deep/w.bin",)
    with pytest.raises(Conflict):
        send(hub, isolated, instance, "m.onnx/w.bin", tmp_path / "deep" / "w.bin")
    assert send(hub, isolated, instance, "deep/w.bin", tmp_path / "deep" / "w.bin").source
    with hub.db.reading() as session:
        roles = {file.name: file.role for file in session.query(InstanceFile).filter_by(instance_id=instance)}
    assert roles == {"m.onnx": Role.MODEL, "deep/w.bin": Role.PART}


def test_weights_may_have_any_name_that_the_model_gives_them(isolated: IsolatedWorkers, tmp_path: Path) -> None:
    """PyTorch names a file after each tensor: `conv.weight`, `onnx__MatMul_12`; these were taken for broken models."""
    onnx.save(conv_model(), tmp_path / "m.onnx", save_as_external_data=True, location="conv.weight", size_threshold=0)
    files = {"m.onnx": tmp_path / "m.onnx", "conv.weight": tmp_path / "conv.weight"}
    assert inspected(isolated, files).source
    with pytest.raises(NotAModel):
        inspected(isolated, files | {"other.weight": tmp_path / "conv.weight"})


def test_weights_that_are_the_model_file_itself_are_refused(isolated: IsolatedWorkers, tmp_path: Path) -> None:
    """Nothing beyond the file was ever read, but the graph's own bytes were taken for weights, which no tool writes."""
    model = conv_model()
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "self.onnx", 0, 432)
    tensor.ClearField("raw_data")
    model.doc_string = "long enough " * 50
    with pytest.raises(UnsafeSource, match="in the model's own file"):
        inspected(isolated, {"self.onnx": saved(model, tmp_path / "blob")})


def test_a_source_is_no_file_of_a_platform(hub: Hub, isolated: IsolatedWorkers, tmp_path: Path) -> None:
    instance = pending(hub, "RVC4")
    with pytest.raises(NotAModel, match="is an ONNX model, and the instance is for a converted"):
        send(hub, isolated, instance, "m.onnx", saved(conv_model(), tmp_path / "m.onnx"))
    with hub.db.reading() as session:
        assert session.get_one(Instance, instance).status == InstanceStatus.PENDING


def test_a_file_of_a_platform_is_stored_for_it_and_no_other(
    hub: Hub, isolated: IsolatedWorkers, shared_data: Path
) -> None:
    """An instance for RVC2 could be made, and every file that is one was refused."""
    blob = next((shared_data / "compiled").glob("*.blob"))
    instance = pending(hub, "RVC4")
    with pytest.raises(NotAModel, match="is RVC2, but the instance is for RVC4"):
        send(hub, isolated, instance, blob.name, blob)
    with hub.db.session() as session:
        session.get_one(Instance, instance).model_type = "RVC2"
    send(hub, isolated, instance, blob.name, blob)
    with hub.db.reading() as session:
        found = session.get_one(Instance, instance)
    assert (found.status, found.origin, found.is_nn_archive) == (InstanceStatus.AVAILABLE, "converted", False)


def test_the_bytes_decide_the_format_of_an_instance(hub: Hub, isolated: IsolatedWorkers, tmp_path: Path) -> None:
    """The form guesses a format by the file's name, and the API's default is ONNX: a TFLite file called model.lite, or
    sent by a client that named no type, was refused once it had come."""
    instance = pending(hub, "ONNX")
    send(hub, isolated, instance, "model.lite", written(convolution(), tmp_path / "model.lite"))
    with hub.db.reading() as session:
        found = session.get_one(Instance, instance)
    assert (found.model_type, found.status) == ("TFLITE", InstanceStatus.AVAILABLE)
    assert "-tflite-" in found.slug


def test_an_archive_decides_the_type_of_its_instance(hub: Hub, isolated: IsolatedWorkers, tmp_path: Path) -> None:
    """Pages guessed ONNX for every archive, and those that hold an IR or TFLite were refused after their upload."""
    instance = pending(hub, "TFLITE")
    send(hub, isolated, instance, "m.tar.xz", archived(conv_model(), tmp_path / "m.tar.xz", {}))
    with hub.db.reading() as session:
        found = session.get_one(Instance, instance)
    assert (found.model_type, found.is_nn_archive, found.status) == ("ONNX", True, InstanceStatus.AVAILABLE)

"""The worker's own answers, each from a true worker: to real files, sound and hostile."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from oakmill.calibration.doctor import Expectation
from oakmill.errors import NotFound, SourceError, SpecError, UnsafeSource, UnsupportedModel
from oakmill.settings import Settings
from oakmill.spec import Encoding, InputSpec
from oakmill.untrusted.ask import IsolatedWorkers, Lay
from oakmill.untrusted.folder import link_or_copy
from oakmill.untrusted.questions import (
    SET_FOLDER,
    SET_ZIP,
    VIEW,
    CheckModel,
    DescribeGraph,
    ExamineSet,
    Preprocessed,
    TryColours,
)
from tests.conversion.makers import archived, conv_model, saved

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IsolatedWorkers]:
    found = IsolatedWorkers(Settings(home=tmp_path_factory.mktemp("home")))
    found.warm()
    yield found
    found.close()


def laid(files: Mapping[str, Path]) -> dict[str, Lay]:
    return {name: partial(link_or_copy, path) for name, path in files.items()}


def test_a_model_is_checked_with_what_is_asked_of_its_inputs(workers: IsolatedWorkers, tmp_path: Path) -> None:
    files = laid({"a.onnx": saved(conv_model(), tmp_path / "a.onnx")})
    batch, other = InputSpec(name="image", shape=(2, 3, 8, 8)), InputSpec(name="other")
    free, asked = (
        workers.ask(CheckModel(model="a.onnx", inputs=inputs, platforms=("rvc2", "rvc4")), files).reports
        for inputs in ((), (batch,))
    )
    assert list(free) == ["rvc2", "rvc4"]
    assert free["rvc2"] != asked["rvc2"]
    with pytest.raises(SpecError, match="no input 'other'"):
        workers.ask(CheckModel(model="a.onnx", inputs=(other,), platforms=("rvc2",)), files)


def images(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = np.kron(random.integers(0, 255, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    return sorted(folder.iterdir())


def zipped(files: list[Path], path: Path, extra: str = "notes.txt") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.write(file, f"deep/{file.name}")
        archive.writestr(extra, "no image")
    return path


def test_a_set_is_looked_at_whole_or_in_parts_from_a_zip_or_a_folder(workers: IsolatedWorkers, tmp_path: Path) -> None:
    files = images(tmp_path / "set", 30)
    folder = laid({f"{SET_FOLDER}/{path.name}": path for path in files})
    whole = workers.ask(ExamineSet(images="all"), folder)
    assert (whole.count, len(whole.names), whole.sizes[0], whole.names[0]) == (31, 31, (64, 64), "00.png")
    assert (whole.images[-1], whole.sizes[-1]) == ("", None), "what is broken has no image"
    assert Image.open(io.BytesIO(base64.b64decode(whole.images[0]))).size == (128, 128)
    assert [round(sum(row), 2) for row in whole.histogram] == [1, 1, 1]
    few = workers.ask(ExamineSet(images="few"), laid({SET_ZIP: zipped(files, tmp_path / "set.zip")}))
    report = few.as_report()
    assert (few.left_out, few.names[0], len(report["thumbnails"])) == (1, "deep/00.png", 24)
    assert report["doctor"]["verdict"] == whole.doctor.verdict
    asked = ExamineSet(expected=Expectation(None, (0.5,) * 3, (0.5,) * 3, Encoding.RGB))
    found = workers.ask(asked, folder)
    assert (found.images, found.sizes) == ((), ())
    assert {item.code for item in found.doctor.findings} > {item.code for item in whole.doctor.findings}


def test_a_set_that_leads_out_of_its_folder_or_is_none_is_refused(workers: IsolatedWorkers, tmp_path: Path) -> None:
    for path, kind in (
        (zipped([], tmp_path / "out.zip", "../../../escaped.png"), UnsafeSource),
        (saved(conv_model(), tmp_path / "model.zip"), SourceError),
    ):
        with pytest.raises(kind) as caught:
            workers.ask(ExamineSet(images="few"), laid({SET_ZIP: path}))
        assert str(tmp_path) not in caught.value.message and "look-" not in caught.value.message


def test_a_graph_is_counted_and_shown_from_an_archive_too(workers: IsolatedWorkers, tmp_path: Path) -> None:
    plain = laid({"a.onnx": saved(conv_model(), tmp_path / "a.onnx")})
    with workers.asking(DescribeGraph(model="a.onnx"), plain) as (facts, made):
        assert not list(made.iterdir())
    conv = next(item for item in facts.operations if item.op == "Conv")
    assert (conv.count, conv.parameters > 0, conv.products > 0, facts.opset) == (1, True, True, 13)
    packed = laid({"a.tar.xz": archived(conv_model(), tmp_path / "a.tar.xz", {})})
    with workers.asking(DescribeGraph(model="a.tar.xz"), packed) as (inner, made):
        assert onnx.load(made / VIEW).graph.node
    assert (inner.operations, inner.view.endswith(".onnx")) == (facts.operations, True)


def likes_red(path: Path) -> Path:
    """A classifier of pixels of 0 to 1: the mean of each channel, four times, softmax."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("images", [1, 3, 32, 32]), ("scores", [1, 3]))
    ]
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Mul", ["flat", "four"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"]),
    ]
    four = numpy_helper.from_array(np.array(4, np.float32), "four")
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [four])
    return saved(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def test_a_model_says_what_it_sees_in_each_variant(workers: IsolatedWorkers, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (250, 10, 10)).save(tmp_path / "red.png")
    files = laid({"a.onnx": likes_red(tmp_path / "a.onnx"), "red.png": tmp_path / "red.png"})
    variants = tuple(Preprocessed(encoding=Encoding(word), scale=(255.0,)) for word in ("RGB", "BGR"))
    asked = TryColours(model="a.onnx", inputs=(), variants=variants, image="red.png")
    found = workers.ask(asked, files)
    tops = [reaction.seen[0].label for reaction in found.reactions if reaction.seen]
    assert tops == ["class 0", "class 2"]
    assert (found.input, found.shape, found.images, found.task) == ("images", (1, 3, 32, 32), 1, "Classifier")
    assert [len(reaction.certainty) for reaction in found.reactions] == [1, 1]
    assert Image.open(io.BytesIO(base64.b64decode(found.image))).size == (320, 320)


def test_further_images_of_a_set_are_looked_at_and_a_number_beyond_it_is_refused(
    workers: IsolatedWorkers, tmp_path: Path
) -> None:
    files = laid({f"{SET_FOLDER}/{path.name}": path for path in images(tmp_path / "set", 5) if path.suffix == ".png"})
    files |= laid({"a.onnx": likes_red(tmp_path / "a.onnx")})
    asked = TryColours(model="a.onnx", inputs=(), variants=(Preprocessed(encoding=Encoding.RGB),), number=1, further=3)
    found = workers.ask(asked, files)
    assert (found.images, len(found.reactions[0].certainty)) == (4, 4)
    with pytest.raises(NotFound, match="has 5 images"):
        workers.ask(asked.model_copy(update={"number": 5}), files)


def test_a_model_that_takes_no_image_is_refused_for_colours(workers: IsolatedWorkers, tmp_path: Path) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("a", "b")]
    graph = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    files = laid({"a.onnx": saved(model, tmp_path / "a.onnx")})
    with pytest.raises(UnsupportedModel, match="takes an image"):
        workers.ask(TryColours(model="a.onnx", inputs=(), variants=(), image="x.png"), files)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from oakmill.conversion.sources import camera_heads
from oakmill.errors import PreparationFailed, SpecError
from oakmill.graph import equality
from oakmill.heads.families.base import Sure
from oakmill.heads.families.distances import Distances
from oakmill.model import open_source
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.settings import Settings
from oakmill.spec import Encoding, InputSpec
from tests.unit.heads.families.ends import DENSE, SOFTMAX, ended
from tests.unit.heads.families.exports import Export
from tests.unit.heads.families.test_anchored_raw import export as undecoded
from tests.unit.heads.families.test_centred import export as centred_export
from tests.unit.heads.families.test_face_rows import ultraface

WANTED = camera_heads.Wanted("rvc2")


def opened(model: ModelProto, tmp_path: Path) -> SourceModel:
    file = tmp_path / "model.onnx"
    onnx.save(model, file)
    return open_source(file, tmp_path / "source", Settings(home=tmp_path))


def test_a_head_and_the_classes_names_come_out(tmp_path: Path) -> None:
    """An export holds its classes' names, and its archive had no head and no names: pages said "class 20"."""
    model = Export().model()
    found = camera_heads.applied(model, opened(model, tmp_path), (), WANTED)
    names = ["output1_yolov6r2", "output2_yolov6r2", "output3_yolov6r2"]
    assert [value.name for value in found.network.graph.output] == names
    (head,) = (found.source.archive or {})["model"]["heads"]
    assert head["metadata"]["classes"] == ["thing 0", "thing 1", "thing 2"]
    assert (head["parser"], head["outputs"], head["metadata"]["subtype"]) == ("YOLO", names, "yolov8")
    assert "strides" not in head["metadata"]
    assert [item.code for item in found.findings] == ["head_recognised"]


def test_names_that_do_not_fit_are_numbers_and_told(tmp_path: Path) -> None:
    model = Export().model(names="{0: 'one'}")
    found = camera_heads.applied(model, opened(model, tmp_path), (), WANTED)
    assert (found.source.archive or {})["model"]["heads"][0]["metadata"]["classes"] == ["class 0", "class 1", "class 2"]
    assert [item.code for item in found.findings] == ["head_recognised", "class_names_missing"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Export(side=40).model(), "no multiple of its stride 32"),
        (Export(strides=(8, 16, 32, 64), side=96).model(), "96 x 96 is no multiple of its stride 64: take 64 or 128"),
    ],
)
def test_what_cannot_be_cut_stays_and_is_told(model: ModelProto, words: str, tmp_path: Path) -> None:
    source = opened(model, tmp_path)
    found = camera_heads.applied(model, source, (), WANTED)
    assert found.network is model
    assert found.source is source
    assert words in found.findings[0].message


def test_a_graph_that_decodes_otherwise_is_left_as_it_is(tmp_path: Path) -> None:
    """The proof: the graph has the form, and its boxes are centred elsewhere than the camera's parser takes them."""
    model = Export().model()
    centres = next(tensor for tensor in model.graph.initializer if tensor.name == "centres")
    values = onnx.numpy_helper.to_array(centres) + 0.5
    centres.CopyFrom(onnx.numpy_helper.from_array(values, "centres"))
    found = camera_heads.applied(model, opened(model, tmp_path), (), WANTED)
    assert found.network is model
    assert "apart" in found.findings[0].message


def test_other_tasks_are_nothing_of_ours(tmp_path: Path) -> None:
    model = Export().model(task="depth")
    assert camera_heads.applied(model, opened(model, tmp_path), (), WANTED).findings == ()


def test_a_network_of_the_form_is_recognised_whoever_wrote_its_file(tmp_path: Path) -> None:
    """A trained detector of another writer came out without a head, though its graph and the proof leave no doubt."""
    model = Export().model(author="somebody", names="")
    source = opened(model, tmp_path)
    found = camera_heads.applied(model, source, (), WANTED)
    assert [item.code for item in found.findings] == ["head_recognised", "class_names_missing"]
    (item,), told = camera_heads.preprocessed((InputSpec(name="images"),), source)
    assert (item.scale_values, item.encoding_from) == ((255.0,), Encoding.RGB)
    assert "--scale-values 255 --encoding-from RGB" in told[0].message


def test_a_family_that_the_network_is_not_of_is_refused(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    source = opened(model, tmp_path)
    for family, why in (("yolov8", "it needs convolutions on grids"), ("frcnn", "no such family")):
        with pytest.raises(SpecError, match=why):
            camera_heads.applied(model, source, (), replace(WANTED, family=family))


def test_what_only_may_be_is_told_and_done_where_the_user_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Distances, "sure", Sure.GUESS)
    model = Export().model()
    source = opened(model, tmp_path)
    suggested = camera_heads.applied(model, source, (), WANTED)
    assert suggested.network is model
    assert ["--head yolov8" in item.remedy for item in suggested.findings] == [True]
    accepted = camera_heads.applied(model, source, (), replace(WANTED, family="yolov8"))
    assert [item.code for item in accepted.findings] == ["head_recognised"]


def test_the_proof_runs_once_for_the_same_network(tmp_path: Path) -> None:
    """It ran anew in every conversion, also where all stages came from the cache."""
    kept: dict[str, str] = {}

    def keep(network: ModelProto, asked: object, prove: Callable[[], str]) -> str:
        key = repr((network.SerializeToString(), asked))
        if key not in kept:
            kept[key] = prove()
        return kept[key]

    model = Export().model()
    source = opened(model, tmp_path)
    for _ in range(2):
        camera_heads.applied(model, source, (), WANTED, keep)
    camera_heads.applied(model, source, (), replace(WANTED, platform="rvc4"), keep)
    assert list(kept.values()) == ["", ""]


def test_a_proof_that_did_not_run_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, of which the runtime's file of a large network found out, took a network its head for good."""
    kept: list[str] = []

    def keep(network: ModelProto, asked: object, prove: Callable[[], str]) -> str:
        kept.append(prove())
        return kept[-1]

    def full(*_: object) -> None:
        raise PreparationFailed("no space is left")

    monkeypatch.setattr(equality, "Session", full)
    model = Export().model()
    found = camera_heads.applied(model, opened(model, tmp_path), (), WANTED, keep)
    assert "no space is left" in found.findings[0].message
    assert kept == []


def halved(model: ModelProto) -> ModelProto:
    """The network in float16, as `half=True` exports it."""
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    return model


def test_a_network_in_float16_gets_its_head(tmp_path: Path) -> None:
    """Its proof fed float32, which the runtime refuses: no export with half=True had a head."""
    model = halved(Export(side=640).model())
    found = camera_heads.applied(model, opened(model, tmp_path), (), WANTED)
    assert [item.code for item in found.findings] == ["head_recognised"]


def behind(model: ModelProto, *nodes: onnx.NodeProto) -> ModelProto:
    """The network behind others, which make "image" of its input."""
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = "image" if name == "images" else name
    for place, node in enumerate(nodes):
        model.graph.node.insert(place, node)
    return model


def test_an_image_with_its_channels_last_has_its_own_size(tmp_path: Path) -> None:
    """It was 64 x 3 pixels, and "3 x 64 is no multiple of its stride 32" was said of it."""
    model = behind(Export().model(), helper.make_node("Transpose", ["images"], ["image"], perm=[0, 3, 1, 2]))
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 64, 64, 3]))
    found = camera_heads.applied(model, opened(model, tmp_path), (), WANTED)
    assert [item.code for item in found.findings] == ["head_recognised"]


def test_an_archive_without_heads_gets_one_and_keeps_the_rest(tmp_path: Path) -> None:
    """An NN Archive that declares no head was taken for one that says what its outputs are."""
    model = Export().model()
    source = replace(opened(model, tmp_path), archive={"model": {"inputs": [1], "heads": []}, "config_version": "1.0"})
    archive = camera_heads.applied(model, source, (), WANTED).source.archive or {}
    assert (archive["config_version"], archive["model"]["inputs"], len(archive["model"]["heads"])) == ("1.0", [1], 1)


def test_preprocessing_that_nobody_named_is_the_exporters(tmp_path: Path) -> None:
    source = opened(Export().model(), tmp_path)
    (item,), told = camera_heads.preprocessed((InputSpec(name="images"),), source)
    assert (item.scale_values, item.encoding_from, item.encoding_to) == ((255.0,), Encoding.RGB, Encoding.BGR)
    assert "--scale-values 255" in told[0].message
    for asked in (InputSpec(name="images", scale_values=(1.0,)), InputSpec(name="images", encoding_from=Encoding.BGR)):
        assert camera_heads.preprocessed((asked,), source) == ((asked,), ())


def test_an_export_of_gray_images_is_not_given_colours(tmp_path: Path) -> None:
    """RGB and BGR were put upon an input of one channel, and the conversion ended by an option nobody gave."""
    model = Export().model()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    asked = (InputSpec(name="images"),)
    assert camera_heads.preprocessed(asked, opened(model, tmp_path)) == (asked, ())


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.UINT8])
def test_a_graph_that_divides_by_255_itself_is_not_given_it_again(kind: int, tmp_path: Path) -> None:
    """Its images were divided by 255 twice, and nothing was found in them."""
    cast = helper.make_node("Cast", ["images"], ["as float"], to=TensorProto.FLOAT)
    model = behind(Export().model(), cast, helper.make_node("Div", ["as float", "most"], ["image"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(255, np.float32), "most"))
    model.graph.input[0].type.tensor_type.elem_type = kind
    asked = (InputSpec(name="images"),)
    assert camera_heads.preprocessed(asked, opened(model, tmp_path)) == (asked, ())


def test_a_grey_checkpoint_is_divided_by_255_and_has_no_order_of_colours(tmp_path: Path) -> None:
    """How many channels it has is known after its export: each was refused, as one channel is in no RGB order."""
    source = replace(opened(Export().model(), tmp_path), format=SourceFormat.CHECKPOINT)
    asked, told = camera_heads.preprocessed((InputSpec(name="images"),), source)
    assert camera_heads.exported(asked, told, source) == (asked, told)
    grey = replace(source, inputs=(replace(source.inputs[0], shape=(1, 1, 64, 64)),))
    (item,), (said,) = camera_heads.exported(asked, told, grey)
    assert (item.scale_values, item.encoding_from, item.encoding_to) == ((255.0,), Encoding.GRAY, Encoding.GRAY)
    assert "GRAY divided by 255" in said.message
    assert camera_heads.exported(asked, (), grey) == (asked, ())


def test_yolox_takes_bgr_as_it_is(tmp_path: Path) -> None:
    source = opened(centred_export(decoded=False), tmp_path)
    (item,), told = camera_heads.preprocessed((InputSpec(name="images"),), source)
    assert (item.scale_values, item.encoding_from, item.encoding_to) == (None, Encoding.BGR, Encoding.BGR)
    assert "takes BGR, as it is" in told[0].message


@pytest.mark.parametrize("kind", [SourceFormat.TFLITE, SourceFormat.TORCHSCRIPT])
def test_another_format_takes_what_its_graph_shows_once_it_is_written_as_onnx(
    kind: SourceFormat, tmp_path: Path
) -> None:
    """Neither TFLite nor TorchScript says what its network is; their graphs do, as that of an ONNX file does."""
    source = replace(opened(centred_export(decoded=False), tmp_path), format=kind)
    unwritten = replace(source, graph=tmp_path / "model.tflite")
    asked, told = camera_heads.preprocessed([InputSpec(name="images")], unwritten)
    assert told == ()
    (spec,), (finding,) = camera_heads.exported(asked, told, source)
    assert (spec.encoding_from, spec.scale_values) == (Encoding.BGR, None)
    assert finding.code == "preprocessing_of_family"
    said = [InputSpec(name="images", encoding_from=Encoding.RGB)]
    assert camera_heads.exported(said, (), source) == (tuple(said), ())


def test_a_network_that_nobody_knows_gets_no_preprocessing(tmp_path: Path) -> None:
    model = Export().model(author="")
    next(node for node in model.graph.node if node.op_type == "Sigmoid").op_type = "Relu"
    asked = (InputSpec(name="images"),)
    assert camera_heads.preprocessed(asked, opened(model, tmp_path)) == (asked, ())


def of_others(network: ModelProto, tmp_path: Path, family: str = "", archive: dict[str, Any] | None = None) -> Any:
    source = replace(opened(network, tmp_path), archive=archive)
    return camera_heads.applied(network, source, (), camera_heads.Wanted("rvc2", family))


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("segmentation", r"it needs one output \[1, K, H, W\] of 2 to 255 classes.* outputs are 'out' \[1, 8\]"),
        ("ultraface", r"that the graph decodes.*'out' \[1, 8\]"),
        ("nonsense", "no such family is known"),
    ],
)
def test_a_family_that_the_network_is_not_of_is_refused_with_what_is_missing(
    family: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=words):
        of_others(ended(DENSE, SOFTMAX), tmp_path, family)


def test_a_family_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    """With `--head`, an archive's own heads, or a size that does not fit, left the network as it was, with exit 0."""
    heads = {"model": {"inputs": [], "heads": [{"parser": "P", "metadata": {}}]}}
    with pytest.raises(SpecError, match="the NN Archive declares its heads"):
        of_others(ended(DENSE, SOFTMAX), tmp_path, "classification", heads)
    with pytest.raises(SpecError, match="no multiple of its stride"):
        of_others(Export(side=40).model(), tmp_path, "yolov8")
    found = of_others(ended(DENSE, name="logits"), tmp_path)
    assert [item.code for item in found.findings] == ["head_suggested"]
    accepted = of_others(ended(DENSE, name="logits"), tmp_path, "classification")
    assert accepted.source.archive["model"]["heads"][0]["parser"] == "ClassificationParser"


def test_ultraface_takes_what_it_was_trained_on(tmp_path: Path) -> None:
    (item,), told = camera_heads.preprocessed((InputSpec(name="image"),), opened(ultraface("Exp"), tmp_path))
    assert (item.mean_values, item.scale_values, item.encoding_from) == ((127.0,), (128.0,), Encoding.RGB)
    assert "RGB minus 127 divided by 128" in told[0].message
    assert "--mean-values 127 --scale-values 128 --encoding-from RGB" in told[0].message


def test_a_guess_that_the_user_accepts_takes_what_it_was_trained_on(tmp_path: Path) -> None:
    """With --head, the head was written and the images stayed as they were: only a certain family's were divided."""
    source = opened(undecoded(), tmp_path)
    asked = (InputSpec(name="images"),)
    assert camera_heads.preprocessed(asked, source) == (asked, ())
    (item,), told = camera_heads.preprocessed(asked, source, "yolov7")
    assert (item.scale_values, item.encoding_from) == ((255.0,), Encoding.RGB)
    assert "--scale-values 255" in told[0].message


def _without_outputs(model: ModelProto) -> None:
    del model.graph.output[:]


def _of_a_million_channels(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1 << 40


def _with_rows_of_three(model: ModelProto) -> None:
    """What the graph chooses has other columns than its form says."""
    model.graph.node[-1].output[0] = "chosen"
    bounds = [onnx.numpy_helper.from_array(np.array([value], np.int64), f"of three/{value}") for value in (0, 2, 3)]
    model.graph.initializer.extend(bounds)
    model.graph.node.append(helper.make_node("Slice", ["chosen", *(f"of three/{at}" for at in (0, 3, 2))], ["output0"]))


@pytest.mark.parametrize("change", [_without_outputs, _of_a_million_channels, _with_rows_of_three])
def test_a_graph_of_nonsense_is_left_as_it_is(change: Callable[[ModelProto], None], tmp_path: Path) -> None:
    """An IndexError or a MemoryError ended the conversion where a graph had a family's form alone."""
    model = Export(opset=17, joined=False, chosen=True).model()
    source = opened(model, tmp_path)
    change(model)
    found = camera_heads.applied(model, source, (), WANTED)
    assert found.network is model
    assert [item.code for item in found.findings] in ([], ["head_unknown"])

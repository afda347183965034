from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import SubElement

import numpy as np
import pytest

from oakmill.conversion.sources.ir_edit import PEAK, Editor
from oakmill.conversion.sources.ir_prepare import structure
from oakmill.errors import SpecError
from oakmill.graph.preprocessing import Preprocessing
from oakmill.model.ir_graph import Constant, IrGraph
from oakmill.model.ir_xml import parse
from oakmill.model.openvino_ir import read_ir
from oakmill.settings import Settings
from tests.unit.model.ir_making import WEIGHTS, write_ir


@pytest.fixture
def editor(tmp_path: Path) -> Editor:
    path = write_ir(tmp_path / "small.xml", 11)
    return Editor(IrGraph(parse(path)), path.with_suffix(".bin"))


def chain(graph: IrGraph) -> list[str]:
    """The types of the layers from the output back to the input, along first inputs."""
    port, found = graph.ends[0], []
    while True:
        found.append(graph.layers[port[0]].get("type", ""))
        inputs = [source for target, source in graph.feeds.items() if target[0] == port[0]]
        if not inputs:
            return found
        port = inputs[0]


def constant(path: Path, graph: IrGraph, name: str) -> np.ndarray:
    found: Constant = next(item for item in graph.constants() if item.name == name)
    data = path.with_suffix(".bin").read_bytes()[found.offset : found.offset + found.size]
    return np.frombuffer(data, {"f32": np.float32, "i64": np.int64}[found.kind]).reshape(found.shape)


def test_preprocessing_stands_in_front_in_the_right_order(editor: Editor, tmp_path: Path) -> None:
    editor.embed(Preprocessing("x", "NCHW", mean=(1, 2, 3), scale=(2, 4, 8), reverse_channels=True))
    path = editor.write(tmp_path / "out/net.xml")
    graph = IrGraph(parse(path))

    assert chain(graph) == ["ReLU", "Convolution", "Add", "Multiply", "Gather", "Parameter"]
    assert constant(path, graph, "x/preprocessing/gather/0").tolist() == [2, 1, 0]
    assert constant(path, graph, "x/preprocessing/gather/1").item() == 1
    assert constant(path, graph, "x/preprocessing/multiply/0").ravel().tolist() == [0.5, 0.25, 0.125]
    assert constant(path, graph, "x/preprocessing/add/0").ravel().tolist() == [-0.5, -0.5, -0.375]
    assert path.with_suffix(".bin").read_bytes().startswith(WEIGHTS.tobytes())
    read_ir(path, Settings())  # sizes, offsets and edges hold together


def test_one_value_is_for_all_channels_and_nothing_changes_nothing(editor: Editor, tmp_path: Path) -> None:
    editor.embed(Preprocessing("x", "NCHW", mean=(0, 0, 0), scale=(1,)))
    assert chain(editor.graph) == ["ReLU", "Convolution", "Parameter"]

    editor.embed(Preprocessing("x", "NCHW", scale=(255,)))
    path = editor.write(tmp_path / "net.xml")
    assert constant(path, editor.graph, "x/preprocessing/multiply/0").shape == (1, 1, 1, 1)


def test_a_shape_is_changed_where_the_reader_looks(editor: Editor) -> None:
    editor.set_shape("x", (1, 3, 16, 16))

    assert editor.graph.inputs[0].shape == (1, 3, 16, 16)
    assert editor.graph.port_shape(("0", "0")) == (1, 3, 16, 16)


@pytest.mark.parametrize(("name", "called"), [("conv", "conv"), ("conv_tensor", "conv_tensor")])
def test_a_network_ends_at_a_layer_or_a_tensor(editor: Editor, name: str, called: str) -> None:
    editor.cut_at([name])

    assert [item.name for item in editor.graph.outputs] == [called]
    assert {layer.get("type") for layer in editor.graph.layers.values()} == {
        "Parameter", "Const", "Convolution", "Result"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "words"), [(["z"], "no layer or tensor"), (["y", "y"], "twice"), (["w"], "no layer")]
)
def test_it_cannot_end_where_nothing_is(editor: Editor, names: list[str], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        editor.cut_at(names)


def test_colours_need_three_channels_and_arithmetic_floats(editor: Editor) -> None:
    with pytest.raises(SpecError, match="has 8 channels"):
        editor.embed(Preprocessing("x", "NHCW", reverse_channels=True))
    for layer in editor.graph.parameters:
        port = layer.find("output/port")
        assert port is not None
        port.set("precision", "U8")
    with pytest.raises(SpecError, match="needs a float input"):
        editor.embed(Preprocessing("x", "NCHW", scale=(2,)))


def test_marks_of_the_old_interface_are_forgotten(editor: Editor) -> None:
    marks = SubElement(editor.graph.parameters[0], "rt_info")
    SubElement(marks, "attribute", {"name": "old_api_map_order", "value": "0,2,3,1"})
    SubElement(marks, "attribute", {"name": "fused_names_0", "value": "x"})

    editor.forget_old_api()

    assert [mark.get("name") for mark in marks] == ["fused_names_0"]


def test_every_float_that_is_computed_gets_a_peak(editor: Editor) -> None:
    editor.watch_peaks()

    assert {item.name for item in editor.graph.outputs} == {"y", f"{PEAK}y", f"{PEAK}conv"}


def test_weights_are_rounded_to_half(editor: Editor, tmp_path: Path) -> None:
    path = editor.write(tmp_path / "net.xml", halve=True)

    found = np.frombuffer(path.with_suffix(".bin").read_bytes(), np.float32).reshape(WEIGHTS.shape)
    assert np.array_equal(found, WEIGHTS.astype(np.float16).astype(np.float32))


def test_the_structure_names_layers_for_errors(editor: Editor) -> None:
    nodes = {
        node.name: (node.op_type, list(node.input), list(node.output)) for node in structure(editor.graph).graph.node
    }

    assert nodes == {"conv": ("Convolution", ["x", "w"], ["conv"]), "y": ("ReLU", ["conv"], ["y"])}

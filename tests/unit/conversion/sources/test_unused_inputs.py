"""Inputs that nothing computes with: the compiled network lacks them, so that conversions were refused at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from oakmill.conversion.sources import unused_inputs
from oakmill.graph import equality
from oakmill.model.ir_graph import IrGraph
from oakmill.model.ir_xml import parse
from oakmill.spec import InputSpec
from tests.unit.conversion.conftest import Run
from tests.unit.model.ir_making import write_ir

PARAMETER = """<layer id="7" name="im_info" type="Parameter" version="opset1">
<data shape="1,3" element_type="f32"/><output><port id="0" precision="FP32"><dim>1</dim><dim>3</dim></port></output>
</layer></layers>"""


def model(*nodes: onnx.NodeProto, second: tuple[int | str, ...] = (1, 3), opset: int = 13) -> onnx.ModelProto:
    """Of the inputs x and second; its output is y."""
    graph = helper.make_graph(
        list(nodes),
        "two",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3]),
            helper.make_tensor_value_info("second", TensorProto.FLOAT, second),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


RELU = helper.make_node("Relu", ["x"], ["y"])


def names(found: onnx.ModelProto) -> list[str]:
    return [value.name for value in found.graph.input]


def test_an_input_that_nothing_reads_is_dropped() -> None:
    found, dropped = unused_inputs.without(model(RELU), ())
    assert (names(found), dropped) == (["x"], ("second",))


def test_an_input_that_only_a_dead_branch_reads_is_dropped() -> None:
    dead = helper.make_node("Relu", ["second"], ["nowhere"])
    found, dropped = unused_inputs.without(model(RELU, dead), ())
    assert (names(found), dropped) == (["x"], ("second",))
    assert equality.run(found, {"x": np.ones((1, 3), np.float32)})["y"].all()


SHAPED = (
    helper.make_node("Shape", ["second"], ["sizes"]),
    helper.make_node("Reshape", ["x", "sizes"], ["y"]),
)


@pytest.mark.parametrize(
    ("second", "asked"),
    [((3, 1), ()), (("n", 3), ()), (("n", "m"), (InputSpec(name="second", shape=(3, 1)),))],
    ids=["stated", "open batch", "asked"],
)
def test_an_input_of_which_only_the_shape_is_used_is_dropped(
    second: tuple[int | str, ...], asked: tuple[InputSpec, ...]
) -> None:
    """A simplifier folds the shape, and the compiled network then lacks the input just as well."""
    made = model(*SHAPED, second=second)
    fixed = {"n": 3, "m": 1} if asked else {"n": 1}
    shape = tuple(size if isinstance(size, int) else fixed[size] for size in second)
    feed = {"x": np.ones((1, 3), np.float32)}
    wanted = equality.run(made, {**feed, "second": np.ones(shape, np.float32)})
    found, dropped = unused_inputs.without(made, asked)
    assert (names(found), dropped) == (["x"], ("second",))
    assert equality.run(found, feed)["y"].tolist() == wanted["y"].tolist()


def test_an_input_whose_open_shape_is_used_stays() -> None:
    """What its shape is stays to be asked for."""
    found, dropped = unused_inputs.without(model(*SHAPED, second=("n", "m")), ())
    assert (names(found), dropped) == (["x", "second"], ())


def test_an_input_that_is_an_output_stays() -> None:
    made = model(RELU)
    made.graph.output.append(made.graph.input[1])
    assert unused_inputs.without(made, ())[1] == ()


def test_a_constant_network_keeps_its_inputs() -> None:
    constant = helper.make_node("Constant", [], ["y"], value_floats=[1.0])
    assert unused_inputs.without(model(constant), ())[1] == ()


def test_an_input_that_a_branch_reads_stays() -> None:
    then = helper.make_graph([helper.make_node("Neg", ["second"], ["t"])], "t", [], [_float("t")])
    other = helper.make_graph([helper.make_node("Relu", ["x"], ["e"])], "e", [], [_float("e")])
    nodes = (
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["is"], to=TensorProto.BOOL),
        helper.make_node("If", ["is"], ["y"], then_branch=then, else_branch=other),
    )
    assert unused_inputs.without(model(*nodes), ())[1] == ()


def _float(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def test_an_ir_loses_its_unused_inputs_too(tmp_path: Path) -> None:
    path = write_ir(tmp_path / "net.xml")
    path.write_text(path.read_text().replace("</layers>", PARAMETER))
    found, dropped = unused_inputs.without(IrGraph(parse(path)), ())
    assert dropped == ("im_info",)
    assert [tensor.name for tensor in found.inputs] == ["x"]


def test_a_conversion_drops_it_and_says_so(run: Run, tmp_path: Path) -> None:
    """Faster R-CNN's `im_info`, which the cut network no longer reads: refused after minutes, without a remedy."""
    made = onnx.load(tmp_path / "small.onnx")
    made.graph.input.append(helper.make_tensor_value_info("im_info", TensorProto.FLOAT, [1, 3]))
    onnx.save(made, tmp_path / "two.onnx")
    done = run(tmp_path / "two.onnx", inputs=[{"name": "im_info", "shape": [1, 3]}], output_format="native")
    assert [item.name for item in done.recipe.inputs] == ["image"]
    assert names(onnx.load(done.file)) == ["image"]
    assert "input 'im_info' is dropped: nothing in the network computes with it" in done.progress.notes

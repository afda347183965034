"""The preflight refuses what was measured to fail, in that very variant, and only warns of the rest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.errors import UnsupportedModel
from oakmill.findings import Severity
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.preflight import tables as coverage
from oakmill.preflight.check import Code, Preflight, Report, mode_of, require, unread
from oakmill.preflight.findings import reports_of
from oakmill.preflight.opsets import asked_opset
from oakmill.preflight.tables import Table, tables
from oakmill.preflight.variants import Variant
from oakmill.spec import Rvc2Spec, Rvc4Spec
from oakmill.spec.platforms import PLATFORMS

MAP = (1, 8, 16, 16)


def model(*nodes: NodeProto, opset: int = 17, weights: int = 4) -> ModelProto:
    """x -> nodes -> y, on a map; `w` are weights of so many floats."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, MAP)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.zeros((weights, 8, 1, 1), np.float32), "w")],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("my.domain", 1)], ir_version=8
    )


def node(op: str, name: str, x: str = "x", y: str = "y", **given: Any) -> NodeProto:
    return helper.make_node(op, [x], [y], name, **given)


def report(made: ModelProto, platform: str = "rvc2", mode: str = "") -> Report:
    return Preflight(made).report(platform, mode)


def test_what_every_compiler_takes_is_found_good() -> None:
    made = model(helper.make_node("Conv", ["x", "w"], ["a"], "conv"), node("Relu", "relu", "a"))
    for platform in tables():
        assert report(made, platform).verdict is Severity.OK


def test_a_node_that_was_measured_to_fail_is_named_with_a_remedy() -> None:
    found = report(
        model(
            node("Relu", "first", y="a"),
            node("MaxRoiPool", "wave", "a", "b"),
            node("MaxRoiPool", "again", "a", "c"),
            helper.make_node("Add", ["b", "c"], ["y"], "sum"),
        )
    )
    (item,) = found.findings
    assert found.verdict is Severity.ERROR
    assert (item.code, item.severity, item.subject, item.evidence["op"]) == (
        Code.UNSUPPORTED_OP,
        Severity.ERROR,
        "wave",
        "MaxRoiPool",
    )
    assert item.others == ("again",)
    assert item.remedy == "end the network before it (--outputs a), or replace it in the model"


def test_a_nameless_node_is_named_after_what_it_computes() -> None:
    (item,) = report(model(node("MaxRoiPool", ""))).findings
    assert item.subject == "y"


def test_a_silent_misreading_is_told_in_other_ranks_than_the_measured_too() -> None:
    indices = numpy_helper.from_array(np.zeros((1, 8, 16, 16), np.int64), "i")
    scatter = helper.make_node("ScatterElements", ["x", "i", "x"], ["y"], "scatter", reduction="add")
    made = model(scatter)
    made.graph.initializer.append(indices)
    (item,) = report(made).findings
    assert (item.severity, item.subject) == (Severity.WARNING, "scatter")
    assert "reduction add" in item.message


@pytest.mark.parametrize("opset", [11, 13])
def test_an_old_softmax_is_judged_as_the_preparation_writes_it(opset: int) -> None:
    """The compiler ignores that it joins axes, at -48 dB; the preparation flattens, and a refusal was untrue."""
    assert report(model(node("Softmax", "s", axis=1), opset=opset)).verdict is Severity.OK


@pytest.mark.parametrize("asked", [{"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"output_shape": [32, 32]}])
def test_pads_that_follow_from_shapes_are_judged_as_numbers(asked: dict[str, Any]) -> None:
    """ConvTranspose was refused for SAME_UPPER, which computes something else where it is left to the compiler."""
    weights = numpy_helper.from_array(np.zeros((8, 4, 3, 3), np.float32), "k")
    made = model(helper.make_node("ConvTranspose", ["x", "k"], ["y"], "up", strides=[2, 2], **asked))
    made.graph.initializer.append(weights)
    assert not [item for item in report(made).findings if item.severity is Severity.ERROR]


@pytest.mark.parametrize("platform", ["rvc2", "rvc4"])
@pytest.mark.parametrize(
    ("op", "domain"), [("SkipLayerNormalization", "com.microsoft"), ("Conv", "com.microsoft.nchwc")]
)
def test_a_model_that_onnxruntime_optimised_is_called_so(platform: str, op: str, domain: str) -> None:
    """The remedy was to "replace  in the model", or a RuntimeError of the quantizer about a tensor."""
    item = Preflight(model(node(op, "fused", domain=domain))).report(platform).findings[0]
    assert (item.severity, item.subject) == (Severity.ERROR, "fused")
    assert "optimised by onnxruntime" in item.message
    assert "as it was exported" in item.remedy


def test_what_was_never_tried_is_a_warning() -> None:
    found = report(model(node("TfIdfVectorizer", "odd")))
    assert found.verdict is Severity.WARNING
    assert found.findings[0].code is Code.UNCERTAIN_OP


def test_an_older_opset_is_certain_where_the_operator_has_not_changed_since() -> None:
    """MaxRoiPool is in opset 20 what it was in 1; ArgMax became another in opset 11, the first that was measured."""
    assert report(model(node("MaxRoiPool", "wave"), opset=9)).findings[0].code is Code.UNSUPPORTED_OP
    table = tables()["rvc2"]
    assert asked_opset(node("MaxRoiPool", "wave"), 9, table) == 11
    assert asked_opset(node("ArgMax", "largest"), 9, table) == 9


def test_an_opset_newer_than_the_tables_is_asked_as_the_one_that_it_is_brought_to() -> None:
    """Exporters write opset 21 and above: no refusal was certain there, though most operators changed in types only."""
    assert report(model(node("MaxRoiPool", "wave"), opset=23)).findings[0].code is Code.UNSUPPORTED_OP
    table = tables()["rvc2"]
    assert asked_opset(node("Relu", "r"), 23, table) == 20
    assert asked_opset(node("Reshape", "r", made_later=1), 23, table) == 23


def test_a_form_of_an_operator_that_was_not_tried_is_no_yes() -> None:
    """A ConvTranspose whose weights are an input was called yes for RVC2, as other forms of it convert; it does not."""
    made = model(helper.make_node("ConvTranspose", ["x", "v"], ["y"], "up"))
    made.graph.input.append(helper.make_tensor_value_info("v", TensorProto.FLOAT, [8, 8, 3, 3]))
    found = [item for item in report(made).findings if item.subject == "up"]
    assert [item.severity for item in found] in ([Severity.WARNING], [Severity.ERROR])


def test_several_details_that_each_convert_are_likely_to_convert_together() -> None:
    rows = [
        ["Op", {"fp16": "11-20:0"}, {"a": ["float32 4-D"], "b": ["float32 4-D"], "": ["float32 4-D"]}],
        ["Op", {"fp16": "11-20:1"}, {"c": ["float32 4-D"], "b, d": ["float32 4-D"]}],
        ["Op", {"fp16": "11-20:0"}, {"d": ["float32 4-D"]}],
    ]
    made = Table({
        "platform": "p", "toolchain": "p/1", "opsets": [11, 20], "modes": ["fp16"], "cases": 1,
        "outcomes": [["ok", ""], ["failed", "no"]], "rows": rows,
    })  # fmt: skip

    def sure(details: str, tensors: str = "float32 4-D") -> bool:
        answer = made.ask(Variant("Op", details, tensors), 17, "fp16")
        assert answer is not None
        return answer.sure and not answer.outcome.is_bad

    assert sure("a, b")
    assert sure("a", "float32 3-D")
    assert not sure("a", "uint8 4-D")
    assert not sure("a, c")
    assert not sure("a, b, d")
    assert not sure("a, e")
    # Behind an operator that onnx does not know, neither type nor rank is known, and each InstanceNormalization was
    # doubted.
    assert sure("a", "")


def test_types_of_numbers_at_the_boundary_are_told_apart() -> None:
    """A map of uint16, as cameras give depth, was called yes: the compiler refuses it at the boundary."""
    made = model(helper.make_node("Cast", ["x"], ["y"], "cast", to=TensorProto.FLOAT))
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT16
    ((_, variant),) = Preflight(made).variants
    assert variant.details == "to float32, fed uint16"
    outward = model(helper.make_node("Cast", ["x"], ["y"], "cast", to=TensorProto.BOOL))
    outward.graph.output[0].type.tensor_type.elem_type = TensorProto.BOOL
    ((_, variant),) = Preflight(outward).variants
    assert variant.details == "to bool, given as bool"


def test_an_output_that_is_an_input_is_told() -> None:
    """A Dropout, or a Max of one tensor, leaves nothing to compile: the compiled network had one port for both."""
    for op in ("Dropout", "Max"):
        found = report(model(node(op, "nothing")))
        assert (found.findings[0].code, found.verdict) == (Code.PASSED_ON, Severity.WARNING)
    assert report(model(node("Identity", "a", y="b"), node("Relu", "r", x="b"))).verdict is Severity.OK


def test_what_where_chooses_from_is_told_apart() -> None:
    """RVC2 chooses among floats alone; the table knew the type of the condition only, which is always bool."""
    numbers = [helper.make_node("Less", ["x", "x"], ["c"]), helper.make_node("Where", ["c", "n", "n"], ["y"], "w")]
    made = model(*numbers)
    made.graph.input.append(helper.make_tensor_value_info("n", TensorProto.INT64, MAP))
    assert Preflight(made).variants[-1][1].details == "of int64"


def test_a_domain_that_nobody_knows_is_refused_unless_the_model_defines_it() -> None:
    made = model(helper.make_node("Wave", ["x"], ["y"], "wave", domain="my.domain"))
    assert report(made).findings[0].code is Code.UNKNOWN_DOMAIN
    body = [helper.make_node("Relu", ["a"], ["b"])]
    made.functions.append(helper.make_function("my.domain", "Wave", ["a"], ["b"], body, made.opset_import))
    assert report(made).verdict is Severity.OK


def test_weights_that_a_platform_cannot_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = PLATFORMS["rvc2"]
    monkeypatch.setitem(PLATFORMS, "rvc2", replace(facts, limits=replace(facts.limits, memory_mb=0)))
    made = model(helper.make_node("Conv", ["x", "w"], ["y"], "conv"), weights=1 << 17)
    assert report(made).findings[0].code is Code.WEIGHTS


def test_a_platform_without_a_table_says_so() -> None:
    found = report(model(node("Relu", "r")), "rvc2", "int4")
    assert [item.code for item in found.findings] == [Code.NOT_MEASURED]


def test_other_formats_are_not_looked_into() -> None:
    assert unread(other(SourceFormat.TFLITE), "rvc4").verdict is Severity.WARNING
    assert unread(other(SourceFormat.OPENVINO_IR, 10), "rvc2").verdict is Severity.WARNING
    assert unread(other(SourceFormat.OPENVINO_IR, 11), "rvc3").verdict is Severity.WARNING
    assert unread(other(SourceFormat.OPENVINO_IR, 11), "rvc4").verdict is Severity.ERROR


def test_an_ir_of_either_version_reaches_rvc3() -> None:
    """Version 10 was refused with "its tools take version 11", while OpenVINO 2022.3 reads both."""
    for version in (10, 11):
        (found,) = unread(other(SourceFormat.OPENVINO_IR, version), "rvc3").findings
        assert found.severity is Severity.WARNING


def other(form: SourceFormat, ir_version: int | None = None) -> SourceModel:
    file = Path("model.any")
    return SourceModel(form, file, (file,), "model", "0" * 64, 1, (), (), ir_version=ir_version)


def test_require_refuses_only_what_is_certain() -> None:
    with pytest.raises(UnsupportedModel, match="RVC2 cannot run the node 'wave'") as caught:
        require(model(node("MaxRoiPool", "wave")), "rvc2", "fp16")
    assert caught.value.subject == "wave"
    assert not require(model(node("MaxRoiPool", "wave")), "rvc2", None)
    (item,) = require(model(node("TfIdfVectorizer", "odd")), "rvc2", "fp16")
    assert item.subject == "odd"


def test_the_table_speaks_of_its_own_toolchain_alone() -> None:
    assert mode_of(Rvc2Spec(), ["rvc2/openvino-2022.2.0"]) == "fp16"
    assert mode_of(Rvc2Spec(), ["rvc2/openvino-2022.3.0"]) is None
    assert mode_of(Rvc2Spec(), ["mo/2022.2.0", "rvc2/openvino-2022.2.0"]) is None
    name = [tables()["rvc4"].toolchain]
    precisions = {"INT8": "int8", "FP16": "fp16", "INT8_INT16_MIXED": None, "INT8_ACCURACY_FOCUSED": "int8"}
    for precision, mode in precisions.items():
        assert mode_of(Rvc4Spec.model_validate({"target_precision": precision}), name) == mode


@pytest.fixture
def table() -> Table:
    return Table(
        {
            "platform": "p",
            "toolchain": "p/1",
            "opsets": [11, 20],
            "modes": ["fp16"],
            "cases": 3,
            "outcomes": [["ok", ""], ["failed", "no"]],
            "rows": [
                ["Op", {"fp16": "11-12:1 13-20:0"}, {"a": ["float32 4-D"]}],
                ["Op", {"fp16": "11-20:1"}, {"b": ["float32 4-D"]}],
                ["No", {"fp16": "18-20:1"}, {"": ["float32 4-D"]}],
            ],
        }
    )


def test_the_table_answers_exactly_then_by_likeness(table: Table) -> None:
    exact = table.ask(Variant("Op", "a", "float32 4-D"), 12, "fp16")
    assert exact == coverage.Answer(coverage.Outcome("failed", "no"), exact=True)
    alike = table.ask(Variant("Op", "b", "float32 3-D"), 17, "fp16")
    assert alike is not None
    assert (alike.exact, alike.outcome.is_bad) == (False, True)
    operator = table.ask(Variant("Op", "c", ""), 17, "fp16")
    assert operator is not None
    assert not operator.outcome.is_bad
    elsewhere = table.ask(Variant("No", "", "float32 4-D"), 17, "fp16")
    assert elsewhere is not None
    assert (elsewhere.exact, elsewhere.outcome.is_bad) == (False, True)
    assert table.ask(Variant("Other"), 17, "fp16") is None


def test_the_committed_tables_are_whole_and_small() -> None:
    assert {"rvc2", "rvc4"} <= set(tables())
    for path in coverage.FOLDER.glob("*.json"):
        assert path.stat().st_size < 200_000
    for item in tables().values():
        assert item.cases >= 120
        assert len({variant.op for variant, _ in item.variants()}) > 100


def test_reports_of_before_there_was_one_scale_are_read() -> None:
    finding = {
        "code": "uncertain_op",
        "level": "warning",
        "message": "m",
        "node": "n",
        "op": "Sin",
        "remedy": "",
        "others": [],
    }
    earlier = {"platform": "rvc2", "verdict": "with warnings", "mode": "fp16", "table": "t", "findings": [finding]}
    (found,) = reports_of({"preflight": {"rvc2": earlier}}).values()
    assert (found.verdict, found.findings[0].subject) == (Severity.WARNING, "n")
    assert reports_of({"preflight": {"rvc2": json.loads(json.dumps(found.as_dict()))}})["rvc2"] == found
    assert not reports_of({})


def test_a_remedy_can_be_pasted_as_it_is() -> None:
    """`--outputs a,b` was printed, and `convert` has a flag for each: "no tensor or node has that name"."""
    nodes = (
        node("Relu", "first", y="a b"),
        node("Neg", "second", y="c"),
        helper.make_node("GridSample", ["a b", "c"], ["d"], "bad", mode="bicubic"),
        helper.make_node("NonMaxSuppression", ["a b", "c"], ["y"], "nms"),
    )
    (item,) = (item for item in report(model(*nodes)).findings if item.subject == "nms")
    assert "(--outputs 'a b' --outputs c)" in item.remedy


@pytest.mark.parametrize(("of_shape", "is_told"), [(True, False), (False, True)], ids=["shape", "data"])
def test_an_if_that_shapes_decide_is_none(of_shape: bool, is_told: bool) -> None:
    """torch writes an If for a squeeze; once shapes are fixed it is not there any more, and check warned of it."""
    branches = {}
    for case, op in (("then_branch", "Relu"), ("else_branch", "Neg")):
        end = helper.make_tensor_value_info(case, TensorProto.FLOAT, None)
        branches[case] = helper.make_graph([node(op, op, y=case)], case, [], [end])
    total = node("Shape", "shape", y="sizes") if of_shape else node("Cast", "cast", y="sizes", to=TensorProto.INT64)
    nodes = (
        total,
        helper.make_node("ReduceMax", ["sizes"], ["largest"], "max", keepdims=0),
        helper.make_node("Cast", ["largest"], ["is"], "is", to=TensorProto.BOOL),
        helper.make_node("If", ["is"], ["y"], "case", **branches),
    )
    assert ("case" in {item.subject for item in report(model(*nodes)).findings}) is is_told


def test_what_a_table_was_measured_with_may_have_been_too_kind() -> None:
    """ONNX's suite showed RVC4 otherwise: 0^0, the nearest of two, six dimensions; the tables said yes to each."""
    power = report(model(helper.make_node("Pow", ["x", "x"], ["y"], "p")), "rvc4", "fp16")
    assert [(item.code, item.subject) for item in power.findings] == [(Code.UNCERTAIN_OP, "p")]
    assert "0^0" in power.findings[0].message
    wide = model(helper.make_node("Unsqueeze", ["x", "axes"], ["y"], "u"))
    wide.graph.initializer.append(numpy_helper.from_array(np.array([0, 1]), "axes"))
    assert "a tensor of 6 dimensions" in report(wide, "rvc4", "fp16").findings[0].message
    assert report(wide).verdict is Severity.OK


def test_a_network_that_gives_the_same_whatever_comes_in_is_refused_where_it_cannot_be() -> None:
    """RVC4's compiler has no Size, and was asked for nothing else; check said yes, as no node was left to look at."""
    made = model(node("Size", "s"))
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    found = report(made, "rvc4")
    assert [(item.code, item.severity) for item in found.findings] == [(Code.CONSTANT, Severity.ERROR)]
    assert [item.severity for item in report(made, "rvc2").findings] == [Severity.WARNING]

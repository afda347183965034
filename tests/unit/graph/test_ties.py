"""Which of equal scores TopK or ArgMax takes is no difference; everything else about a choice is one."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto

from oakmill.graph import equality, ties
from oakmill.graph.skeleton import infer_shapes
from tests.unit.graph.building import Array, parse

SCORES = np.array([[0.1, 1.0, 1.0, 0.3, 1.0, 0.9]], "f")


def model(body: str, outputs: str) -> ModelProto:
    constants = "int64[1] k = {2}, float[1,6] tops = {10, 20, 30, 40, 50, 60}"
    return infer_shapes(parse(body, inputs="float[1,6] x", outputs=outputs, constants=constants))


SOURCE = model("s = Identity(x) y, i = TopK(s, k)", "float[1,2] y, int64[1,2] i")
FEEDS = {"x": SCORES}


def asked(source: ModelProto, choice: Array, name: str = "i") -> dict[str, Array] | None:
    given = {**equality.run(source, FEEDS), name: choice}
    return ties.answers(source, FEEDS, source, FEEDS, given)


@pytest.mark.parametrize("choice", [[[1, 2]], [[4, 1]], [[2, 4]]])
def test_any_of_equal_scores_is_as_good(choice: list[list[int]]) -> None:
    """A saturated heatmap has many scores of 1.0: 60 % of its indices were out of tolerance, and nothing converted."""
    found = asked(SOURCE, np.array(choice, np.int32))
    assert found is not None
    assert found["i"].tolist() == choice


@pytest.mark.parametrize("choice", [[[1, 5]], [[1, 1]], [[1, 6]], [[-1, 1]]])
def test_a_lower_score_or_one_twice_or_none_is_a_difference(choice: list[list[int]]) -> None:
    assert asked(SOURCE, np.array(choice)) is None


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize(("choice", "good"), [(2, True), (4, True), (5, False)])
def test_the_largest_of_equals(keep: int, choice: int, good: bool) -> None:
    shape = [1, 1] if keep else [1]
    source = model(f"i = ArgMax<axis=1, keepdims={keep}>(x)", f"int64{shape} i")
    assert (asked(source, np.full(shape, choice)) is not None) == good


def test_a_choice_is_known_by_what_holds_it_in_its_order() -> None:
    """The exporter's Cast and Squeeze behind the indices, and a simplifier that took the tensor between away."""
    source = model("y, i = TopK(x, k) f = Cast<to=1>(i) o = Squeeze(f, z) z2 = Identity(o)", "float[2] z2")
    source.graph.initializer.append(source.graph.initializer[0])
    source.graph.initializer[-1].name = "z"
    source.graph.initializer[-1].ClearField("int64_data")
    source.graph.initializer[-1].ClearField("raw_data")
    source.graph.initializer[-1].int64_data.append(0)
    found = asked(infer_shapes(source), np.array([4, 2], "f"), "z2")
    assert found is not None
    assert found["z2"].tolist() == [4, 2]


def test_what_is_gathered_by_a_choice_follows_it() -> None:
    """A detector's boxes, taken by the indices of its best scores, which are no output."""
    source = model("y, i = TopK(x, k) b = GatherElements<axis=1>(tops, i)", "float[1,2] b")
    backwards = model("r = Neg(x) n, i = TopK<largest=0>(r, k) b = GatherElements<axis=1>(tops, i)", "float[1,2] b")
    for node in backwards.graph.node:
        if node.op_type == "TopK":
            node.output[0] = "n"
    given = equality.run(backwards, FEEDS)
    found = ties.answers(source, FEEDS, backwards, FEEDS, given)
    assert found is not None
    equality.require_equal(found, given)


def test_a_model_without_a_choice_has_no_answer() -> None:
    source = model("y = Relu(x)", "float[1,6] y")
    assert ties.answers(source, FEEDS, source, FEEDS, equality.run(source, FEEDS)) is None


def test_in_a_passport_only_choices_of_equal_scores_are_settled() -> None:
    """RVC2 was refused for indices at 7.9 dB, every one of them of a score of 1.0."""
    source = model("s = Identity(x) y, i = TopK(s, k) f = Cast<to=1>(i) z = Flatten(f)", "float[1,2] y, float[1,2] z")
    own = equality.run(source, FEEDS)
    found = {"y": own["y"], "z": np.array([[4, 5]], "f")}
    settled = ties.Choices(source).settled(FEEDS, own, found)
    assert settled["z"].tolist() == [[own["z"][0, 0], 5]]
    assert settled["y"] is own["y"]


@pytest.mark.parametrize("choice", [-1, 6, 70000])
def test_in_a_passport_an_index_of_nothing_stays_wrong(choice: int) -> None:
    own = equality.run(SOURCE, FEEDS)
    found = {**own, "i": np.array([[choice, own["i"][0, 1]]])}
    assert ties.Choices(SOURCE).settled(FEEDS, own, found)["i"].tolist() == found["i"].tolist()


def test_a_class_map_is_settled_where_its_scores_are_equal() -> None:
    scores = np.array([[[1.0, 5.0, 2.0], [1.0, 4.9, 2.0]]], "f")
    source = infer_shapes(parse("i = ArgMax<axis=1, keepdims=0>(x)", inputs="float[1,2,3] x", outputs="int64[1,3] i"))
    own = equality.run(source, {"x": scores})
    settled = ties.Choices(source).settled({"x": scores}, own, {"i": np.array([[1, 1, 1]], np.int32)})
    assert settled["i"].tolist() == [[0, 1, 0]]

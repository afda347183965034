"""What a network ends in says what its outputs are; what only looks so is said to be likely, or a guess."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from oakmill.graph import equality
from oakmill.heads import families
from oakmill.heads.families.base import Evidence, Family, Found, Sure
from oakmill.heads.families.texts import alphabet
from tests.unit.heads.families.ends import DENSE, SIGMOID, SOFTMAX, Step, convolution, doubling, ended, faces, model

SIZE = (64, 64)
DB: tuple[Step, ...] = (convolution(4), doubling(4, 2), ("Relu", {}), doubling(2, 1), SIGMOID)


def seen(network: ModelProto, **known: Any) -> Found | None:
    metadata = {item.key: item.value for item in network.metadata_props}
    return families.recognise(network, Evidence(metadata, SIZE, **known))


def normalised(shape: tuple[int, ...] = (1, 8)) -> ModelProto:
    nodes = [
        helper.make_node("MatMul", ["image", "weight"], ["vector"]),
        helper.make_node("ReduceL2", ["vector"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Clip", ["length", "least"], ["safe"]),
        helper.make_node("Div", ["vector", "safe"], ["out"]),
    ]
    weights = [
        numpy_helper.from_array(np.ones((64, 8), np.float32), "weight"),
        numpy_helper.from_array(np.array(1e-9, np.float32), "least"),
    ]
    return model(nodes, {"out": shape}, weights)


CERTAIN: list[tuple[ModelProto, str, dict[str, Any]]] = [
    (ended(DENSE, SOFTMAX), "classification", {"is_softmax": True, "n_classes": 8}),
    (ended(DENSE, SOFTMAX, ("Identity", {}), shape=("batch", 8)), "classification", {"n_classes": 8}),
    (ended(convolution(8), SOFTMAX, shape=(1, 8, 1, 1), opset=9), "classification", {"n_classes": 8}),
    (ended(DENSE, shape=(1, 4), character="0\n90\n180\n270"), "classification", {"classes": ["0", "90", "180", "270"]}),
    (ended(DENSE, shape=(1, "T", 12), character="\n".join("0123456789")), "text",
     {"is_softmax": False, "ignored_indexes": [0], "classes": ["[blank]", *"0123456789", " "]}),
    (ended(*DB, shape=("a", "b", "c", "d"), producer="PaddlePaddle"), "text-detection", {"classes": ["text"]}),
    (ended(convolution(5), SOFTMAX, shape=(1, 5, 64, 64)), "segmentation", {"is_softmax": True, "n_classes": 5}),
    (ended(convolution(5), ("ArgMax", {"axis": 1, "keepdims": 0}), shape=(1, 64, 64), kind=TensorProto.INT64),
     "segmentation", {"classes_in_one_layer": True, "n_classes": 5}),
    (ended(convolution(1), name="pred_depth", shape=(1, 1, 32, 32)), "depth", {"min_max_scaling": False}),
    (ended(convolution(3), name="outputImage", shape=(1, 3, 128, 128)), "image", {"output_is_bgr": False}),
    (ended(DENSE, ("LpNormalization", {})), "embedding", {}),
    (normalised(), "embedding", {}),
]  # fmt: skip
LIKELY = [
    (ended(DENSE, name="logits"), "classification"),
    (ended(DENSE, shape=(1, 1000)), "classification"),
    (ended(DENSE, SIGMOID), "classification"),
    (ended(DENSE, name="features"), "embedding"),
    (ended(DENSE, ("Softmax", {"axis": 2}), shape=(1, 16, 40)), "text"),
    (ended(*DB, shape=(1, 1, 64, 64)), "text-detection"),
    (ended(convolution(5), name="seg_map", shape=(1, 5, 32, 32)), "segmentation"),
    (ended(convolution(17), name="heatmaps", shape=(1, 17, 16, 16)), "heatmaps"),
    (ended(convolution(1), shape=(1, 1, 50, 7)), "ssd"),
]
GUESSES = [
    (ended(DENSE, shape=(1, 10)), "classification"),
    (ended(DENSE, shape=(1, 128)), "embedding"),
    (ended(DENSE, shape=(1, 21, 78)), "text"),
    (ended(convolution(5), shape=(1, 5, 64, 64)), "segmentation"),
    (ended(convolution(17), shape=(1, 17, 16, 16)), "heatmaps"),
    (ended(convolution(3), shape=(1, 3, 64, 64)), "image"),
]
UNCERTAIN = [(*row, Sure.LIKELY) for row in LIKELY] + [(*row, Sure.GUESS) for row in GUESSES]
NOTHING = [
    ended(DENSE, shape=(1, 3)),  # three angles
    ended(DENSE, name="landmarks", shape=(1, 136)),
    ended(DENSE, shape=(1, 56, 84)),  # a detector's rows: 84 cells
    ended(convolution(6), SOFTMAX, shape=(1, 6, 8, 8), opset=11),  # over all that follows, not over classes
    ended(convolution(4), shape=(1, 4, 32, 32)),
    ended(convolution(1), SIGMOID, shape=(1, 1, 64, 64)),  # may be anything between 0 and 1
    ended(convolution(1), name="depth", shape=(1, 1, 32, 32), kind=TensorProto.INT32),
]


@pytest.mark.parametrize(("network", "family", "metadata"), CERTAIN)
def test_what_a_graph_or_its_file_says_is_certain(network: ModelProto, family: str, metadata: dict[str, Any]) -> None:
    found = seen(network)
    assert found is not None
    assert (found.family, found.sure) == (family, Sure.CERTAIN)
    assert found.cut(network, "rvc4") is network
    names = found.names or tuple(map(str, range(found.classes)))
    (head,) = found.heads(names)
    assert head["outputs"] == [network.graph.output[0].name]
    assert metadata.items() <= head["metadata"].items()


@pytest.mark.parametrize(("network", "family", "sure"), UNCERTAIN)
def test_what_looks_so_is_told_and_the_users_word_makes_it_certain(
    network: ModelProto, family: str, sure: Sure
) -> None:
    found, said = seen(network), seen(network, wanted=family)
    assert found is not None and said is not None
    assert (found.family, found.sure, said.sure) == (family, sure, Sure.CERTAIN)


@pytest.mark.parametrize("network", NOTHING)
def test_nothing_is_made_of_what_may_be_anything(network: ModelProto) -> None:
    assert seen(network) is None


@pytest.mark.parametrize("network", [row[0] for row in (*CERTAIN, *LIKELY, *GUESSES)])
def test_what_is_no_image_has_no_head_for_a_camera(network: ModelProto) -> None:
    found = families.recognise(network, Evidence())
    assert found is None or found.family == "ssd"


def test_as_many_names_as_numbers_say_what_a_vector_is() -> None:
    """Ten numbers may be five points; who names ten classes says that they are scores."""
    for network, family in ((ended(DENSE, shape=(1, 10)), "classification"), (GUESSES[3][0], "segmentation")):
        found = seen(network, named=10 if family == "classification" else 5)
        assert found is not None
        assert (found.family, found.sure) == (family, Sure.CERTAIN)


@pytest.mark.parametrize("row", families.ROWS)
def test_a_family_that_is_forced_on_another_graph_is_none(row: Family) -> None:
    network = ended(convolution(4), shape=(1, 4, 7, 9), kind=TensorProto.INT8)
    assert families.recognise(network, Evidence({}, SIZE, row.name)) is None


def test_several_outputs_are_no_ones_only_output() -> None:
    nodes = [helper.make_node("Softmax", ["image"], [name]) for name in "ab"]
    assert seen(model(nodes, {"a": (1, 8), "b": (1, 8)})) is None


def test_scrfd_is_known_by_its_rows_and_gets_the_names_that_its_parser_looks_up() -> None:
    """insightface's exports call the outputs by numbers, and SCRFDParser asks for score_8."""
    words = [f"{word}_{stride}" for word in ("score", "bbox", "kps") for stride in (8, 16, 32)]
    named, numbered = (
        faces({word: word for word in words}),
        faces({word: str(448 + at) for at, word in enumerate(words)}),
    )
    found = seen(numbered)
    assert found is not None
    assert (found.family, found.sure, found.ends) == ("scrfd", Sure.CERTAIN, tuple(words))
    ended_so = found.cut(numbered, "rvc2")
    checker.check_model(ended_so)
    image = {"image": np.random.default_rng(0).random((1, 3, 64, 64), np.float32)}
    before, after = equality.run(numbered, image), equality.run(ended_so, image)
    assert list(after) == words
    assert found.apart(before, after) == 0
    assert found.apart(before, {**after, "kps_8": after["kps_8"] + 1}) > 0.9
    (head,) = found.heads(found.names)
    assert (head["metadata"]["num_anchors"], head["metadata"]["classes"]) == (2, ["face"])
    same = seen(named)
    assert same is not None
    assert same.cut(named, "rvc2") is named
    assert families.recognise(numbered, Evidence({}, (32, 64))) is None


def test_palms_are_known_by_their_anchors() -> None:
    nodes = [helper.make_node("Identity", ["image"], [name]) for name in ("boxes", "scores")]
    network = model(nodes, {"boxes": (1, 2016, 18), "scores": (1, 2016, 1)}, side=192)
    found = families.recognise(network, Evidence({}, (192, 192)))
    assert found is not None
    assert (found.family, found.heads(found.names)[0]["metadata"]["scale"]) == ("palm", 192)
    assert families.recognise(network, Evidence({}, (128, 128))) is None


@pytest.mark.parametrize(
    ("text", "classes", "last"),
    [("a\nb", 3, "b"), ("a\nb", 4, " "), ("a\n\u2028\nb", 5, " "), ("a\nb", 5, ""), ("", 1, "")],
)
def test_an_alphabet_has_the_blank_first_and_maybe_a_space_last(text: str, classes: int, last: str) -> None:
    found = alphabet(text, classes)
    assert len(found) in (0, classes)
    assert (found[-1] if found else "") == last

"""The lines for the camera print what the head says: boxes with names, classes, or bare tensors."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from oakmill.registry.tables import Instance
from oakmill.web.views import snippets

YOLO: dict[str, Any] = {
    "parser": "YOLO",
    "metadata": {"classes": ["person", "Käse \"1\""], "n_classes": 2, "conf_threshold": 0.4, "anchors": None},
}  # fmt: skip


def instance(*heads: dict[str, Any], archive: bool = True) -> Instance:
    return Instance(is_nn_archive=archive, facts={"heads": list(heads)}, input_shape=[[1, 3, 320, 416]])


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        ((), "dai.node.NeuralNetwork"),
        ((YOLO,), "print(f\"{box.labelName} {box.confidence:.2f}\""),
        (({"parser": "ClassificationParser"},), "found.getTopClass()"),
        (({"parser": "SomethingElse"},), "ParsingNeuralNetwork"),
        (({"parser": "A"}, {"parser": "B"}), "network.outputs.createOutputQueue()"),
    ],
)  # fmt: skip
def test_an_archives_lines_follow_its_head(heads: tuple[dict[str, Any], ...], words: str) -> None:
    text = snippets.running(instance(*heads))
    ast.parse(text)
    assert words in text


def test_a_bare_blob_is_decoded_by_version_2_with_its_names() -> None:
    anchors = [[[10, 13], [16, 30], [33, 23]], [[30, 61], [62, 45], [59, 119]], [[116, 90], [156, 198], [373, 326]]]
    head = {**YOLO, "metadata": {**YOLO["metadata"], "anchors": anchors}}
    text = snippets.blob(instance(head, archive=False), "it's.blob")
    ast.parse(text)
    for words in (
        'names = ["person", "Käse \\"1\\""]', "setPreviewSize(416, 320)", "setNumClasses(2)", '"it\'s.blob"',
        "'side52': [0, 1, 2], 'side26': [3, 4, 5], 'side13': [6, 7, 8]", "setConfidenceThreshold(0.4)",
    ):  # fmt: skip
        assert words in text
    for other in ({"parser": "ClassificationParser", "metadata": {}}, {**YOLO, "metadata": {"angles_outputs": ["a"]}}):
        bare = snippets.blob(instance(other, archive=False), "it.blob")
        ast.parse(bare)
        assert "NeuralNetwork)" in bare


def test_names_beyond_those_that_the_hub_notes_are_numbers() -> None:
    many = {**YOLO, "metadata": {**YOLO["metadata"], "n_classes": 5}}
    text = snippets.blob(instance(many, archive=False), "it.blob")
    line = next(line for line in text.splitlines() if line.startswith("names = "))
    assert eval(line.removeprefix("names = "))[2:] == ["class 2", "class 3", "class 4"]


@pytest.mark.parametrize(
    "said",
    [
        {"conf_threshold": "0.5)\nimport os  #"}, {"iou_threshold": "0.5)\nimport os  #"}, {"n_classes": None},
        {"n_classes": "2)\nimport os  #"}, {"anchors": [["import os"]]}, {"anchors": [[["import os", 1]]]},
        {"strides": [0], "anchors": [[[1, 2]]]}, {"strides": "abc", "anchors": [[[1, 2]]]}, {"conf_threshold": "nan"},
        {"classes": {"a": 1}},
    ],
)  # fmt: skip
def test_what_cannot_be_read_in_somebodys_head_is_not_in_the_lines(said: dict[str, Any]) -> None:
    """A threshold of an archive was written into code that people copy and run, and a stride of 0 ended the page."""
    head = {**YOLO, "metadata": {**YOLO["metadata"], **said}}
    text = snippets.blob(instance(head, archive=False), "it.blob")
    assert "import os" not in text
    assert "NeuralNetwork)" in text
    ast.parse(text)


def test_a_head_without_its_number_of_classes_is_the_node_alone() -> None:
    for metadata in ({"classes": ["a"]}, None, [1]):
        head = {"parser": "YOLO", "metadata": metadata}
        assert "NeuralNetwork)" in snippets.blob(instance(head, archive=False), "it.blob")


def test_thresholds_that_are_null_are_the_usual_ones() -> None:
    head = {**YOLO, "metadata": {**YOLO["metadata"], "conf_threshold": None}}
    assert "setConfidenceThreshold(0.5)" in snippets.blob(instance(head, archive=False), "it.blob")

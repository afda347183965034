"""Texts: characters step by step as CTC gives them, and regions of text as PaddleOCR's detectors find them."""

from __future__ import annotations

from functools import partial

from onnx import ModelProto

from oakmill.heads.decoders import cells_of
from oakmill.heads.families.base import Evidence, Sure
from oakmill.heads.families.described import Described, Graph, Output, attribute, sure_of
from oakmill.heads.families.logits import Logits

TEXT, TEXT_DETECTION = "text", "text-detection"
BLANK = "[blank]"
"""The name of CTC's class for nothing, which PaddleOCR has first; the parser leaves it out."""
SPACE = " "
FEWEST_CLASSES = 11
"""Of a reader: ten digits and the blank."""
MASK_THRESHOLD, BOX_THRESHOLD, MOST_BOXES = 0.25, 0.5, 100
"""The defaults of PPTextDetectionParser in depthai-nodes 0.7.0."""
DOUBLED = [2, 2]


def find_text(model: ModelProto, evidence: Evidence) -> Described | None:
    """Scores of characters at each step, [1, T, K], as a model's only output."""
    output = Graph(model).only
    if evidence.size is None or output is None or not output.is_float or len(output.shape) != 3:
        return None
    classes = output.shape[2] or 0
    if output.shape[0] != 1 or classes < FEWEST_CLASSES:
        return None
    names = alphabet(evidence.metadata.get("character", ""), classes)
    sure, seen = _read(output, evidence, named=bool(names))
    if sure is None and evidence.wanted != TEXT:
        return None
    metadata = {
        "is_softmax": False, "ignored_indexes": [0], "remove_duplicates": True, "concatenate_classes": True,
    }  # fmt: skip
    kind = partial(Logits, axis=2) if output.softmax_axis() == 2 else Described
    return kind(
        TEXT, f"a reader of text of {classes} characters, the first being CTC's blank", seen,
        sure_of(evidence, TEXT, sure or Sure.GUESS), (output.name,), "ClassificationSequenceParser", metadata,
        classes, names,
    )  # fmt: skip


def _read(output: Output, evidence: Evidence, *, named: bool) -> tuple[Sure | None, str]:
    if named:
        return Sure.CERTAIN, "the file lists the characters"
    if evidence.named and 0 <= (output.shape[2] or 0) - evidence.named <= 2:
        return Sure.CERTAIN, "--classes names the characters"
    if output.softmax_axis() == 2:
        return Sure.LIKELY, "a Softmax over many classes at each step"
    steps = output.shape[1]
    cells = cells_of(evidence.size) if evidence.size else 0  # of a detector's rows, which are no steps
    few = steps is not None and 1 < steps < (output.shape[2] or 0) and output.shape[2] != cells
    return (Sure.GUESS, f"scores of {output.shape[2]} classes at each of {steps} steps") if few else (None, "")


def alphabet(text: str, classes: int) -> tuple[str, ...]:
    """The characters by their class, as models of RapidOCR and PaddleX carry them; empty where they do not fit.

    Args:
        text: one character a line; CTC's blank stands before them, and a space behind where PaddleOCR was told so.
        classes: how many there are.
    """
    for lines in (text.split("\n"), text.splitlines()):
        if text and classes - len(lines) in (1, 2):
            return (BLANK, *lines, SPACE)[:classes]
    return ()


def find_text_detection(model: ModelProto, evidence: Evidence) -> Described | None:
    """Regions of text [1, 1, H, W] at the image's size, as the head of DB gives them: doubled twice, and a Sigmoid."""
    output = Graph(model).only
    if evidence.size is None or output is None or not output.is_float or not output.map or output.map[0] != 1:
        return None
    is_db = output.ends_in("Sigmoid") and _doubled_twice(output)
    if not is_db and (evidence.wanted != TEXT_DETECTION or not output.ends_in("Sigmoid")):
        return None
    paddle = model.producer_name == "PaddlePaddle" or output.name.startswith(("fetch_name", "sigmoid_", "save_infer"))
    sure = Sure.CERTAIN if is_db and paddle else Sure.LIKELY
    seen = "a map that is doubled twice before a Sigmoid" + (", written by PaddlePaddle" if paddle else "")
    metadata = {
        "iou_threshold": 0.5, "conf_threshold": BOX_THRESHOLD, "max_det": MOST_BOXES, "mask_threshold": MASK_THRESHOLD,
        "anchors": None,
    }  # fmt: skip
    return Described(
        TEXT_DETECTION, "a detector of text (DB, as of PaddleOCR)", seen, sure_of(evidence, TEXT_DETECTION, sure),
        (output.name,), "PPTextDetectionParser", metadata, 1, ("text",),
    )  # fmt: skip


def _doubled_twice(output: Output) -> bool:
    """Whether two transposed convolutions of step 2 stand before the Sigmoid, with no other convolution between."""
    graph, node = output.graph, output.last
    for _ in range(2):
        passed = ("Add", "BatchNormalization", "Relu", "Identity")
        node = graph.maker(node.input[0], *passed) if node is not None and node.input else None
        if node is None or node.op_type != "ConvTranspose" or list(attribute(node, "strides", [])) != DOUBLED:
            return False
    return True

"""What is told of a parser's answers: what it finds, what it invents, and by which names."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from oakmill.conversion.passport import HeldOut, Passport, parsers, read
from oakmill.conversion.passport.parsers import Answer, BoxesFound, ParserAgreement
from oakmill.findings import Severity
from oakmill.heads.boxes import Boxes
from oakmill.heads.values import Candidates

NAMES = ("cat", "dog")


def boxes(*rows: tuple[float, float, float, float, float, int]) -> Boxes:
    table = np.array([row[:5] for row in rows], np.float64).reshape(-1, 5)
    return Boxes(table[:, :4], table[:, 4], np.array([row[5] for row in rows], np.int64))


SEEN = boxes((0.1, 0.1, 0.3, 0.3, 0.9, 0), (0.5, 0.5, 0.9, 0.9, 0.8, 1), (0.0, 0.6, 0.2, 0.9, 0.7, 1))


def answer(found: Boxes, names: tuple[str, ...] = NAMES) -> Answer:
    return Answer(found, tuple(names[index] for index in found.labels))


def row(candidates: Boxes, said: Answer, threshold: float = 0.5) -> ParserAgreement:
    counts = BoxesFound(NAMES, threshold, 0.5)
    counts.add("photo", Candidates(candidates), said)
    return counts.agreement(head=0, parser="YOLO", node="parser", kind="detection", images=1)


def codes(found: ParserAgreement, expected: float = 1.0) -> list[str]:
    return [finding.code for finding in parsers.findings(found, expected)]


def test_a_parser_that_sees_the_same_is_right() -> None:
    found = row(SEEN, answer(SEEN))
    assert (found.boxes, found.found, found.extra, found.named, found.mean_iou) == (3, 3, 0, 1.0, 1.0)
    assert codes(found) == []
    assert "3 of the float model's 3 boxes on 1 images, mean overlap 1.000, class names right" in found.words
    assert {seen.matched for seen in found.worst[0].candidate.seen} == {True}


def test_what_the_parser_misses_is_an_error() -> None:
    found = row(SEEN, answer(SEEN[:1]))
    (finding,) = parsers.findings(found)
    assert (finding.code, finding.severity) == ("parser_misses", Severity.ERROR)
    assert "1 of the float model's 3 boxes" in finding.message


def test_what_a_quantization_lost_is_no_fault_of_the_head() -> None:
    assert codes(row(SEEN, answer(SEEN[:1])), expected=0.4) == []


def test_one_box_is_chance() -> None:
    assert codes(row(SEEN, answer(SEEN[:2]))) == []


def test_what_the_parser_invents_is_an_error() -> None:
    made_up = boxes(*((0.3, 0.01 * place, 0.5, 0.1 + 0.01 * place, 0.9, 0) for place in range(9)))
    said = answer(Boxes(*(np.concatenate(pair) for pair in zip(parts(SEEN), parts(made_up), strict=True))))
    assert codes(row(SEEN, said)) == ["parser_invents"]


def parts(found: Boxes) -> tuple[Any, Any, Any]:
    return found.corners, found.scores, found.labels


def test_shuffled_names_are_an_error() -> None:
    """The same boxes under exchanged names: an app would say dog of each cat."""
    found = row(SEEN, answer(SEEN, ("dog", "cat")))
    assert found.named == 0
    assert codes(found) == ["parser_names"]


def test_scores_at_the_threshold_count_for_nobody() -> None:
    """A processor rounds: a box at 0.501 may come out at 0.499, and one at 0.499 as 0.501."""
    here, there = SEEN[:1], boxes((0.5, 0.5, 0.9, 0.9, 0.501, 1))
    both = boxes((0.1, 0.1, 0.3, 0.3, 0.9, 0), (0.5, 0.5, 0.9, 0.9, 0.499, 1))
    assert row(boxes((0.1, 0.1, 0.3, 0.3, 0.9, 0), (0.5, 0.5, 0.9, 0.9, 0.501, 1)), answer(here)).boxes == 1
    assert row(both, answer(Boxes(*map(np.concatenate, zip(parts(here), parts(there), strict=True))))).extra == 0


def test_of_two_classes_in_one_place_depthai_keeps_one() -> None:
    """depthai leaves doubles out whatever their classes, after it cut them off at the image's edge."""
    candidates = boxes((0.1, 0.1, 0.3, 0.3, 0.9, 0), (0.1, 0.1, 0.3, 0.31, 0.8, 1))
    found = row(candidates, answer(candidates[:1]))
    assert (found.boxes, found.found, found.beside) == (1, 1, 1)
    edge = boxes((-0.8, 0.1, 0.2, 0.3, 0.9, 0), (-0.1, 0.1, 0.2, 0.3, 0.8, 0))
    assert row(edge, answer(boxes((0.0, 0.1, 0.2, 0.3, 0.9, 0)))).boxes == 1


def test_a_float_model_that_sees_little_is_asked_from_a_lower_score() -> None:
    few = boxes(*((0.05 * place, 0.1, 0.05 * place + 0.04, 0.2, 0.3 - 0.01 * place, 0) for place in range(10)))
    assert math.isclose(parsers.threshold_for([few], 0.5, 0.5), 0.19)
    assert parsers.threshold_for([boxes()], 0.5, 0.5) == 0.5
    many = boxes(*((0.05 * place, 0.1, 0.05 * place + 0.04, 0.2, 0.8, 0) for place in range(20)))
    assert parsers.threshold_for([many], 0.5, 0.5) == 0.5


def test_nonsense_is_left_out() -> None:
    """A parser may print what is no number; it finds nothing then."""
    nonsense = {"label": 0, "name": "cat", "score": math.nan, "corners": [0.1, math.inf, 0.3, 0.3]}
    assert len(Answer.of({"detections": [nonsense]}).boxes) == 0
    assert codes(row(SEEN, Answer.of({"detections": [nonsense]}))) == ["parser_misses"]


def test_a_passport_with_it_is_read_back() -> None:
    found = Passport("rvc4", HeldOut("photos", ("photo",)), parsers=(row(SEEN, answer(SEEN)), ParserAgreement(1, "X")))
    plain = json.loads(json.dumps(found.as_dict(drawings=True)))
    assert "3 of the float model's 3 boxes" in plain["parsers"][0]["words"]
    again = read(plain)
    assert again.as_dict(drawings=True) == found.as_dict(drawings=True)
    assert again.parsers[0] == found.parsers[0]

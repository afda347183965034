"""One scale of severity, which documents written before it are brought to."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from oakmill.findings import Finding, Severity, finding_of, severity_of, worst_first, worst_of


@pytest.mark.parametrize(
    ("severity", "words"),
    [
        (Severity.OK, ("ok", "pass", "green", "yes")),
        (Severity.NOTE, ("note", "info")),
        (Severity.WARNING, ("warning", "warn", "amber", "with warnings")),
        (Severity.ERROR, ("error", "fail", "red", "no")),
    ],
)
def test_every_word_of_before_is_a_severity(severity: Severity, words: tuple[str, ...]) -> None:
    assert {severity_of(word) for word in words} == {severity}


def test_other_words_are_no_severity() -> None:
    with pytest.raises(ValueError, match="purple"):
        severity_of("purple")


def test_a_verdict_is_the_worst_and_notes_do_not_count() -> None:
    assert worst_of([]) is Severity.OK
    assert worst_of([Severity.NOTE, Severity.OK]) is Severity.OK
    assert worst_of([Severity.NOTE, Severity.ERROR, Severity.WARNING]) is Severity.ERROR


def test_the_worst_come_first_and_keep_their_order() -> None:
    words = ["note", "error", "warning", "error"]
    found = [Finding(str(place), severity_of(word), "") for place, word in enumerate(words)]
    assert [item.code for item in worst_first(found)] == ["1", "3", "2", "0"]


def test_findings_come_back_from_json() -> None:
    found = Finding("few", Severity.WARNING, "5", "Few", "more", "x", ("y",), {"count": 5})
    assert finding_of(json.loads(json.dumps(asdict(found)))) == found


def test_a_preflights_finding_of_before_is_read() -> None:
    earlier = {"code": "unsupported_op", "level": "error", "message": "Sin", "node": "wave", "op": "Sin"}
    found = finding_of(earlier)
    assert found == Finding("unsupported_op", Severity.ERROR, "Sin", subject="wave", evidence={"op": "Sin"})

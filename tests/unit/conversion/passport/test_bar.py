"""AUTO gave a detector in FP16 whose boxes 8 bits kept: a warning of what might go wrong decided, not the boxes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oakmill.conversion.passport import Check, Passport, bar
from oakmill.conversion.passport.labelled import Accuracy
from oakmill.conversion.passport.labelled.accuracy import Score
from oakmill.conversion.passport.metric import Metric
from oakmill.conversion.passport.report import HeldOut
from oakmill.conversion.passport.tasks import TaskAgreement
from oakmill.findings import Finding, Severity

WARNED = Finding("joined_scales", Severity.WARNING, "the small ones have 37 steps", "One scale")
WRONG = Finding("differs", Severity.ERROR, "the file computes something else", "Another file")


def check(name: str, agreement: float, images: int) -> Check:
    metric = Metric("f1", "box agreement", agreement, ok=0.95, error=0.8)
    task = TaskAgreement("Detection", "detection", (), {"f1": metric}, images, "as its head says")
    return Check(name, name, (), 25.0, 15.0, tasks=(task,))


def passport(*checks: Check, finding: Finding = WARNED) -> Passport:
    return Passport("rvc4", HeldOut("photos", tuple(map(str, range(64)))), checks, findings=(finding,))


def test_decisions_that_stay_the_same_are_fit_whatever_was_feared() -> None:
    found = passport(check("QDQ", 0.98, 64), check("HTP", float("nan"), 1))
    assert found.verdict is Severity.WARNING
    assert bar.is_fit(found, None)
    assert not bar.is_fit(found, 0.01)
    assert bar.is_fit(found, 0.02)


@pytest.mark.parametrize(
    ("checks", "finding"),
    [
        ((check("QDQ", 0.94, 64),), WARNED),  # not the same decisions
        ((check("QDQ", 0.98, 15),), WARNED),  # too few images to say
        ((check("QDQ", 0.98, 64), check("HTP", 0.5, 4)), WARNED),  # the finished file decides otherwise
        ((check("QDQ", 0.98, 64),), WRONG),
    ],
)
def test_what_is_not_shown_to_be_the_same_is_not(checks: tuple[Check, ...], finding: Finding) -> None:
    assert not bar.is_fit(passport(*checks, finding=finding), None)


def test_labels_of_something_else_prove_nothing() -> None:
    """A detector was tried on boxes of other classes: it lost nothing of an AP of 0.0001, and AUTO took it."""
    accuracy = Accuracy("Detection", "detection", 64, "929 boxes", (Score("AP", "AP", 0.0001, 0.0),), "by number")
    lost = replace(check("QDQ", 0.35, 64), accuracies=(accuracy,))
    found = bar.held(passport(lost), None)
    assert "labels_foreign" in {finding.code for finding in found.findings}
    assert not bar.is_fit(found, None)
    drop = bar.drop_of(found)
    assert drop is not None
    assert not drop.by_labels
    known = replace(accuracy, scores=(Score("AP", "AP", 0.4, 0.399),))
    fit = bar.held(passport(replace(lost, accuracies=(known,))), None)
    assert bar.is_fit(fit, None)
    assert fit.findings == (WARNED,)

"""The number format that is advised among those that were made: the fastest that keeps the accuracy, and why."""

from __future__ import annotations

import math
from dataclasses import replace

from oakmill.conversion.passport import choice
from oakmill.conversion.passport.ladder import Rung
from oakmill.findings import Severity


def rung(precision: str, verdict: Severity = Severity.OK, *, kept: float = math.nan, ms: float = math.nan) -> Rung:
    return Rung(
        precision,
        verdict,
        "worst output 40.0 dB",
        3_100_000,
        fit=verdict is Severity.OK,
        kept=kept,
        lost=1 - kept,
        milliseconds=ms,
    )


def test_the_fastest_that_is_ok_and_the_one_that_keeps_more() -> None:
    rows = [rung("INT8", kept=0.992, ms=1.23), rung("FP16", kept=1.0, ms=3.4)]
    assert choice.in_words("RVC4", rows) == (
        "RVC4: take INT8: keeps 99.2%, 3.10 MB, about 1.2 ms, the fastest that keeps the accuracy. "
        "FP16 where every decision counts: keeps 100.0%, 3.10 MB, about 3.4 ms."
    )


def test_what_is_expected_to_be_faster_goes_before_the_order() -> None:
    taken = choice.best([rung("INT8", kept=1.0, ms=6.3), rung("INT16", kept=1.0, ms=3.3)])
    assert taken is not None
    assert taken.precision == "INT16"


def test_without_an_expected_time_the_order_decides() -> None:
    taken = choice.best([rung("INT8", kept=0.99), rung("FP16", kept=1.0, ms=0.1)])
    assert taken is not None
    assert taken.precision == "INT8"


def test_of_one_that_is_ok_and_one_that_is_not() -> None:
    rows = [rung("INT8", Severity.ERROR, kept=0.4), rung("FP16", kept=0.999)]
    assert (
        choice.in_words("RVC3", rows) == "RVC3: take FP16: keeps 99.9%, 3.10 MB, the only one that keeps the accuracy."
    )


def test_where_none_is_ok_it_says_so() -> None:
    rows = [rung("INT8", Severity.ERROR, kept=0.4), rung("FP16", Severity.WARNING, kept=0.9)]
    said = choice.in_words("RVC4", rows)
    assert said.startswith("RVC4: none is ok; FP16 loses least (keeps 90.0%, 3.10 MB).")


def test_what_keeps_the_decisions_and_has_a_warning_is_taken_with_a_word() -> None:
    """A colour that may be wrong changes no decision against the float model, and is to be looked at all the same."""
    warned = replace(rung("FP16", Severity.WARNING, kept=1.0), fit=True)
    assert choice.advice([warned]) == "take FP16: keeps 100.0%, 3.10 MB. Its passport warns; read it first."


def test_one_alone_that_is_not_ok_is_compared_with_none() -> None:
    said = choice.in_words("RVC2", [rung("FP16", Severity.WARNING)])
    assert said == "RVC2: FP16 is not ok: worst output 40.0 dB, 3.10 MB. Read its passport before use."


def test_what_was_not_made_is_no_choice() -> None:
    assert choice.in_words("RVC2", [Rung("FP16", refused="no such operator")]) == ""
    assert choice.in_words("RVC2", [rung("FP16")]) == "RVC2: take FP16: worst output 40.0 dB, 3.10 MB."

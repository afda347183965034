"""What a ladder tells of its formats in words: why one was passed over, and why no time is expected of it."""

from __future__ import annotations

from oakmill.conversion.passport.ladder import Rung, notes
from oakmill.findings import Severity


def test_a_format_whose_number_is_perfect_and_that_is_passed_over_says_why() -> None:
    """AUTO went on from INT8 with "box agreement 100.0 %" to FP16 without a word: four boxes prove little."""
    passed = Rung("INT8_STANDARD", Severity.WARNING, "box agreement (F1) 100.0 %", 10**6, unfit="'y' has 18 dB")
    taken = Rung("FP16_STANDARD", Severity.OK, "box agreement (F1) 100.0 %", 2 * 10**6, fit=True, untimed="not known")
    assert passed.words.endswith("1.00 MB; goes on: 'y' has 18 dB")
    assert taken.words.endswith("2.00 MB; taken")
    assert notes([passed, taken]) == ("INT8_STANDARD is not taken: 'y' has 18 dB", "FP16_STANDARD: not known")

"""A finished DLC is compared with its own simulation, on the same images."""

from __future__ import annotations

import math

import pytest

from oakmill.conversion.passport import OutputAgreement
from oakmill.conversion.rvc4.methods import DIFFERS, differs
from oakmill.findings import Severity


def output(snr: float, largest: float = 1.0) -> OutputAgreement:
    return OutputAgreement("out", snr, 1.0, largest, "image", snr)


@pytest.mark.parametrize(
    ("simulated", "file", "largest", "severity"),
    [
        (35.0, 33.0, 1.0, None),
        (43.0, 25.0, 1.0, None),  # good enough, however much better the simulation is
        (18.0, 13.0, 1.0, None),  # what a softmax makes of other rounding
        (18.0, 10.0, 1.0, Severity.WARNING),
        (35.0, 2.0, 1.0, Severity.ERROR),
        (35.0, math.nan, math.nan, Severity.ERROR),
        (35.0, 2.0, 0.01, None),  # apart by less than some steps of the number format
    ],
)
def test_a_file_that_does_not_compute_what_was_simulated(
    simulated: float, file: float, largest: float, severity: Severity | None
) -> None:
    found = differs(output(simulated), output(file, largest), step=0.03)
    assert (found and found.severity) is severity
    assert found is None or (found.code, found.subject) == (DIFFERS, "out")

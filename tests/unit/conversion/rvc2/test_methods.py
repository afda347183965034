"""A fault in what RVC2's compiler gets is told by the proof, which runs the same network on OpenVINO's CPU plugin."""

from __future__ import annotations

import pytest

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import Images, SampleSet
from oakmill.conversion.passport import Check
from oakmill.conversion.passport.measure import Runnable, Subject, measure, source_model
from oakmill.conversion.rvc2.methods import SIMULATED, proof
from oakmill.findings import Severity
from tests.unit.conversion.mutations import MUTATIONS, Mutate, Spoil, as_is, detector, unchanged
from tests.unit.conversion.preparing import prepared


def proven(mutate: Mutate, spoil: Spoil) -> Check:
    """What the proof says of the detector, whose network was made of other weights, or answers otherwise."""
    made, other = (prepared(detector(change)) for change in (unchanged, mutate))
    run = source_model(other).load()
    network = Runnable(lambda: lambda samples: map(spoil, run(samples)))
    source, images = source_model(made), Images(SampleSet.generated(made.boundary, 4, 1))
    subject = Subject("rvc2", made, images, source, (proof(SIMULATED, network, source),), ())
    return measure(subject, Progress()).checks[0]


def test_a_sound_network_is_ok() -> None:
    assert proven(unchanged, as_is).verdict is Severity.OK


@pytest.mark.parametrize("fault", MUTATIONS)
def test_a_fault_stops_the_conversion(fault: str) -> None:
    """Below 40 dB nothing is written; a negated weight that moves little is a warning at least."""
    found = proven(*MUTATIONS[fault])
    assert found.verdict is Severity.ERROR

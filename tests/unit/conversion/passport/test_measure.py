"""One measurement for every platform: what runs how often, on which images, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
from onnx import parser

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import Images, SampleSet
from oakmill.conversion.passport import measure as measuring
from oakmill.conversion.passport.measure import Method, Runnable, Subject, measure
from oakmill.conversion.passport.twins import Twin, Twins
from oakmill.conversion.prepare import Prepared
from oakmill.findings import Finding, Severity
from tests.unit.conversion.preparing import classifier, prepared

Change = Callable[[Any], Any]
COUNT = 5


@pytest.fixture
def made() -> Prepared:
    return prepared(classifier())


@pytest.fixture
def images(made: Prepared) -> Images:
    return Images(SampleSet.generated(made.boundary, COUNT, 0))


class Counted:
    """The source model, or one that answers otherwise; counts what it was loaded for and what it ran."""

    def __init__(self, made: Prepared, change: Change = lambda values: values, most: int | None = None) -> None:
        self.loads, self.runs = 0, 0
        self._source, self._change = measuring.source_model(made), change
        self.runnable = Runnable(self._load, most)

    def _load(self) -> Callable[[Sequence[Any]], Iterable[Any]]:
        self.loads += 1
        run = self._source.load()
        return lambda samples: self._run(run(samples))

    def _run(self, answers: Iterable[Any]) -> Iterator[Any]:
        for outputs in answers:
            self.runs += 1
            yield {name: self._change(values) for name, values in outputs.items()}


def subject(made: Prepared, images: Images, source: Counted, *methods: Method) -> Subject:
    return Subject("rvc4", made, images, source.runnable, methods, ("speed",))


def test_a_model_that_several_methods_share_runs_once(made: Prepared, images: Images) -> None:
    source, one, other = Counted(made), Counted(made), Counted(made)
    methods = [Method(name, "how", item.runnable, source.runnable) for name, item in (("a", one), ("b", other))]
    passport = measure(subject(made, images, source, *methods), Progress())
    assert [(item.loads, item.runs) for item in (source, one, other)] == [(1, COUNT)] * 3
    assert [check.name for check in passport.checks] == ["a", "b"]
    assert all(len(check.outputs[0].by_image_snr_db) == COUNT for check in passport.checks)


def test_models_that_no_method_shares_are_not_held_at_once(made: Prepared, images: Images) -> None:
    held: list[int] = []
    source, one, itself, half = (Counted(made) for _ in range(4))

    def second() -> Any:
        held.append(source.runs)
        return itself.runnable.load()

    methods = [
        Method("first", "how", one.runnable, source.runnable),
        Method("second", "how", half.runnable, Runnable(second)),
    ]
    measure(subject(made, images, source, *methods), Progress())
    assert held == [COUNT]


def test_a_model_may_run_some_of_the_images(made: Prepared, images: Images) -> None:
    source, some = Counted(made), Counted(made, most=2)
    method = Method("HTP", "how", some.runnable, source.runnable, decides=False)
    (check,) = measure(subject(made, images, source, method), Progress()).checks
    assert (source.runs, some.runs, len(check.outputs[0].by_image_snr_db)) == (COUNT, 2, 2)
    assert not any(task.decides for task in check.tasks)


def test_a_model_may_run_out_of_time(made: Prepared, images: Images) -> None:
    """A slow network's passport took 167 s, of which the emulated processor had nearly all."""
    source, slow = Counted(made), Counted(made, most=4)
    load = slow.runnable.load
    runnable = Runnable(lambda: lambda samples: islice(load()(samples), 1), most=4)
    method = Method("HTP", "how", runnable, source.runnable)
    (check,) = measure(subject(made, images, source, method), Progress()).checks
    assert (source.runs, slow.runs, len(check.outputs[0].by_image_snr_db)) == (COUNT, 1, 1)


def test_few_samples_at_once_give_the_same(made: Prepared, images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    source, noisy, some = Counted(made), Counted(made, lambda values: values * 1.01), Counted(made, most=2)
    methods = [Method(name, "", item.runnable, source.runnable) for name, item in (("all", noisy), ("two", some))]
    whole = measure(subject(made, images, source, *methods), Progress())
    monkeypatch.setattr(measuring, "AT_ONCE", 1)
    assert measure(subject(made, images, source, *methods), Progress()).as_dict() == whole.as_dict()


def test_a_simulation_is_compared_on_the_same_images(made: Prepared, images: Images) -> None:
    source, simulated = Counted(made), Counted(made, lambda values: values * 1.001)
    file = Counted(made, np.zeros_like, most=2)
    seen: list[Twin] = []

    def differs(twins: Twins) -> list[Finding]:
        seen.extend(twins.outputs())
        return [Finding("file_differs", Severity.ERROR, "it differs")]

    methods = [
        Method("QDQ", "how", simulated.runnable, source.runnable),
        Method("HTP", "how", file.runnable, source.runnable, simulated=simulated.runnable, differs=differs),
    ]
    passport = measure(subject(made, images, source, *methods), Progress())
    assert [twin.name for twin in seen] == ["map", "means"]
    twin = seen[0]
    assert len(twin.simulated.by_image_snr_db) == len(twin.file.by_image_snr_db) == 2
    assert twin.simulated.snr_db > 50 > twin.file.snr_db
    assert (twin.direct.gain, len(twin.columns)) == (0, 4)
    assert passport.verdict is Severity.ERROR
    assert [finding.code for finding in passport.findings] == ["file_differs"]


def test_only_a_method_that_looks_finds(made: Prepared, images: Images) -> None:
    source, dead = Counted(made), Counted(made, np.zeros_like)
    for looks in (False, True):
        method = Method("QDQ", "how", dead.runnable, source.runnable, looks=looks)
        found = {item.code: item for item in measure(subject(made, images, source, method), Progress()).findings}
        assert ("dead_output" in found) is looks
    assert "nothing was quantized" in found["dead_output"].remedy


def test_calibration_on_noise_is_found_and_images_are_said_to_be_kept_apart(made: Prepared, images: Images) -> None:
    source = Counted(made)
    taught = replace(images, calibration_images=SampleSet.generated(made.boundary, 3, 1), calibration_set="random")
    method = Method("QDQ", "how", Counted(made).runnable, source.runnable)
    passport = measure(subject(made, taught, source, method), Progress())
    assert [finding.code for finding in passport.findings] == ["random_calibration"]
    assert passport.images.held_out == "none of them is among the 3 images that calibrated the quantization"


def test_generated_images_say_nothing_of_colours(made: Prepared, images: Images) -> None:
    source = Counted(made)
    measure(subject(made, images, source, Method("QDQ", "how", Counted(made).runnable, source.runnable)), Progress())
    assert source.runs == COUNT, "they were run with their colours exchanged"


@pytest.mark.parametrize(("last", "told"), [("Sigmoid", False), ("Relu", True)])
def test_scores_near_zero_are_not_taken_for_an_output_that_vanishes(last: str, told: bool) -> None:
    """A detector of text gives a map of 3.6e-7 where there is no text: the device's zeros say the same."""
    model = parser.parse_model(f"""
        <ir_version: 8, opset_import: ["": 13]>
        agraph (float[1,3,8,8] image) => (float[1,3,8,8] y)
        <float shift = {{-19.0}}, float by = {{0.000000001}}>
        {{ small = Mul (image, by)
           low = {"Add (small, shift)" if last == "Sigmoid" else "Identity (small)"}
           m = {last} (low)
           y = Transpose <perm = [0, 1, 3, 2]> (m) }}
    """)
    made = prepared(model)
    images = Images(SampleSet.generated(made.boundary, COUNT, 0))
    source = Counted(made)
    method = Method("FP16", "rounded", Counted(made).runnable, source.runnable)
    asked = replace(subject(made, images, source, method), overflowing=tuple)
    found = measure(asked, Progress()).findings
    assert ("vanishing" in {item.code for item in found}) is told

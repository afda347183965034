from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.conversion.events import Event, Kind, Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4 import search
from oakmill.conversion.rvc4.quantize import measure
from oakmill.conversion.rvc4.search import PERFECT, Found, Search
from oakmill.conversion.rvc4.simulate import Simulated
from oakmill.graph import equality
from oakmill.graph.quantize import Encoding, Plan
from oakmill.settings import Settings
from oakmill.spec import Rvc4Spec
from tests.unit.conversion.preparing import classifier, prepared, samples_of

SIDE = 8
EVIL = "evil"


def network(*, outlier: float = 2000.0, classes: bool = False) -> ModelProto:
    """A branch whose 0 to 1 decides the output, beside a constant far away that 8 bits spend all their steps on.

    [image's means / 255, outlier] -> evil -> minus [0, 0, 0, outlier] -> times a weight -> scores.
    """
    constants = {
        "divisor": np.float32(255),
        "shift": np.array([[0, 0, 0, outlier]], np.float32),
        "weight": np.random.default_rng(1).normal(size=[4, 5]).astype("f"),
        "pads": np.array([0, 0, 0, 1]),
    }
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["means"], "mean", axes=[2, 3], keepdims=0),
        helper.make_node("Div", ["means", "divisor"], ["small"], "divide"),
        helper.make_node("Pad", ["small", "pads"], ["wide"], "pad"),
        helper.make_node("Add", ["wide", "shift"], [EVIL], "add"),
        helper.make_node("Sub", [EVIL, "shift"], ["back"], "subtract"),
        helper.make_node("MatMul", ["back", "weight"], ["scores"], "matmul"),
    ]
    output = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 5])
    if classes:
        nodes.append(helper.make_node("ArgMax", ["scores"], ["best"], "argmax", axis=1, keepdims=0))
        output = helper.make_tensor_value_info("best", TensorProto.INT64, [1])
    graph = helper.make_graph(
        nodes,
        "outlier",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [output],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


class Case:
    """A network, its ranges, and a search among its tensors."""

    def __init__(self, model: ModelProto, home: Settings, seconds: float = 60) -> None:
        self.made: Prepared = prepared(model)
        self.samples: SampleSet = samples_of(self.made, 12)
        self.ranges = measure(Rvc4Spec(), Plan(), self.made, self.samples, home, Progress())
        self.search = Search(self.made, self.ranges, Plan(), self.samples, seconds)

    def found(self) -> Found:
        return self.search.run(Progress())


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return Case(network(), Settings(home=tmp_path_factory.mktemp("home"))).found()


def test_the_tensor_that_spoils_it_is_found_first(found: Found) -> None:
    assert found.complete
    assert found.ranked[0][0] == EVIL
    assert found.ranked[0][1] < found.ranked[1][1] - 10
    assert EVIL in found.kept


def test_no_more_is_kept_than_helps(found: Found) -> None:
    assert len(found.kept) <= 2
    assert [point.tensors for point in found.curve] == sorted(point.tensors for point in found.curve)
    assert found.curve[-1].tensors == len(found.ranked)


def test_what_is_kept_makes_the_network_agree(found: Found, home: Settings) -> None:
    plain, chosen = found.curve[0], next(point for point in found.curve if point.tensors == len(found.kept))
    assert plain.tensors == 0
    assert chosen.agreement_db > plain.agreement_db + 10
    assert chosen.activations_mb >= plain.activations_mb
    assert {name: found.plan.encodings[name] for name in found.kept} == dict.fromkeys(found.kept, Encoding(16))
    case = Case(network(), home)
    reference = equality.Session(case.made.model)
    candidate = Simulated(found.model, case.made.image_inputs)
    ratios = [
        equality.snr_db(reference.run(picture)["scores"], candidate.run(picture)["scores"]) for picture in case.samples
    ]
    assert min(ratios) > 20


def test_words_and_data_say_the_same(found: Found) -> None:
    assert f"{len(found.kept)} tensors stay in 16 bits" in found.words
    assert "the time ended" not in found.words
    document = json.loads(json.dumps(found.record.model_dump(mode="json"), allow_nan=False))
    assert document["kept_in_16_bits"] == list(found.kept)
    assert document["most_sensitive"][0]["tensor"] == EVIL
    assert document["complete"] is True


def test_encodings_that_were_given_stay_in_the_plan(home: Settings) -> None:
    case = Case(network(), home)
    plan = Plan(encodings={"small": Encoding(8, (1 / 255,), (0,))})
    found = Search(case.made, case.ranges, plan, case.samples, 60).run(Progress())
    assert EVIL in found.kept
    if "small" not in found.kept:
        assert found.plan.encodings["small"] == Encoding(8, (1 / 255,), (0,))


def test_pixels_are_not_among_the_candidates(found: Found) -> None:
    assert "image" not in {name for name, _ in found.ranked}


class Clock:
    """A clock on which every look takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


def test_when_the_time_is_over_the_best_so_far_is_taken(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the tensors that were tried are ranked, the plain plan and all of these are compared, and it is said."""
    monkeypatch.setattr(search, "time", Clock())
    case = Case(network(), home, seconds=5)
    found = case.found()
    assert not found.complete
    assert 1 <= len(found.ranked) < 5
    assert len(found.curve) >= 2
    assert "the time ended before all was tried (--search-seconds)" in found.words


@pytest.mark.parametrize("seconds", range(2, 60, 7))
def test_a_search_that_is_cut_off_keeps_nothing_that_it_did_not_rank(
    seconds: int, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 349 tensors 290 were ranked when the time ended, and all 290 were kept, for 0.1 dB."""
    monkeypatch.setattr(search, "time", Clock())
    case = Case(network(), home, seconds=seconds)
    found = case.found()
    ends = {name for group in case.search._groups() for name in group}
    assert set(found.kept) <= {name for name, _ in found.ranked} | ends
    assert len(found.kept) < found.curve[-1].tensors
    plain = found.curve[0].agreement_db
    assert not found.kept or found.chosen.agreement_db >= plain + search.WORTH_DB


def test_tensors_that_gain_next_to_nothing_are_not_kept(home: Settings) -> None:
    case = Case(network(outlier=0.0), home)
    found = case.found()
    gained = found.curve[-1].agreement_db - found.curve[0].agreement_db
    assert bool(found.kept) == (gained >= search.WORTH_DB)
    if found.kept:
        assert "can take longer on the device than INT8_INT16_MIXED" in found.words


def test_what_is_known_to_matter_is_tried_before_anything_is_ranked(home: Settings) -> None:
    """Half of a detector's loss sits before SiLU: ranking hundreds of tensors one by one found that again each time."""
    model = network()
    del model.graph.node[-1]
    model.graph.node.extend(
        [
            helper.make_node("Sigmoid", ["back"], ["gate"], "sigmoid"),
            helper.make_node("Mul", ["back", "gate"], ["silu"], "multiply"),
            helper.make_node("MatMul", ["silu", "weight"], ["scores"], "matmul"),
        ]
    )
    assert Case(model, home).search._groups() == [("scores",), ("back",)]


def test_no_time_at_all_gives_the_plain_plan(home: Settings) -> None:
    found = Case(network(), home, seconds=0).found()
    assert (found.kept, found.complete, found.ranked) == ((), False, ())
    assert found.plan.encodings == {}


def test_it_ends_soon_after_its_time(home: Settings) -> None:
    case = Case(network(), home, seconds=0.05)
    began = time.monotonic()
    case.found()
    assert time.monotonic() - began < 60


def test_progress_counts_the_tensors(home: Settings) -> None:
    events: list[Event] = []
    Case(network(), home).search.run(Progress(events.append))
    counted: Iterator[Event] = (event for event in events if event.text == "rounding single tensors")
    numbers = [(event.done, event.total) for event in counted if event.kind is Kind.PROGRESS]
    assert numbers == [(done, len(numbers)) for done in range(len(numbers))]


def test_a_network_that_ends_in_classes_is_searched_by_how_many_differ(home: Settings) -> None:
    """Its outputs are integers, which were not compared: 8 bits seemed perfect, at an agreement without end."""
    found = Case(network(classes=True), home).found()
    json.dumps(found.record.model_dump(mode="json"), allow_nan=False)
    assert found.curve[0].agreement_db < 10
    assert EVIL in found.kept
    assert found.curve[-1].agreement_db <= PERFECT


def test_a_harmless_network_keeps_little(home: Settings) -> None:
    found = Case(classifier(), home).found()
    plain = found.curve[0].agreement_db
    assert plain > 25
    json.dumps(found.record.model_dump(mode="json"), allow_nan=False)

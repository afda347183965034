"""Ranges are chosen by what the quantized graph is worth: least square error lost a detector's boxes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import ModelProto, numpy_helper

from oakmill.conversion.events import Progress
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4 import best_ranges
from oakmill.conversion.rvc4.best_ranges import CANDIDATES, Chosen, Trials, choose, recorded
from oakmill.conversion.rvc4.judge import held_back
from oakmill.conversion.rvc4.quantize import quantize_graph
from oakmill.graph.encodings import activations
from oakmill.graph.quantize import Interval, Plan
from oakmill.settings import Settings
from oakmill.spec import Precision, RangeMethod, Rvc4Spec
from oakmill.spec.recipe import CalibrationRecord
from tests.unit.conversion.preparing import prepared, samples_of
from tests.unit.graph.building import parse

SIDE = 8
MINMAX, PERCENTILE, MSE = CANDIDATES


def network() -> ModelProto:
    """Two Convs of one image, side by side."""
    body = "a = Conv(image, w1) b = Conv(image, w2) y = Concat<axis=1>(a, b)"
    model = parse(body, inputs=f"float[1,3,{SIDE},{SIDE}] image", outputs=f"float[1,4,{SIDE},{SIDE}] y", opset=16)
    random = np.random.default_rng(2)
    for name in ("w1", "w2"):
        values = random.normal(size=(2, 3, 1, 1)).astype(np.float32) / 100
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model


def candidates(made: Prepared, good: Mapping[str, RangeMethod]) -> dict[str, dict[RangeMethod, Interval]]:
    """For each tensor the range (-20, 20), which holds all, by one method, and by the others a fortieth of it."""
    names = activations(made.model).measured
    return {
        name: {method: (-20.0, 20.0) if good.get(name, MINMAX) is method else (-0.5, 0.5) for method in CANDIDATES}
        for name in names
    }


def chosen(good: Mapping[str, RangeMethod], trials: int = 40) -> tuple[Prepared, Chosen]:
    made = prepared(network())
    ranged = activations(made.model)
    judges = list(samples_of(made, 4))
    return made, choose(Trials(made, Plan(), ranged, candidates(made, good), {}, judges), trials, Progress())


def test_the_best_for_all_is_taken_where_one_is() -> None:
    _, found = chosen(dict.fromkeys(activations(prepared(network()).model).measured, PERCENTILE))
    assert found.record.method == "percentile"
    assert not found.record.others
    assert set(found.ranges.values()) == {(-20.0, 20.0)}


def test_a_tensor_has_the_method_that_is_best_for_it() -> None:
    names = [name for name in activations(prepared(network()).model).measured if name in "ab"]
    _, found = chosen({names[0]: MSE})
    assert found.ranges[names[0]] == (-20.0, 20.0)
    assert found.record.agreement_db["best"] > max(
        db for method, db in found.record.agreement_db.items() if method != "best"
    )


def test_never_more_is_tried_than_asked_for() -> None:
    names = [name for name in activations(prepared(network()).model).measured if name in "ab"]
    _, found = chosen({names[0]: MSE}, trials=best_ranges.LEAST_TRIALS)
    assert not found.record.others


def test_of_methods_worth_the_same_the_first_is_taken() -> None:
    made = prepared(network())
    ranged = activations(made.model)
    same = {name: dict.fromkeys(CANDIDATES, (-20.0, 20.0)) for name in ranged.measured}
    found = choose(Trials(made, Plan(), ranged, same, {}, list(samples_of(made, 2))), 40, Progress())
    assert found.record.method == "minmax"


def test_a_recipe_is_followed() -> None:
    made, found = chosen({})
    record = found.record.model_copy(update={"method": "mse", "others": {"a": "percentile"}})
    again = recorded(candidates(made, {"a": PERCENTILE}), record)
    assert again.ranges["a"] == (-20.0, 20.0)
    assert again.record == record


def test_few_images_are_not_held_back() -> None:
    assert [held_back(count) for count in (1, 3, 4, 16, 64, 256)] == [0, 0, 1, 4, 8, 8]


def test_an_accurate_conversion_says_how_it_chose_and_a_replay_does_the_same(tmp_path: Path) -> None:
    made = prepared(network())
    spec = Rvc4Spec(target_precision=Precision.INT8_ACCURACY_FOCUSED)
    settings = Settings(home=tmp_path, cache_max_mb=0)
    images = samples_of(made, 12)
    first = quantize_graph(spec, made, images, "some", settings, Progress())
    assert first.record.method == "best"
    assert first.record.ranges is not None
    assert first.record.ranges.agreement_db.keys() == {"minmax", "percentile", "mse", "best"}
    otherwise = first.record.ranges.model_copy(update={"method": "mse", "others": {}})
    record = CalibrationRecord(ranges=otherwise)
    again = quantize_graph(spec, made, images, "some", settings, Progress(), record)
    assert again.record.ranges == otherwise
    by_mse = spec.model_copy(update={"range_method": RangeMethod.MSE})
    kept = quantize_graph(by_mse, made, images.head(9), "some", settings, Progress())
    assert {name: again.ranges[name] for name in kept.ranges} == kept.ranges

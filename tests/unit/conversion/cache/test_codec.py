from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oakmill.conversion.cache.codec import decode, encode
from oakmill.conversion.passport import Check, Comparison, HeldOut, Metric, Overflow, Passport
from oakmill.conversion.passport.tasks import Seen, Sighting, TaskAgreement, WorstImage
from oakmill.findings import Finding, Severity


def again(value: Any) -> Any:
    return decode(json.loads(json.dumps(encode(value))))


@pytest.mark.parametrize(
    "value",
    [
        None, True, 7, 0.1 + 0.2, math.inf, "text", [1, [2]], (1, ("a",)), {"a": {1: (2, 3)}}, frozenset({"x"}),
        {"$": "path", "value": "no path"}, Path("a/b"), Severity.WARNING, [Severity.OK, {"x": Severity.ERROR}],
    ],
)  # fmt: skip
def test_plain_data_comes_back_as_it_was(value: object) -> None:
    found = again(value)
    assert found == value
    assert type(found) is type(value)


def test_arrays_and_single_numbers_keep_their_type() -> None:
    array = np.arange(6, dtype=np.int16).reshape(2, 3)[:, ::-1]
    found = again([array, np.float32(0.1), np.float64(0.1), math.nan])
    np.testing.assert_array_equal(found[0], array)
    assert found[0].dtype == np.int16
    assert f"{found[1]:.3f}" == "0.100"
    assert found[1].dtype == np.float32
    assert type(found[2]) is float
    assert math.isnan(found[3])


def test_a_passport_comes_back_whole() -> None:
    comparison = Comparison()
    rng = np.random.default_rng(0)
    for name in ("one.png", "two.png"):
        scores = rng.random((1, 10), np.float32)
        comparison.add(name, {"scores": scores}, {"scores": scores + 0.01})
    sighting = Sighting((Seen("cat", 0.5, (0.0, 0.1, 0.2, 0.3)),), mask="data:image/png;base64,AAAA")
    task = TaskAgreement(
        "Classification", "classifier", ("scores",),
        {"top1": Metric("top1", "same class", math.nan, ok=0.9, error=0.5)}, 2,
        "by shape", worst=(WorstImage("one.png", 0.5, sighting, sighting),),
    )  # fmt: skip
    passport = Passport(
        "rvc2", HeldOut("photos", ("one.png", "two.png")),
        checks=(Check("float32", "a method", comparison.outputs(), 60, 40, 1e-6, (task,)),),
        fp16_overflows=(Overflow("x", 1e5, "one.png"),),
        findings=(Finding("code", Severity.WARNING, "what", evidence={"output": "x", "n": 3}),),
    )  # fmt: skip
    found = again(passport)
    assert found.as_dict() == passport.as_dict()
    assert found.reasons == passport.reasons


class Stranger:
    x = 1


@pytest.mark.parametrize("value", [Stranger(), object(), lambda: 0, b"bytes", np.array([object()])])
def test_what_is_not_ours_is_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        encode({"x": value})


@pytest.mark.parametrize(
    "name",
    ["os:system", "subprocess:Popen", "oakmill.conversion.cache.codec:encode", "oakmill.gone:X", "oakmill.errors:sys"],
)
def test_a_file_cannot_name_what_is_made_of_it(name: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        decode({"$": "record", "of": name, "fields": {}})

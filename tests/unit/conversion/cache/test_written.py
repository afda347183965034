"""What a stage found comes back from the cache as it was, to the last bit; what has another form does not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oakmill.conversion.cache.stages import read, written
from oakmill.conversion.passport import Check, Comparison, HeldOut, Metric, Overflow, Passport
from oakmill.conversion.passport.tasks import Seen, ShownImage, Sighting, TaskAgreement
from oakmill.findings import Finding, Severity


def again(value: Any) -> Any:
    return read(type(value), json.loads(json.dumps(written(type(value), value))))


@dataclass(frozen=True)
class Inner:
    severity: Severity
    places: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outer:
    file: Path
    number: float
    inner: tuple[Inner, ...] = ()
    by_number: Mapping[int, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


def test_records_come_back_as_they_were() -> None:
    value = Outer(
        Path("a/b"), 0.1 + 0.2, (Inner(Severity.WARNING, (1, 2)), Inner(Severity.OK)), {8: "x"}, {"a": [1, {"b": None}]}
    )
    assert again(value) == value
    assert again(value).number.hex() == (0.1 + 0.2).hex()


@pytest.mark.parametrize("number", [math.inf, -math.inf, 1e-310, 3.4028234663852886e38])
def test_numbers_come_back_bit_by_bit(number: float) -> None:
    assert again(Outer(Path(), number)).number.hex() == number.hex()
    assert math.isnan(again(Outer(Path(), math.nan)).number)


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
        "by shape", worst=(ShownImage("one.png", 0.5, sighting, sighting),),
    )  # fmt: skip
    passport = Passport(
        "rvc2", HeldOut("photos", ("one.png", "two.png")),
        checks=(Check("float32", "a method", comparison.outputs(), 60, 40, 1e-6, (task,)),),
        fp16_overflows=(Overflow("x", 1e5, "one.png"),),
        findings=(Finding("code", Severity.WARNING, "what", evidence={"output": "x", "n": 3}),),
    )  # fmt: skip
    found = again(passport)
    assert found.as_dict(drawings=True) == passport.as_dict(drawings=True)
    assert found.checks[0].outputs == passport.checks[0].outputs
    assert found.reasons == passport.reasons


@pytest.mark.parametrize("value", [object(), b"bytes", np.arange(3), {1, 2}])
def test_what_cannot_be_read_again_is_not_written(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        written(Outer, Outer(Path(), 1.0, more={"x": value}))


def test_what_is_not_what_its_class_says_is_not_written() -> None:
    with pytest.raises((TypeError, ValueError)):
        written(Outer, Outer(Path(), "no number"))  # type: ignore[arg-type]


@pytest.mark.parametrize("plain", [None, [], {"file": "a"}, {"file": "a", "number": "b"}, {"file": 1, "number": 1}])
def test_what_has_another_form_is_not_read(plain: object) -> None:
    with pytest.raises(ValueError):
        read(Outer, plain)

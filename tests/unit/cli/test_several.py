"""Which conversions a command line with several platforms and precisions asks for, and how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oakmill.cli.several import Combination, combinations, worst

MODEL = Path("nets/digits.onnx")


def asked(platforms: list[str], **values: Any) -> list[Combination]:
    return combinations(platforms, values)


def names(found: list[Combination]) -> list[Any]:
    return [one.named(MODEL, {}).get("name") for one in found]


def test_each_platform_with_each_precision_and_one_where_nothing_is_quantized() -> None:
    found = asked(["rvc2", "rvc4"], target_precision="INT8, FP16,int8_standard")
    assert [one.title for one in found] == ["RVC2", "RVC4 INT8", "RVC4 FP16"]
    assert names(found) == [None, "digits.rvc4.int8", "digits.rvc4.fp16"]
    assert "target_precision" not in found[0].values


def test_one_platform_and_precision_is_the_command_of_before() -> None:
    (one,) = asked(["rvc4"], target_precision="INT8", name="mine", blob=None)
    assert one.values == {"target_precision": "INT8", "name": "mine", "blob": None}
    assert one.named(MODEL, {}) == one.values


def test_a_name_of_the_users_begins_each_name() -> None:
    """Two archives of one name would be one file."""
    assert names(asked(["rvc2", "rvc4"], name="mine")) == ["mine.rvc2", "mine.rvc4"]
    assert names(asked(["rvc4"], name="mine", target_precision="INT8,FP16")) == ["mine.rvc4.int8", "mine.rvc4.fp16"]
    both = asked(["rvc2", "rvc4"])
    assert [one.named(Path("hub:digits"), {"name": "told"})["name"] for one in both] == ["told.rvc2", "told.rvc4"]


def test_an_option_goes_to_those_that_know_it_and_is_refused_where_none_does() -> None:
    two, four = asked(["rvc2", "rvc4"], blob=True, silu_int16=True, quantizer="pot", mean_values=("1,2,3",))
    assert set(two.values) == {"blob", "quantizer", "mean_values"}
    assert set(four.values) == {"silu_int16", "quantizer", "mean_values"}
    (alone,) = asked(["rvc2"], target_precision="INT8,FP16")
    assert alone.values == {"target_precision": "INT8,FP16"}  # and is refused in words


@pytest.mark.parametrize(("codes", "code"), [((0, 0), 0), ((0, 11, 0), 11), ((11, 4, 2), 4), ((0, 2, 11), 2), ((), 0)])
def test_the_worst_is_a_failure_before_a_loss(codes: tuple[int, ...], code: int) -> None:
    assert worst(codes) == code

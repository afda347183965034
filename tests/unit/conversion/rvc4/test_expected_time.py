"""The expected time is a sum of parts of the graph, with how far it may be off; without a good model there is none."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from oakmill.conversion.rvc4 import expected_time
from oakmill.graph.costs import Costs, Layer


def layer(bits: int = 8, weight_bits: int | None = 8, products: int = 1_000_000, groups: int = 1) -> Layer:
    return Layer("conv", "Conv", products, 1000, 1000, 20_000, 30_000, bits, weight_bits, groups)


def test_parts_are_counted_by_what_makes_time() -> None:
    elementwise = Layer("add", "Add", 0, 0, 0, 40, 20, 8)
    found = expected_time.parts([layer(), layer(products=500, groups=16), elementwise])
    assert dict(zip(expected_time.PARTS, found, strict=True)) == {
        "run": 1, "layer": 3, "dense multiply-adds": 1_000_000, "grouped multiply-adds": 500, "weight bytes": 2000,
        "activation bytes": 100_060,
    }  # fmt: skip


@pytest.mark.parametrize(("bits", "weight_bits", "name"), [(8, 8, "w8a8"), (16, 8, "w8a16"), (0, 0, "float")])
def test_what_was_fitted_is_what_is_said(bits: int, weight_bits: int, name: str) -> None:
    fitted = expected_time._fitted().get(name)
    found = expected_time.expected(Costs((layer(bits, weight_bits),) * 50, 10))
    if fitted is None:
        assert found is None
        return
    assert found is not None
    assert 0 < found.low < found.milliseconds < found.high
    assert found.median_error == fitted["median_error"] <= 0.35
    assert f"{found.nets} other nets, not measured" in found.words


def test_more_work_takes_no_less_time() -> None:
    """No coefficient is below zero, or a larger net might be said to be faster."""
    for fitted in expected_time._fitted().values():
        assert all(value >= 0 and math.isfinite(value) for value in fitted["coefficients"].values())
        assert set(fitted["coefficients"]) == set(expected_time.PARTS)


def test_no_time_is_said_of_mixed_formats_or_of_unknown_shapes() -> None:
    """A few layers of 16 bits among 8 can take longer than 16 bits throughout: no sum of parts says so."""
    assert expected_time.expected(Costs((layer(8), layer(16)), 10)) is None
    assert expected_time.expected(Costs((layer(8),), 10, unknown=1)) is None
    assert expected_time.expected(Costs((layer(8, 4),), 10)) is None
    assert expected_time.expected(Costs((), 0)) is None


def test_no_time_is_said_of_16_bits_before_every_silu() -> None:
    """AUTO's table said 2.6 ms of it, and 1.6 of FP16, as all that multiplies wrote 16 bits and what followed 8."""
    inner, passing = layer(16), replace(layer(16), narrowest_bits=8)
    silu = Costs((passing, inner) * 5, 10)
    assert expected_time.expected(silu) is None
    assert "16 bits throughout" in expected_time.untimed(silu)
    whole = Costs((passing, *[inner] * 19), 10)  # an image comes in as 8 bits
    assert expected_time.expected(whole) is not None
    assert not expected_time.untimed(whole)


def test_a_classifier_in_8_bits_has_a_time_though_its_shares_have_16() -> None:
    """The digits of the first example had none, as every classifier in 8 bits: its last product, which writes the
    scores that shares are made of, went from 8 bits to 16."""
    scores, shares = replace(layer(16), narrowest_bits=8), Layer("shares", "Softmax", 0, 0, 0, 10, 20, 16)
    small = Costs((layer(), layer(), scores, shares), 10)
    assert expected_time.expected(small) is not None and not expected_time.untimed(small)
    assert expected_time.expected(Costs((layer(), scores, layer(), shares), 10)) is None
    assert expected_time.expected(Costs((layer(), layer(), scores), 10)) is None

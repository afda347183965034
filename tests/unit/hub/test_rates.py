"""Requests a minute: the hub's limit, and a key's own."""

from __future__ import annotations

import pytest

from oakmill.errors import TooManyRequests
from oakmill.hub import problems
from oakmill.hub.rates import Rates


def taken(rates: Rates, key: str, own: int | None = None) -> int:
    """How many requests of a key pass before one is refused; at most a hundred."""
    for count in range(100):
        try:
            rates.take(key, key, own)
        except TooManyRequests:
            return count
    return 100


def test_a_keys_own_limit_goes_before_the_hubs_and_comes_back_evenly() -> None:
    now = [0.0]
    rates = Rates(10, clock=lambda: now[0])
    assert (taken(rates, "plain"), taken(rates, "slow", 3), taken(rates, "quick", 60)) == (10, 3, 60)
    now[0] += 20
    assert taken(rates, "slow", 3) == 1
    assert taken(Rates(0), "any") == 100 and taken(Rates(0), "own", 5) == 5


def test_the_refusal_says_whose_limit_it_is_and_when_to_go_on() -> None:
    rates = Rates(0, clock=lambda: 0.0)
    rates.take("aik_1", "nightly", 1)
    with pytest.raises(TooManyRequests, match="'nightly' made more than 1 requests") as told:
        rates.take("aik_1", "nightly", 1)
    assert "the key's own limit" in told.value.remedy
    answer = problems.response(problems.of(told.value))
    assert answer.status_code == 429 and answer.headers["Retry-After"] == "60"

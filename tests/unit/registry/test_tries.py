from __future__ import annotations

import pytest

from oakmill.errors import TooManyTries
from oakmill.registry.tries import Tries


def test_an_address_that_guesses_has_to_wait_and_others_do_not() -> None:
    moment = [0.0]
    tries = Tries(limit=3, seconds=60, clock=lambda: moment[0])
    for _ in range(3):
        tries.check("10.0.0.1")
        tries.failed("10.0.0.1")
        moment[0] += 1
    with pytest.raises(TooManyTries, match=r"10\.0\.0\.1") as caught:
        tries.check("10.0.0.1")
    assert caught.value.remedy == "Try again in 57 seconds."
    tries.check("10.0.0.2")
    moment[0] = 60
    tries.check("10.0.0.1")


def test_many_addresses_do_not_fill_the_memory() -> None:
    tries = Tries(addresses=10)
    for number in range(100):
        tries.failed(f"10.0.0.{number}")
    assert len(tries._failures) == 10

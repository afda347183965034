"""Chips by our own table: the vendor's library silently compiles for another chip when it does not know the name."""

from __future__ import annotations

import pytest

from oakmill.errors import SpecError
from oakmill.toolchains.rvc4 import socs


def test_names_become_numbers_once_each_in_their_order() -> None:
    found = socs.find(("SM8650", "qcs8550", "sm8650"))
    assert [(soc.model, soc.arch) for soc in found] == [(57, 75), (66, 73)]
    assert socs.find(()) == ()
    assert socs.OAK4.name == "qcs8550"


def test_an_unknown_chip_never_reaches_the_library() -> None:
    with pytest.raises(SpecError, match=r"no chip 'bogus'.*qcs8550, sm8550"):
        socs.find(("qcs8550", "bogus"))


def test_a_number_has_a_name() -> None:
    assert socs.name_of(69) == "sm8750"
    assert socs.name_of(9999) == "soc 9999"

"""Outputs whose sizes depend on the data are refused by name, before a tool compiles them and then cannot run them."""

from __future__ import annotations

import pytest

from oakmill.errors import UnsupportedModel
from oakmill.graph.outputs import require_fixed
from tests.unit.graph.building import parse


def test_an_output_of_unknown_size_names_the_node_that_decides_it() -> None:
    """RVC2 compiled a NonZero, and then OpenVINO's CPU plugin leaked a raw error of the runner."""
    model = parse("y = NonZero(x)", outputs="int64[4,?] y")
    model.graph.node[0].name = "found"
    with pytest.raises(UnsupportedModel, match=r"node 'found' \(NonZero\).*output 'y' has no fixed size") as caught:
        require_fixed(model)
    assert "--outputs" in caught.value.remedy


def test_what_is_found_and_then_counted_is_fine() -> None:
    require_fixed(parse("n = NonZero(x) y = Size(n)", outputs="int64 y"))

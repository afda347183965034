"""The layers' part of a passport: it comes back from JSON as it was, is drawn in order, and no name becomes markup."""

from __future__ import annotations

import json
import math
import re

from oakmill.conversion.passport import HeldOut, Passport, network_charts, page, read
from oakmill.conversion.passport.layers import Layers, TensorDamage
from oakmill.findings import Severity


def tensor(
    name: str, own: float = 40.0, arrives: float = 30.0, feeds: tuple[int, ...] = (), **more: float
) -> TensorDamage:
    return TensorDamage(name, "Conv", 8, -1.0, 1.0, -0.5, 2.0, arrives, own, feeds=feeds, **more)


LAYERS = Layers(
    2,
    (
        tensor("image", math.inf, math.inf),
        tensor("<b>first", 8.0, 20.0, (0,), clipped=0.1, clipping=0.9, before_db=3.0),
        tensor("second", 20.0, 12.0, (1,)),
        tensor("sum", 45.0, 11.0, (0, 2)),
    ),
)


def test_it_comes_back_from_json() -> None:
    found = read(json.loads(json.dumps(Passport("rvc4", HeldOut("photos"), layers=LAYERS).as_dict())))
    assert found.layers is not None
    assert found.layers.tensors[1] == LAYERS.tensors[1]
    assert found.layers.tensors[0].own_db == math.inf
    assert math.isnan(found.layers.tensors[2].before_db)


def test_the_worst_stand_first_and_are_no_verdict() -> None:
    assert [item.name for item in LAYERS.worst] == ["<b>first", "second", "image", "sum"][:2] + [
        item.name for item in sorted(LAYERS.tensors[::3], key=lambda item: item.own_db)
    ]
    assert LAYERS.tensors[1].severity("own") is Severity.ERROR
    assert LAYERS.tensors[1].severity("arrives") is Severity.WARNING
    assert Passport("rvc4", HeldOut("photos"), layers=LAYERS).verdict is Severity.OK


def test_the_page_has_bars_the_graph_and_the_table() -> None:
    text = page.render(Passport("rvc4", HeldOut("photos"), layers=LAYERS), {})
    assert "Which layers hurt" in text
    assert text.count('class="arrives ') == 4
    assert text.count("<circle") == 4
    assert text.count('class="edge"') == 4
    assert "&lt;b&gt;first" in text
    assert "<b>first" not in text
    assert "3.0 dB" in text
    assert "10 % of values, 90 % of its noise" in text


def test_the_worse_the_higher() -> None:
    """0 dB fills the chart, 50 dB and more leave it empty; what is no number counts as all noise."""
    tops = [network_charts._top(value) for value in (math.nan, -5.0, 0.0, 25.0, 50.0, math.inf)]
    assert tops == [0, 0, 0, network_charts.HEIGHT / 2, network_charts.HEIGHT, network_charts.HEIGHT]


def test_the_graph_has_no_two_tensors_in_one_place() -> None:
    """Two branches from one tensor stand in lanes of their own, and their sum in a column behind both."""
    branching = [tensor("a"), tensor("b", feeds=(0,)), tensor("c", feeds=(0,)), tensor("d", feeds=(1, 2))]
    assert network_charts._places(branching) == [(0, 0), (1, 0), (1, 1), (2, 0)]


def test_a_range_shows_what_is_beyond_it() -> None:
    drawn = str(network_charts.span(tensor("a")))
    found = dict(re.findall(r'class="(\w+)" x="[\d.]+" y="\d" width="([\d.]+)"', drawn))
    assert {name: float(width) for name, width in found.items()} == {"beyond": 83.33, "holds": 66.67, "seen": 50.0}

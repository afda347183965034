"""What a run costs is summed up for people, and comes back from the passport's JSON as it was."""

from __future__ import annotations

import json

from oakmill.conversion.passport import HeldOut, Passport, page, read
from oakmill.conversion.passport.cost import Cost, ExpectedTime, Unit, amount, of, size
from oakmill.graph.costs import Costs, Layer

LAYERS = (
    Layer("first", "Conv", 900, 100, 100, 50, 60, 8, 8),
    Layer("gate", "Sigmoid", 0, 0, 0, 60, 120, 16),
    Layer("second", "Conv", 100, 10, 10, 120, 60, 16, 8),
    Layer("last", "Softmax", 0, 0, 0, 60, 60, 0),
)


def test_formats_and_the_heaviest_layers() -> None:
    cost = of(Costs(LAYERS, 180, "gate"))
    assert [(item.format, item.layers, item.multiply_adds) for item in cost.formats] == [
        ("W8A8", 1, 900), ("W8A16", 1, 100), ("A16", 1, 0), ("float", 1, 0),
    ]  # fmt: skip
    assert [(item.name, item.share) for item in cost.heaviest] == [("first", 0.9), ("second", 0.1)]
    assert cost.moved_bytes == 110 + 180 + 180 + 120 + 110
    assert cost.runs_on.startswith("W8A8: 1 layer with 90% of the multiply-adds, W8A16: 1 layer with 10%")


def test_one_number_format_tells_nothing() -> None:
    assert of(Costs(LAYERS[:1], 180)).runs_on == ""


def test_numbers_for_people() -> None:
    assert [amount(value) for value in (0, 12, 999.6, 25_557_032, 4.09e9)] == ["0", "12", "1 k", "25.6 M", "4.09 G"]
    assert size(1_600) == "1.6 kB"


def test_the_passport_keeps_it_and_its_page_shows_it() -> None:
    units = (Unit("the hardware engine", 12, {}), Unit("SHAVEs", 3, {"<b>": 3}))
    cost = Cost(10, 20, 30, 40, 50, "at", 3, 1, units=units, expected=ExpectedTime("QCS8550", 1.2, 1, 2, 0.2, 40))
    found = Passport("rvc2", HeldOut("photos"), cost=cost)
    assert read(json.loads(json.dumps(found.as_dict()))).cost == cost
    text = page.render(found, {})
    assert "expected on QCS8550, not measured" in text
    assert "&lt;b&gt;" in text
    assert "1 layer of unknown shape" in text


def test_a_passport_from_before_has_none() -> None:
    plain = Passport("rvc2", HeldOut("photos")).as_dict()
    del plain["cost"]
    assert read(plain).cost is None

from __future__ import annotations

from oakmill.registry.tables import Instance
from oakmill.web.views.side_by_side import Line, Section, across, charts


def test_lines_of_some_are_told_apart_from_those_that_differ() -> None:
    lines = (Line("", "a", ("1", "2.5", "1")), Line("", "b", ("x", "-", "x")), Line("", "c", ("same",) * 3))
    assert [line.kind for line in lines] == ["different", "single", "equal"]
    assert [lines[0].change(place) for place in range(3)] == ["", "+1.5", "+0"]
    assert Section("", lines).count("single") == 1


def test_a_value_that_one_has_not_is_a_dash() -> None:
    lines = list(across("spec", [{"a": 1}, {"a": 1, "b": 2}, {}]))
    assert [(line.what, line.values) for line in lines] == [("a", ("1", "1", "–")), ("b", ("–", "2", "–"))]


def _row(name: str, size: int, **facts: object) -> Instance:
    return Instance(id=name, name=name, size=size, model_type="RVC4", facts=facts)


def test_only_numbers_of_one_kind_stand_in_one_chart() -> None:
    def accuracy(key: str, value: float) -> dict[str, object]:
        return {"key": key, "value": value, "text": f"{value:.0%}", "words": f"the {key}"}

    rows = [
        _row("a", 100, accuracy=accuracy("f1", 0.9), cost={"expected": {"milliseconds": 2.0}}),
        _row("b", 50, accuracy=accuracy("f1", 0.8), cost={"expected": None}),
        _row("c", 75, accuracy=accuracy("snr", 30.0)),
    ]
    made = {chart.title: chart for chart in charts(rows)}
    assert list(made) == ["The f1", "Size"]
    assert [(bar.instance.name, bar.best) for bar in made["The f1"].bars] == [("a", True), ("b", False)]
    assert [(bar.share, bar.best) for bar in made["Size"].bars] == [(1.0, False), (0.5, True), (0.75, False)]

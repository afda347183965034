from __future__ import annotations

import re

from oakmill.registry.tables import Instance
from oakmill.web.views import plots


def _row(number: int, value: float, size: int, key: str = "f1", **more: object) -> Instance:
    accuracy = {"key": key, "value": value, "text": f"{value:.1%}", "words": key, "method": "HTP", **more}
    return Instance(
        id=f"i{number}", name=f"<b>{number}", size=size, model_type=f"RVC{2 + number % 3}", precision="INT8_STANDARD",
        origin="converted", status="available", verdict="ok", facts={"accuracy": accuracy},
    )  # fmt: skip


def test_each_number_has_a_plot_of_its_own_and_one_dot_is_none() -> None:
    rows = [_row(0, 0.9, 10), _row(1, 0.8, 20), _row(2, 30.0, 20, "snr", unit="dB")]
    (plot,) = plots.accuracy_against_size(rows)
    assert (plot.words, plot.count, plot.platforms) == ("f1", 2, ("RVC2", "RVC3"))
    assert "<b>" not in plot.drawing and 'href="/instances/i1"' in plot.drawing


def test_dots_and_labels_stay_within_the_drawing() -> None:
    for sizes in ((0.02e6, 400e6), (5e6, 5e6), (1, 2)):
        rows = [_row(n, 0.5 + n / 100, int(size)) for n, size in enumerate(sizes * 8)]
        (plot,) = plots.accuracy_against_size([*rows, _row(9, 1.0, 3_000_000, float_value=0.99)])
        for x, y in re.findall(r'<circle[^>]* cx="([\d.-]+)" cy="([\d.-]+)"', plot.drawing):
            assert 0 <= float(x) <= plots.WIDTH and 0 <= float(y) <= plots.HEIGHT
        assert "nan" not in plot.drawing and 'class="float"' in plot.drawing


def test_facts_that_are_no_numbers_are_left_out() -> None:
    odd = _row(0, 0.9, 10)
    odd.facts = {"accuracy": "good"}
    assert plots.measured(odd) == {}
    assert plots.accuracy_against_size([odd, _row(1, 0.9, 10)]) == []

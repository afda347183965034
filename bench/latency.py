"""Fits the expected time on QCS8550 on Qualcomm's published latencies, and says how far it is off.

    .venv/bin/python bench/latency.py TABLE.csv LAYERS.json [--write]

TABLE.csv holds the latencies of the wheel qai-hub-models 0.65.0 (BSD-3; columns model, precision, ms, runtime), which
Qualcomm measured on "QCS8550 (Proxy)" with QAIRT 2.50. LAYERS.json is what `latency_count.py` counts of the
same nets. Only times of the QNN DLC runtime count, which is what Oakmill writes.

The model is that of `oakmill.conversion.rvc4.expected_time`: a sum of parts, each with a rate of its own and none below
zero, fitted so that errors relative to the time are least. It is judged on whole families that it has not seen: nets of
one family are near twins, and would flatter it. Counting only the bytes of layers without products, or these apart from
the others, misses by up to three points more or less, so the simplest was taken. --write puts
the coefficients into the product.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.rvc4 import expected_time
from oakmill.graph.costs import Layer

Array = NDArray[np.float64]

PRECISIONS = {"w8a8": 8, "w8a16": 16, "float": 0}
"""By the name in the table, the bits of activations."""
STATED_WITHIN = 0.05
"""A net with another number of parameters than the manifest states is another net."""
TARGET = Path(expected_time.__file__).with_name("expected_time.json")
WORST_ALLOWED = 0.35


@dataclass(frozen=True)
class Net:
    """A net with its published time in ms, and what each part of the model counts of it."""

    name: str
    family: str
    milliseconds: float
    parts: Array


def layers_of(counted: Mapping[str, Any], bits: int) -> list[Layer]:
    """The net's layers in a number format; in floating point the processor computes in FP16."""
    activation, weight = (bits or 16) / 8, 1 if bits else 2
    return [
        Layer(
            str(place), "", products, parameters, int(parameters * weight), int(read * activation),
            int(written * activation), bits, 8 if bits else 0, groups,
        )
        for place, (products, parameters, read, written, groups) in enumerate(counted["layers"])
    ]  # fmt: skip


def nets(table: Path, counted: Mapping[str, Any], precision: str) -> list[Net]:
    """All that are in both, with the same number of parameters as the manifest states."""
    found = []
    for row in csv.DictReader(table.open()):
        net = counted.get(row["model"])
        if net is None or row["precision"] != precision or row["runtime"] != "qnn_dlc":
            continue
        if abs(net["parameters"] / 1e6 / net["stated"] - 1) > STATED_WITHIN:
            continue
        parts = np.array(expected_time.parts(layers_of(net, PRECISIONS[precision])))
        found.append(Net(row["model"], net["family"], float(row["ms"]), parts))
    return found


def fit(known: Sequence[Net]) -> Array:
    """Milliseconds for one of each part, none below zero, so that the squares of the relative errors are least."""
    times = np.array([net.milliseconds for net in known])
    scaled = np.array([net.parts for net in known]) / times[:, None]
    scale = np.maximum(scaled.max(axis=0), 1e-30)
    return np.asarray(_nonnegative(scaled / scale, np.ones(len(known))) / scale, np.float64)


def _nonnegative(matrix: Array, wanted: Array, rounds: int = 20000) -> Array:
    """Least squares with no weight below zero, by coordinate descent."""
    gram, aim = matrix.T @ matrix, matrix.T @ wanted
    weights = np.zeros(len(aim))
    for _ in range(rounds):
        before = weights.copy()
        for place in np.flatnonzero(np.diag(gram) > 0):
            step = (aim[place] - gram[place] @ weights) / gram[place, place]
            weights[place] = max(weights[place] + step, 0.0)
        if np.abs(weights - before).max() < 1e-12:
            break
    return weights


def held_back(known: Sequence[Net]) -> dict[str, float]:
    """Expected over measured, for each net by the model that has seen none of its family."""
    found = {}
    for family in {net.family for net in known}:
        weights = fit([net for net in known if net.family != family])
        found.update({net.name: float(net.parts @ weights) / net.milliseconds for net in known if net.family == family})
    return found


def judged(known: Sequence[Net]) -> dict[str, Any]:
    """The coefficients, with how far they are off on families that were held back."""
    ratios = held_back(known)
    errors = np.abs(np.array(list(ratios.values())) - 1)
    inverse = 1 / np.array(list(ratios.values()))
    return {
        "coefficients": {
            name: float(f"{value:.4g}") for name, value in zip(expected_time.PARTS, fit(known), strict=True)
        },
        "nets": len(known),
        "median_error": round(float(np.median(errors)), 3),
        "low": round(float(np.quantile(inverse, 0.1)), 3),
        "high": round(float(np.quantile(inverse, 0.9)), 3),
    }


def show(precision: str, known: Sequence[Net], result: Mapping[str, Any]) -> None:
    """The table: every net, and the median error of each family."""
    ratios = held_back(known)
    print(f"\n{precision}: {len(known)} nets, median error {result['median_error']:.0%} on families held back")
    for family in sorted({net.family for net in known}):
        own = [net for net in known if net.family == family]
        error = float(np.median([abs(ratios[net.name] - 1) for net in own]))
        print(f"  {family} {error:.0%}")
        for net in own:
            print(f"    {net.name:24} {net.milliseconds:8.2f} ms, expected {ratios[net.name] * net.milliseconds:8.2f}")
    print("  " + ", ".join(f"{name} {value:.3g}" for name, value in result["coefficients"].items()))


def main() -> None:
    """Fit, print, and write where that is asked and good enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("layers", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    counted = json.loads(given.layers.read_text())
    results = {}
    for precision in PRECISIONS:
        known = nets(given.table, counted, precision)
        results[precision] = judged(known)
        show(precision, known, results[precision])
    good = {name: result for name, result in results.items() if result["median_error"] <= WORST_ALLOWED}
    if given.write:
        source = "latencies of qai-hub-models 0.65.0 (BSD-3-Clause), QCS8550 (Proxy), QAIRT 2.50, runtime qnn_dlc"
        TARGET.write_text(json.dumps({"source": source, "fitted_by": "bench/latency.py", **good}, indent=1) + "\n")


if __name__ == "__main__":
    main()

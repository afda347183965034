"""What a converted model costs on its chip, as far as files say it: counted, not measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from oakmill.graph.costs import Costs, Layer

HEAVIEST = 8
"""Layers that are named: those that compute most."""


@dataclass(frozen=True)
class FormatShare:
    """What is computed in one number format: W8A16 are weights of 8 bits and activations of 16, A8 has no weights."""

    format: str
    layers: int
    multiply_adds: int


@dataclass(frozen=True)
class Unit:
    """Stages of a compiled file that one unit of the chip runs; `kinds` counts them by type where that tells more."""

    name: str
    stages: int
    kinds: Mapping[str, int]


@dataclass(frozen=True)
class Heavy:
    """A layer that computes much, and its share of all multiply-adds."""

    name: str
    op: str
    multiply_adds: int
    share: float


@dataclass(frozen=True)
class ExpectedTime:
    """How long one run may take on a chip: `milliseconds` by a model fitted on published times of other nets.

    `low` and `high` are between which four of five held-back nets lie; `median_error` is the share by which the model
    misses a net of a family that it has not seen, and `nets` how many it was judged by. It is no measurement.
    """

    chip: str
    milliseconds: float
    low: float
    high: float
    median_error: float
    nets: int

    @property
    def words(self) -> str:
        """For people."""
        between = f"for four of five nets between {self.low:.2g} and {self.high:.2g}"
        missed = f"misses nets of families that it has not seen by {self.median_error:.0%} at the median"
        return (
            f"some {self.milliseconds:.2g} ms on {self.chip}, {between}; expected from published times of {self.nets} "
            f"other nets, not measured: the model {missed}"
        )


@dataclass(frozen=True)
class Cost:
    """What one run costs, by the graph that was compiled; the words are defined in `graph.costs`.

    `multiply_adds` of convolutions and matrix products; `parameters` and their bytes; `moved_bytes` in and out of all
    layers, an upper bound; `peak_bytes` of activations that live at one time, at the layer `peak_at`. `unknown` are
    layers of unknown shapes, of which nothing is counted. `chip_memory` is what the compiled file itself plans for
    activations, where it says so, in bytes. `untimed` says why no time is expected, where that is worth knowing.
    """

    multiply_adds: int
    parameters: int
    weight_bytes: int
    moved_bytes: int
    peak_bytes: int
    peak_at: str = ""
    layers: int = 0
    unknown: int = 0
    formats: tuple[FormatShare, ...] = ()
    heaviest: tuple[Heavy, ...] = ()
    units: tuple[Unit, ...] = ()
    chip_memory: int = 0
    expected: ExpectedTime | None = None
    untimed: str = ""

    @property
    def words(self) -> str:
        """The facts on one line."""
        if not self.layers and self.unknown:
            return f"nothing is counted: {_layers(self.unknown)} with operators that are not ONNX's"
        parts = [
            f"{amount(self.multiply_adds)} multiply-adds",
            f"{amount(self.parameters)} parameters",
            f"at most {size(self.moved_bytes)} moved",
            f"at most {size(self.peak_bytes)} of activations at once",
        ]
        return ", ".join([*parts, *([f"{_layers(self.unknown)} of unknown shape not counted"] if self.unknown else [])])

    @property
    def runs_on(self) -> str:
        """Which unit runs how much, or which number format how much; empty where nothing tells."""
        if self.units:
            return ", ".join(f"{_counted(unit.stages, 'stage')} on {unit.name}" for unit in self.units if unit.stages)
        counted = [f"{item.format}: {_layers(item.layers)}{self._part(item)}" for item in self.formats]
        return ", ".join(counted) if len(self.formats) > 1 else ""

    def _part(self, item: FormatShare) -> str:
        part = item.multiply_adds / self.multiply_adds if self.multiply_adds else 0
        return f" with {part:.0%} of the multiply-adds" if part else ""


def _layers(number: int) -> str:
    return _counted(number, "layer")


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def amount(value: float) -> str:
    """A large number for people: 4.09 G, 25.6 M."""
    return _scaled(value).strip()


def size(count: float) -> str:
    """Bytes for people: 4.09 MB."""
    return f"{_scaled(count)}B"


def _scaled(value: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} "


def of(costs: Costs) -> Cost:
    """A graph's costs, summed up."""
    return Cost(
        costs.multiply_adds,
        costs.parameters,
        costs.weight_bytes,
        costs.moved_bytes,
        costs.peak_bytes,
        costs.peak_at,
        len(costs.layers),
        costs.unknown,
        _formats(costs.layers),
        _heaviest(costs),
    )


def _formats(layers: Iterable[Layer]) -> tuple[FormatShare, ...]:
    """The number formats, those that compute most first."""
    found: dict[str, tuple[int, int]] = {}
    for layer in layers:
        number, products = found.get(layer.number_format, (0, 0))
        found[layer.number_format] = number + 1, products + layer.multiply_adds
    shares = (FormatShare(name, number, products) for name, (number, products) in found.items())
    return tuple(sorted(shares, key=lambda item: (-item.multiply_adds, -item.layers)))


def _heaviest(costs: Costs) -> tuple[Heavy, ...]:
    total = costs.multiply_adds
    most = sorted(costs.layers, key=lambda layer: -layer.multiply_adds)[:HEAVIEST]
    return tuple(
        Heavy(layer.name, layer.op, layer.multiply_adds, round(layer.multiply_adds / total, 4))
        for layer in most
        if layer.multiply_adds
    )

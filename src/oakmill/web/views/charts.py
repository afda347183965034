"""Numbers of charts that templates draw as SVG: lines and bands in the units of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oakmill.calibration.doctor import Diagnosis

WIDTH, HEIGHT = 256, 64
"""A channel's chart has one unit for each level of a pixel."""
NAMES = ("Red", "Green", "Blue")


@dataclass(frozen=True)
class Channel:
    """One colour channel of a set: its spread as a polygon, and what a model subtracts and divides by beside it."""

    name: str
    points: str
    mean: float
    std: float
    declared: float | None
    scale: float | None

    @property
    def result(self) -> tuple[float, float] | None:
        """Mean and spread of what the model is fed: about 0 and 1 for most that were trained on photos."""
        if self.declared is None and self.scale is None:
            return None
        scale = self.scale or 1.0
        return (self.mean - (self.declared or 0.0)) / scale, self.std / abs(scale)

    @property
    def fits(self) -> bool:
        """Whether what the model is fed lies about 0 with a spread of about 1, as all conventions in use have it."""
        mean, spread = self.result or (0.0, 1.0)
        return abs(mean) <= 2 and 0.15 <= spread <= 3

    @property
    def band(self) -> tuple[float, float] | None:
        """From where to where the declared mean and scale reach, on the chart."""
        if self.declared is None:
            return None
        spread = min(abs(self.scale or 0.0), 2.0 * WIDTH)
        low, high = max(0.0, self.declared - spread), min(float(WIDTH), self.declared + spread)
        return low, max(high - low, 1.0)


def channels(
    histogram: Sequence[Sequence[float]],
    doctor: Diagnosis,
    mean: Sequence[float],
    scale: Sequence[float],
    *,
    backwards: bool = False,
) -> list[Channel]:
    """Red, green and blue; with `backwards`, mean and scale are in the order of blue, green and red."""
    if not histogram or not doctor.mean:
        return []
    top = max(max(row) for row in histogram) or 1.0
    means, scales = (_three(values, backwards=backwards) for values in (mean, scale))
    return [
        Channel(NAMES[place], polygon(row, top), doctor.mean[place], doctor.std[place], means[place], scales[place])
        for place, row in enumerate(histogram)
    ]


def polygon(values: Sequence[float], top: float) -> str:
    """The area below a row of values, as the points of an SVG polygon."""
    step = WIDTH / len(values)
    tops = [(place * step, HEIGHT - HEIGHT * value / top) for place, value in enumerate(values)]
    corners = [pair for x, y in tops for pair in ((x, y), (x + step, y))]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in [(0.0, float(HEIGHT)), *corners, (float(WIDTH), float(HEIGHT))])


def _three(values: Sequence[float], *, backwards: bool) -> list[float | None]:
    if not values:
        return [None, None, None]
    found: list[float | None] = [*values] if len(values) == 3 else [*values] * 3
    return found[::-1] if backwards else found

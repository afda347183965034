"""A finished file against its own simulation, on the same images: both by the float model, and one by the other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.passport import choose_tasks
from oakmill.conversion.passport.agreement import Comparison, OutputAgreement, Outputs, fitting
from oakmill.conversion.passport.observed import column_axes
from oakmill.conversion.passport.tasks import Task, TaskAgreement
from oakmill.graph.equality import decibels
from oakmill.heads.decoders import Size
from oakmill.heads.recognise import Head

Floats = NDArray[np.float64]


class Column(NamedTuple):
    """One position along an output's axis of coordinates and classes: the file by its simulation.

    `about_mean_db` is the power of the simulation about its mean over the difference's, `max_abs` the largest one.
    """

    axis: int
    at: int
    about_mean_db: float
    max_abs: float


@dataclass(frozen=True)
class Twin:
    """One output: the simulation and the file by the float model, the file by the simulation, and by columns.

    `by_image` has each image's name and the largest difference of file and simulation on it; `values` is how many
    values were compared, of all images.
    """

    simulated: OutputAgreement
    file: OutputAgreement
    direct: OutputAgreement
    columns: tuple[Column, ...] = ()
    by_image: tuple[tuple[str, float], ...] = ()
    values: int = 0

    @property
    def name(self) -> str:
        """The output's name."""
        return self.file.name

    def worst_column(self, step: float) -> Column | None:
        """The one that agrees least, of those where a value is further apart than `step`."""
        apart = [column for column in self.columns if column.max_abs > step and not math.isnan(column.about_mean_db)]
        return min(apart, key=lambda column: column.about_mean_db, default=None)

    def image_apart(self, step: float, near_db: float, lost_db: float) -> str:
        """The first image on which a value is further apart than `step`, both agree to less than `near_db`, and the
        file has lost more than `lost_db`: images of large values hide it in the sum of all. Empty where none is.
        """
        direct_by, simulated_by, file_by = (item.by_image_snr_db for item in (self.direct, self.simulated, self.file))
        each = zip(self.by_image, direct_by, simulated_by, file_by, strict=True)
        for (image, apart), direct, simulated, file in each:
            if apart > step and direct < near_db and simulated - file > lost_db:
                return image
        return ""

    @property
    def lost_db(self) -> float:
        """How much further from the float model the file is than its simulation."""
        return self.simulated.judged_db - self.file.judged_db


@dataclass
class _Columns:
    """One output's sums at each position along its axis; none of outputs without one."""

    axis: int
    count: int = 0
    sums: Floats = field(default_factory=lambda: np.zeros(0))
    squares: Floats = field(default_factory=lambda: np.zeros(0))
    noise: Floats = field(default_factory=lambda: np.zeros(0))
    max_abs: Floats = field(default_factory=lambda: np.zeros(0))

    def add(self, twin: Floats, found: Floats) -> None:
        a, b = (np.moveaxis(values, self.axis, 0).reshape(values.shape[self.axis], -1) for values in (twin, found))
        off = a - b
        new = a.sum(axis=1), (a * a).sum(axis=1), (off * off).sum(axis=1)
        if not self.count:
            self.sums, self.squares, self.noise, self.max_abs = *(np.zeros(len(a)) for _ in new), np.zeros(len(a))
        self.sums, self.squares, self.noise = self.sums + new[0], self.squares + new[1], self.noise + new[2]
        self.max_abs = np.maximum(self.max_abs, np.abs(off).max(axis=1, initial=0.0))
        self.count += a.shape[1]

    def columns(self) -> Iterator[Column]:
        for at, (total, power, noise) in enumerate(zip(self.sums, self.squares, self.noise, strict=True)):
            moving = max(float(power - total**2 / self.count), 0.0)
            yield Column(self.axis, at, decibels(moving, float(noise)), float(self.max_abs[at]))


class Twins:
    """Adds up, image by image, how a finished file and its simulation agree; keeps sums, no outputs."""

    def __init__(self, heads: Sequence[Head] | None = None, size: Size | None = None) -> None:
        self._heads, self._size = heads, size
        self._simulated, self._file, self._direct = Comparison(), Comparison(), Comparison()
        self._columns: dict[str, _Columns] = {}
        self._by_image: dict[str, list[tuple[str, float]]] = {}
        self._values: Counter[str] = Counter()
        self._tasks: tuple[Task, ...] | None = None

    def add(self, image: str, reference: Outputs, twin: Outputs, found: Outputs) -> None:
        """Add one image's outputs: the float model's, its simulation's, and the file's.

        Where the float model or the simulation has no number, as of the root of -1 and of e^128 in FP16, none is right.

        Raises:
            VerificationFailed: an output is missing, or of another size.
        """
        twin, found = fitting(reference, twin), fitting(reference, found)
        self._simulated.add(image, reference, twin)
        known = {name: np.isfinite(reference[name]) & np.isfinite(values) for name, values in twin.items()}
        reference, twin, found = (
            {name: np.where(known[name], values[name], 0) for name in known} for values in (reference, twin, found)
        )
        self._file.add(image, reference, found)
        self._direct.add(image, twin, found)
        for name, values in twin.items():
            self._values[name] += values.size
            off = np.abs(values.astype(np.float64) - found[name].astype(np.float64))
            self._by_image.setdefault(name, []).append((image, float(off.max(initial=0.0))))
            for axis in column_axes(values.shape):
                pair = (np.nan_to_num(item.astype(np.float64), posinf=0, neginf=0) for item in (values, found[name]))
                self._columns.setdefault(name, _Columns(axis)).add(*pair)
        for task in self._tasks_for(twin):
            task.add(image, twin, found)

    def _tasks_for(self, outputs: Outputs) -> tuple[Task, ...]:
        if self._tasks is None:
            self._tasks = choose_tasks.of_image(outputs, self._heads, self._size)
        return self._tasks

    def outputs(self) -> Iterator[Twin]:
        """Each output's numbers."""
        three = (item.outputs() for item in (self._simulated, self._file, self._direct))
        for simulated, file, direct in zip(*three, strict=True):
            found = self._columns.get(file.name)
            columns = tuple(found.columns()) if found else ()
            by_image = tuple(self._by_image.get(file.name, ()))
            yield Twin(simulated, file, direct, columns, by_image, self._values[file.name])

    def tasks(self) -> tuple[TaskAgreement, ...]:
        """What the file decides, by what its simulation does: those that are no mere guess, and could be measured."""
        found = (task.agreement() for task in self._tasks or ())
        return tuple(task for task in found if task.speaks)

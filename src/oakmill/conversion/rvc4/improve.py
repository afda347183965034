"""Lets aimet-onnx learn weights, and takes them where the quantized graph then agrees better on images held back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from oakmill.conversion.cache.store import Store, key_of
from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.output.publish import work_folder
from oakmill.conversion.prepare import Prepared, save
from oakmill.conversion.rvc4.best_ranges import GAIN_DB
from oakmill.conversion.rvc4.judge import Judge, held_back
from oakmill.errors import PreparationFailed, SpecError
from oakmill.graph.quantize import Interval, Plan
from oakmill.graph.skeleton import copy_of
from oakmill.processes.events import Watcher
from oakmill.spec import Improvement, Rvc4Spec
from oakmill.spec.recipe import ImprovementRecord
from oakmill.toolchains import arrays
from oakmill.toolchains.aimet.toolchain import Learned, Order
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.environments import Environment

LESSONS = 32
"""Images that teach at most: each layer looks at all of them again and again."""
LEAST = 8
"""Images, below which there are none to hold back that would tell anything."""
STEPS = {Improvement.ADAROUND: 1000, Improvement.SEQMSE: 20}
"""Iterations for each layer, and scales that are tried for each channel."""

_KIND, _VERSION, _FILE = "learned-weights", 1, "weights.npz"


class Teacher(Protocol):
    """What learns weights: `Aimet`."""

    def require(self) -> Environment:
        """Its environment, whose `digest` says what is in it."""

    def improve(
        self, model: Path, samples: Sequence[Mapping[str, NDArray[Any]]], job: Path, order: Order, *, watch: Watcher
    ) -> Learned:
        """Learn from samples, in a folder that is made."""


@dataclass(frozen=True)
class Lesson:
    """What is learned from, by what, and where what was learned is kept."""

    spec: Rvc4Spec
    teacher: Teacher
    store: Store
    progress: Progress


def improve(
    lesson: Lesson,
    prepared: Prepared,
    plan: Plan,
    ranges: Mapping[str, Interval],
    samples: SampleSet,
    recorded: ImprovementRecord | None = None,
    finished: Callable[[onnx.ModelProto], onnx.ModelProto] = lambda model: model,
) -> tuple[Prepared, ImprovementRecord]:
    """The graph with learned weights where these agree better on the images held back, else as it is.

    With a record, as it was recorded: the same layers, however long they take. `finished` is what becomes of either
    graph before it is quantized.

    Raises:
        SpecError: there are too few images.
        PreparationFailed: the tool cannot take the graph.
        ToolKilled, LimitExceeded: the tool did not come to an end.
    """
    if recorded is not None and not recorded.used:
        return prepared, recorded
    order, held = _order(lesson.spec, recorded), held_back(len(samples))
    if len(samples) < LEAST:
        raise SpecError(
            f"--improve {order.method} learns from {len(samples)} images: at least {LEAST} have to calibrate, of which "
            "some are held back to judge by",
            remedy="give more images, or omit --improve",
        )
    taught = samples.head(min(LESSONS, len(samples) - held))
    learned = _learned(lesson, prepared, taught, order)
    made = replace(prepared, model=with_weights(prepared.model, learned.weights))
    if recorded is not None:
        return made, recorded
    judge = Judge(prepared, plan, [samples[index] for index in range(len(samples) - held, len(samples))])
    before, after = (judge.agreement(finished(each.model), ranges) for each in (prepared, made))
    record = ImprovementRecord(
        used=after >= before + GAIN_DB,
        method=order.method,
        steps=order.steps,
        images=len(taught),
        layers=tuple(learned.weights),
        complete=learned.complete,
        before_db=round(before, 2),
        after_db=round(after, 2),
    )
    lesson.progress.note(words(record))
    return (made if record.used else prepared), record


def words(record: ImprovementRecord) -> str:
    """What came of it, in a sentence."""
    taken = "are taken" if record.used else "are not better, and stay as they were"
    text = f"the weights of {len(record.layers)} layers, learned by {record.method}, {taken}: agreement "
    text += f"{record.before_db:.1f} dB without it, {record.after_db:.1f} with it, on images held back"
    return text if record.complete else f"{text}; the time ended before all were learned (--improve-minutes)"


def with_weights(model: onnx.ModelProto, weights: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """A copy with other values of constants, by their names.

    Raises:
        PreparationFailed: the graph has no such constant of that shape.
    """
    model = copy_of(model)
    constants = {item.name: item for item in model.graph.initializer}
    for name, values in weights.items():
        tensor = constants.get(name)
        if tensor is None or tuple(tensor.dims) != values.shape or not np.isfinite(values).all():
            raise PreparationFailed(f"what was learned of {name!r} does not fit the graph", subject=name)
        kind = numpy_helper.to_array(tensor).dtype
        tensor.CopyFrom(numpy_helper.from_array(values.astype(kind), name))
    return model


def _order(spec: Rvc4Spec, recorded: ImprovementRecord | None) -> Order:
    if recorded is not None:
        return Order(recorded.method, recorded.steps, spec.seed, recorded.layers)
    assert spec.improve is not None
    return Order(spec.improve.value, STEPS[spec.improve], spec.seed, None, 60.0 * spec.improve_minutes)


def _learned(lesson: Lesson, prepared: Prepared, taught: SampleSet, order: Order) -> Learned:
    """Out of the cache, where the same was learned before: AUTO's formats learn the same."""
    store, progress = lesson.store, lesson.progress
    key = _key(lesson, prepared, taught, order)
    with store.lend(_KIND, key) as kept:
        if kept is not None:
            progress.note("reused from the cache: the learned weights, of the same graph and images")
            about = kept.about
            (weights,) = arrays.load_named(kept.files[_FILE], about["layers"], 1)
            return Learned(weights, about["complete"], about["seconds"])
    with work_folder() as work:
        file = save(prepared.model, work / "graph" / "model.onnx")
        progress.doing(f"learning weights by {order.method}")
        try:
            learned = lesson.teacher.improve(file, list(taught), work / "job", order, watch=progress.tool)
        except RunnerError as error:
            raise PreparationFailed(
                f"--improve {order.method} cannot take this model: {error.message}", remedy="omit it", log=error.log
            ) from error
        about = {"layers": list(learned.weights), "complete": learned.complete, "seconds": learned.seconds}
        store.put(_KIND, key, {_FILE: arrays.save_named(work / _FILE, learned.weights)}, about)
    return learned


def _key(lesson: Lesson, prepared: Prepared, taught: SampleSet, order: Order) -> str:
    """By all that decides what is learned; where layers are named, no clock does."""
    asked = [order.method, order.steps, order.seed, order.layers, order.seconds]
    graph = prepared.model.SerializeToString(deterministic=True)
    digest = lesson.teacher.require().digest
    return key_of(_VERSION, asked, digest, lesson.spec.resize.value, taught.identity, graph)

"""Collects the ranges of a float model's activations over any number of images, in the memory of a few.

The network runs on several images at once, each in one thread, which makes more of the cores than several threads on
one image. Each thread reads its image itself. What comes back for an image is some numbers per tensor; they are taken
in in the images' order, so that the ranges do not depend on the threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from numpy.typing import NDArray
from onnx import ModelProto

from oakmill.calibration.checkpoint import Checkpoint, key_of
from oakmill.calibration.derivation import Origin, origins
from oakmill.calibration.distribution import Distribution
from oakmill.calibration.feed import cores, in_order
from oakmill.calibration.histogram import FIRST, Histograms
from oakmill.calibration.inspection import Extremes, Feeds, Inspector, Values, not_finite
from oakmill.errors import PreparationFailed, SourceError
from oakmill.spec import RangeMethod

S = TypeVar("S")
Found_contra = TypeVar("Found_contra", contravariant=True)

AT_ONCE = 8  # images: each takes the memory of one run's activations

_NOT_FINITE = (
    "Look at the image, and at mean and scale: a scale of 0 makes infinities. If the model does it on good images, "
    "it overflows in float already, and cannot be quantized."
)


class State(Protocol[Found_contra]):
    """What is kept of the images that were seen."""

    images: int

    def take(self, found: Found_contra, /) -> None:
        """Take in one more image."""

    def forget(self) -> None:
        """Begin anew."""

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as plain arrays."""

    def restore(self, state: dict[str, NDArray[Any]], /) -> None:
        """Go on from what `state` gave."""


@runtime_checkable
class Indexed(Protocol):
    """Samples that can be read in any order, from several threads at once."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Feeds: ...


@dataclass(frozen=True)
class Range:
    """The values of a tensor that an encoding shall hold."""

    low: float
    high: float


def collect(
    model: ModelProto,
    tensors: Sequence[str],
    samples: Iterable[Feeds] | Indexed,
    *,
    method: RangeMethod,
    bits: Mapping[str, int] | int = 8,
    threads: int | None = None,
    checkpoint: Path | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> dict[str, Range]:
    """The range of each of the tensors over all samples.

    MINMAX takes the smallest and the largest value; the smallest of what a Relu makes is 0. PERCENTILE leaves out
    0.001 % of the values, half of them on either side. MSE takes the range, zero in it, that loses least when it is
    cut into 2^bits - 1 even steps. The latter two come from histograms: of all values of small tensors; of large ones,
    of all rare values (the outer 0.02 %) and at least 4,096 others of each image.

    Args:
        model: in float32, of fixed shapes, batch 1, its nodes in topological order.
        tensors: inputs and nodes' outputs of the graph, of floats.
        samples: the model's inputs by name, one dict per image. A sequence is read in the threads, anything else
            by the caller's thread.
        method: how a range is chosen.
        bits: of the encoding, for all or by tensor (8 where none is given); MSE alone reads it.
        threads: how many threads compute; by default as many as there are cores.
        checkpoint: a file that is written every 10 seconds and at the end. Where it exists, and model, tensors,
            method and first sample are those it was written for, as many samples are passed over as are in it.
        report: called with the number of images done, after each.

    Returns:
        The ranges by tensor. A constant tensor's ends are equal.

    Raises:
        SourceError: there are no samples, or one cannot be read.
        PreparationFailed: a tensor is unknown or holds NaN or infinity, or the model cannot be run on the samples.
        OutputError: the checkpoint cannot be written.
    """
    found = distributions(model, tensors, samples, method=method, threads=threads, checkpoint=checkpoint, report=report)
    return {name: range_of(values, method, _bits(bits, name)) for name, values in found.items()}


def distributions(
    model: ModelProto,
    tensors: Sequence[str],
    samples: Iterable[Feeds] | Indexed,
    *,
    method: RangeMethod,
    threads: int | None = None,
    checkpoint: Path | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> dict[str, Distribution]:
    """What each of the tensors holds over all samples: extremes for MINMAX, histograms for the others; see `collect`.

    Raises:
        SourceError, PreparationFailed, OutputError: as `collect`.
    """
    tensors = list(dict.fromkeys(tensors))
    if not tensors:
        return {}
    check_names(model, tensors)
    counting = method is not RangeMethod.MINMAX
    derived = origins(model, tensors, monotone=not counting)
    roots = list(dict.fromkeys(part.root for origin in derived.values() for part in origin))
    state = Histograms(len(roots), counting=counting)
    saved, samples = resumed(model, [method, *tensors], samples, checkpoint, state)
    threads = threads or cores()
    at_once = min(threads, AT_ONCE)
    inspect: Inspector
    if counting:
        inspect = Values(model, roots, state, threads=threads // at_once)
    else:
        inspect = Extremes(model, roots, tensors, threads=threads // at_once)
    take_all(partial(seen, model, tensors, inspect), at_once, samples, state, saved, report)
    places = {root: place for place, root in enumerate(roots)}
    return {name: _joined(derived[name], places, state) for name in tensors}


def seen(
    model: ModelProto,
    tensors: Sequence[str],
    inspect: Callable[[Feeds], tuple[S, bool]],
    index: int,
    read: Callable[[], Feeds],
) -> S:
    """What an inspector sees on a sample.

    Raises:
        PreparationFailed: a tensor holds NaN or infinity.
    """
    feeds = read()
    found, finite = inspect(feeds)
    if not finite:
        _refuse(model, tensors, index, feeds)
    return found


def take_all(
    see: Callable[[int, Callable[[], Feeds]], S],
    at_once: int,
    samples: Iterable[Feeds] | Indexed,
    state: State[S],
    saved: Checkpoint | None,
    report: Callable[[int], None],
) -> None:
    """Bring all samples that are not in the state yet into it; the first ones before the others are begun."""
    before = state.images
    tasks = (partial(see, index, read) for index, read in enumerate(_reads(samples, before), before))
    for part in (itertools.islice(tasks, max(FIRST - before, 0)), tasks):
        for found in in_order(part, threads=at_once, ahead=at_once + 1):
            state.take(found)
            if saved:
                saved.save_now_and_then(state)
            report(state.images)
    if not state.images:
        raise SourceError("There is no image to calibrate on.", remedy="Give at least one; 100 and more are better.")
    if saved and state.images > before:
        saved.save(state)


def _refuse(model: ModelProto, tensors: Sequence[str], index: int, feeds: Feeds) -> None:
    """Fail for the first tensor that is not finite; where all are, only their sum was too large, which is no fault."""
    found = not_finite(model, tensors, feeds)
    if found:
        tensor, wrong, size = found
        message = f"{wrong} of {size} values of the tensor {tensor!r} are NaN or infinite on image {index} (from 0)."
        raise PreparationFailed(message, subject=tensor, remedy=_NOT_FINITE)


def _reads(samples: Iterable[Feeds] | Indexed, first: int) -> Iterator[Callable[[], Feeds]]:
    """What reads each sample from the first on: in the thread that calls it, where the samples can be indexed."""
    if isinstance(samples, Indexed):
        return (partial(samples.__getitem__, index) for index in range(first, len(samples)))
    return (partial(_given, feeds) for feeds in itertools.islice(samples, first, None))


def _given(feeds: Feeds) -> Feeds:
    return feeds


def resumed(
    model: ModelProto,
    words: Sequence[str],
    samples: Iterable[Feeds] | Indexed,
    path: Path | None,
    state: State[Any],
) -> tuple[Checkpoint | None, Iterable[Feeds] | Indexed]:
    """The checkpoint of what the words name, its content in the state if it is ours; and the samples, none of them lost
    by a look at one.
    """
    if path is None:
        return None, samples
    reads = _reads(samples, 0)
    first = next(reads, None)
    if first is None:
        return None, samples
    sample = first()
    saved = Checkpoint(path, key_of(words, model.SerializeToString(deterministic=True), sample))
    saved.restore(state)
    if isinstance(samples, Indexed):
        if state.images > len(samples):
            state.forget()
        return saved, samples
    return saved, itertools.chain([sample], (read() for read in reads))


def check_names(model: ModelProto, tensors: Sequence[str]) -> None:
    """Refuse names of no tensor.

    Raises:
        PreparationFailed: a tensor is unknown.
    """
    known = {value.name for value in model.graph.input}.union(*(node.output for node in model.graph.node))
    for name in tensors:
        if name not in known:
            raise PreparationFailed(f"The model has no tensor {name!r} that could be calibrated.", subject=name)


def _bits(bits: Mapping[str, int] | int, name: str) -> int:
    return bits if isinstance(bits, int) else bits.get(name, 8)


def _joined(origin: Origin, places: Mapping[str, int], state: Histograms) -> Distribution:
    return Distribution.joined([state.distribution(places[part.root]).mapped(part.function) for part in origin])


def range_of(values: Distribution, method: RangeMethod, bits: int) -> Range:
    """The range that a method takes; BEST, which has to be measured, is none of them."""
    match method:
        case RangeMethod.PERCENTILE:
            return Range(*values.percentile())
        case RangeMethod.MSE:
            return Range(*values.least_error(bits))
        case _:
            return Range(values.low, values.high)

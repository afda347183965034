"""Says how large a superblob will be and how long it will take, where a single blob would serve better."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from onnx import ModelProto

from oakmill.conversion.events import Progress
from oakmill.model import weight_bytes
from oakmill.processes.events import ToolEvent

BLOBS = 16
LONG_S = 60.0
"""From here on people wonder whether it still runs; most networks' superblobs are done in half of it."""
SPREAD_S = 15.0
"""From here on, of one core, at most: docs/explain/scale.md has what a part costs."""
LARGE_BYTES = 50_000_000
LARGE_TIMES = 3.0
"""Superblobs share the weights, and are 1.1 to 2 times a blob; unrolled recurrent networks have come to 7 times."""
SECONDS_EACH = 0.01, 0.1
"""Of one core for all sixteen blobs, for each node: squeezenet took 0.7 s with its 66, yolox_nano_416 3.7 s with 250,
ResNet-18 2.5 s with 50, MobileNet-V2 10 s with 100 (docs/explain/speed.md). Larger maps take longer still."""
TIMES = 1.0, 2.0
"""How many times a blob's weights a superblob holds, of what was compiled here."""
TIMES_RECURRENT = 7.0
"""The same at most where the compiler unrolls a recurrent layer."""
_RECURRENT = {"LSTM", "GRU", "RNN"}
_TRY = "where the number of SHAVEs is fixed, --blob --shaves N makes one blob alone"


@dataclass
class Effort:
    """Watches the compiler: says how long all blobs of a superblob will take, if that is long.

    Before the first is done that is a least: as long as it took by now, for each.
    """

    progress: Progress
    workers: int
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _expected: str | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._began = self.clock()

    def tell_expected(self, model: ModelProto) -> None:
        """Say before the first blob what is to be expected, where that is large or may take long: a rough estimate.

        Args:
            model: as it is compiled, its weights in float32, of which a blob holds FP16.
        """
        nodes, weights = len(model.graph.node), weight_bytes(model) // 2
        recurrent = any(node.op_type in _RECURRENT for node in model.graph.node)
        sizes = [weights * times / 1e6 for times in (TIMES[0], TIMES_RECURRENT if recurrent else TIMES[1])]
        seconds = [max(nodes * each / min(self.workers, BLOBS), 1.0) for each in SECONDS_EACH]
        if sizes[1] * 1e6 > LARGE_BYTES or seconds[1] > LONG_S:
            least, most = map(_in_words, seconds)
            self.progress.note(
                f"a rough estimate by {nodes} nodes and {weights / 1e6:.0f} MB of weights in FP16: a superblob of "
                f"{sizes[0]:.0f} to {sizes[1]:.0f} MB, {least} to {most} of compiling, and more where maps are large; "
                f"{_TRY}"
            )

    def is_long(self, model: ModelProto) -> bool:
        """Whether a superblob may take so long that other machines save more than it costs to ask them."""
        return len(model.graph.node) * SECONDS_EACH[1] > SPREAD_S

    def watch(self, event: ToolEvent) -> None:
        """Pass on what the compiler says."""
        if event.total > 1 and event.done and self._expected is None:
            self._expected = self._told("about", event.total)
        told = self._expected
        if event.total > 1 and told is None:
            told = self._told("at least", event.total)
        self.progress.tool(replace(event, what=event.what + (told or "")) if event.total else event)

    def _told(self, how: str, blobs: int) -> str:
        """How long all blobs take, if each takes as long as the first has by now."""
        seconds = (self.clock() - self._began) * blobs / min(self.workers, blobs)
        return f", {how} {_in_words(seconds)} for the superblob; {_TRY}" if seconds > LONG_S else ""

    def tell_size(self, superblob: int, blob: int) -> None:
        """Say that a superblob became large; both in bytes."""
        if superblob > max(LARGE_BYTES, LARGE_TIMES * blob):
            self.progress.note(f"the superblob has {superblob / 1e6:.0f} MB, a blob {blob / 1e6:.0f} MB; {_TRY}")


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"

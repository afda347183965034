"""Says how long a superblob will take and how large it became, where a single blob would serve better."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from oakmill.conversion.events import Progress
from oakmill.processes.events import ToolEvent

LONG_S = 60.0
"""From here on people wonder whether it still runs; most networks' superblobs are done in half of it."""
LARGE_BYTES = 50_000_000
LARGE_TIMES = 3.0
"""Superblobs share the weights, and are 1.1 to 2 times a blob; unrolled recurrent networks have come to 7 times."""
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

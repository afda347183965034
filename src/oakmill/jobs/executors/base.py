"""What an executor is: it sees to it that somewhere a worker looks at the queue."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self


class Executor(Protocol):
    """Runs workers from its beginning to its end. It may place a job late, twice or never on one machine: a job is
    claimed by one worker at a time, whoever was sent for it."""

    @property
    def count(self) -> int:
        """How many jobs it runs side by side; 0 where that is not known."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End in order: jobs that run are given back to the queue."""

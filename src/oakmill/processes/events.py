"""What a running tool tells: lines of its log, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ToolEvent:
    """Something that a running tool said: a line of its log, or progress as `done` of `total`, in `unit` if it has one.

    `what` is what is being done.
    """

    line: str = ""
    done: int = 0
    total: int = 0
    what: str = ""
    unit: str = ""


Watcher = Callable[[ToolEvent], None]


def ignore(event: ToolEvent) -> None:
    """Watch nothing."""

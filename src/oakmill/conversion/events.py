"""What a running conversion tells whoever watches it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from oakmill.processes.events import ToolEvent


class Stage(StrEnum):
    """The stages of a conversion, in order."""

    INSTALL = "install"  #: of tools that are missing; most conversions have none
    INSPECT = "inspect"
    PREFLIGHT = "preflight"
    PREPARE = "prepare"
    CALIBRATE = "calibrate"
    COMPILE = "compile"
    PACKAGE = "package"
    VERIFY = "verify"
    PUBLISH = "publish"


_STAGE = "oakmill_stage"


@contextmanager
def failing_in(stage: Stage) -> Iterator[None]:
    """Note the stage on whatever is raised within, be it an error of ours or not; the first note stays."""
    try:
        yield
    except Exception as error:
        if not hasattr(error, _STAGE):
            setattr(error, _STAGE, stage)
        raise


def stage_of(error: BaseException) -> Stage | None:
    """The stage of a conversion in which an error, or the one that led to it, was raised; None outside of all."""
    seen: BaseException | None = error
    while seen is not None:
        found: Stage | None = getattr(seen, _STAGE, None)
        if found is not None:
            return found
        seen = seen.__cause__ or seen.__context__
    return None


class Kind(StrEnum):
    """What an event says."""

    STARTED = "started"
    PROGRESS = "progress"
    NOTE = "note"
    WARNING = "warning"
    LOG = "log"
    FINISHED = "finished"


@dataclass(frozen=True)
class Event:
    """One thing that happened in a stage; `seconds` is the stage's time so far, `unit` that of `done` and `total`."""

    stage: Stage
    kind: Kind
    text: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    unit: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The event as plain data, without what is empty."""
        return {key: value for key, value in asdict(self).items() if value or key == "seconds"}


Observer = Callable[[Event], None]


def unobserved(event: Event) -> None:
    """Tell nobody."""


@dataclass
class Progress:
    """Tells an observer about the stages, keeps their times and all notes and warnings for the recipe."""

    observer: Observer = unobserved
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _stage: Stage = Stage.INSPECT
    _began: float = 0.0

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Run a stage: its start, its end and its time are told; an end by failure is noted on the error alone."""
        self._stage, self._began = stage, time.monotonic()
        self._tell(Kind.STARTED)
        with failing_in(stage):
            yield
        self.seconds[stage] = time.monotonic() - self._began
        self._tell(Kind.FINISHED)

    def note(self, text: str) -> None:
        """Tell something worth knowing, such as a value that was taken from the model."""
        self.notes.append(text)
        self._tell(Kind.NOTE, text)

    def warn(self, text: str) -> None:
        """Tell something that may make the result wrong."""
        self.warnings.append(text)
        self._tell(Kind.WARNING, text)

    def doing(self, text: str, done: int = 0, total: int = 0, unit: str = "") -> None:
        """Tell what is being done now."""
        self._tell(Kind.PROGRESS, text, done, total, unit)

    def tool(self, event: ToolEvent) -> None:
        """Pass on what a running tool says."""
        if event.line:
            self._tell(Kind.LOG, event.line)
        else:
            self.doing(event.what, event.done, event.total, event.unit)

    def _tell(self, kind: Kind, text: str = "", done: int = 0, total: int = 0, unit: str = "") -> None:
        self.observer(Event(self._stage, kind, text, done, total, time.monotonic() - self._began, unit))

"""Tells people and machines why a conversion failed and what to change, and keeps the evidence where asked to."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oakmill.errors import LimitExceeded, NotAModel, OakmillError, OutputError, UnsafeSource
from oakmill.processes.deadline import ended_by
from oakmill.spec import ConversionSpec

if TYPE_CHECKING:
    from oakmill.conversion.events import Event, Observer
    from oakmill.conversion.failures import Failure, Remedy
    from oakmill.settings import Settings

verbose_option = click.option("-v", "--verbose", is_flag=True, help="Show what the vendors' tools print.")
debug_bundle_option = click.option(
    "--debug-bundle", type=click.Path(path_type=Path), metavar="FILE.zip",
    help="Where it fails, pack the evidence: log, versions, and the graph without its weights.",
)  # fmt: skip
"""Options of all commands that are an `Attempt`."""

_TAIL = 12
_EVENTS = 2000


@dataclass
class Attempt:
    """A conversion that may fail, and what is known of it by then."""

    model: Path
    platform: str
    output: Path
    settings: Settings
    bundle: Path | None
    as_json: bool
    verbose: bool
    spec: ConversionSpec | None = None
    events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_EVENTS))

    def watching(self, observer: Observer) -> Observer:
        """The observer, with what it is told kept for a debug bundle."""

        def watch(event: Event) -> None:
            self.events.append(event.as_dict())
            observer(event)

        return watch

    def explain(self, error: BaseException) -> Failure:
        """Why it failed; the evidence is written where it was asked for, and always where Oakmill itself failed."""
        from oakmill.conversion.failures import SourceFacts, explain

        opened = not isinstance(error, UnsafeSource | NotAModel)
        facts = SourceFacts.read(self.model, self.settings) if opened else SourceFacts()
        failure = explain(error, spec=self.spec, facts=facts, platform=self.platform)
        if self.bundle is None and isinstance(error, OakmillError):
            return failure
        return self._with_bundle(failure, error.log if isinstance(error, OakmillError) else "")

    def _with_bundle(self, failure: Failure, log: str) -> Failure:
        from oakmill.conversion.failures import bundle

        target = self.bundle or self.output / f"{self.model.stem or 'model'}{bundle.ENDING}"
        try:
            told = list(self.events)
            bundle.write(
                target, failure, settings=self.settings, model=self.model, events=told, log=log, spec=self.spec
            )
        except OutputError as error:  # the failure itself matters more
            click.echo(f"oakmill: {error.message} ({error.subject})", err=True)
            return failure
        return failure.model_copy(update={"bundle": str(target)})


@contextmanager
def explained(attempt: Attempt) -> Iterator[None]:
    """End a conversion that fails with its explanation and the error's exit code; other exceptions go on.

    Native code that hangs ends with the process, explained in the same way.
    """
    try:
        with ended_by(partial(_end, attempt)):
            yield
    except OakmillError as error:
        _tell(attempt, attempt.explain(error), error.as_dict())
        raise SystemExit(error.exit_code) from error
    except (click.ClickException, click.Abort):
        raise
    except Exception as error:
        failure = attempt.explain(error)
        _tell(attempt, failure, {"code": failure.code, "exit_code": failure.exit_code, "message": failure.sentence})
        raise


def _end(attempt: Attempt, what: str, seconds: float) -> None:
    """End this process, whose main thread does not come back from native code."""
    from oakmill.conversion.output.publish import discard_unfinished

    error = LimitExceeded(
        f"{what} was not done after {seconds:g} s, and was ended",
        remedy="try it once more; where it stays, --debug-bundle FILE packs the evidence for a report",
    )
    try:
        _tell(attempt, attempt.explain(error), error.as_dict())
        discard_unfinished()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(error.exit_code)


def _tell(attempt: Attempt, failure: Failure, error: dict[str, Any]) -> None:
    if attempt.as_json:
        click.echo(json.dumps({"error": {**error, "failure": failure.model_dump(mode="json")}}, ensure_ascii=False))
    for line in in_words(failure, log=not attempt.verbose):
        click.echo(line, err=True)


def in_words(failure: Failure, *, log: bool = True) -> Iterator[str]:
    """The failure as lines for people."""
    yield click.style("error: ", fg="red", bold=True) + failure.sentence
    if failure.details:
        yield _line("it says", failure.details)
    yield _line("stage", failure.stage)
    if failure.place:
        yield _line("where", failure.place.in_words())
    if failure.cause:
        yield _line("why", failure.cause)
    for remedy in failure.remedies:
        yield click.style("  try: ", fg="green") + remedy.text
        yield from (f"       {words}" for words in _concretely(remedy))
    if log and failure.log:
        yield _line("log", "its last lines")
        yield from (click.style(f"  | {line}", dim=True) for line in failure.log[-_TAIL:])
    yield from _evidence(failure)


def _line(label: str, text: str) -> str:
    return click.style(f"  {label}: ", bold=True) + text


def _concretely(remedy: Remedy) -> Iterator[str]:
    if remedy.command:
        yield remedy.command
    if remedy.options:
        yield f"add            {shlex.join(remedy.options)}"
    for words in remedy.without:
        yield f"omit           {words}"
    for name, value in remedy.settings.items():
        yield f"{name}={value}"


def _evidence(failure: Failure) -> Iterator[str]:
    if failure.bundle:
        yield _line("evidence", f"{failure.bundle} (no weights, no images, no paths)")
    elif not failure.known:
        yield _line("evidence", "the same command with --debug-bundle FILE packs it for a report, without weights")

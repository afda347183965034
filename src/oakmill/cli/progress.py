"""Shows a conversion on the terminal: its stages with their times, what is being done, notes, warnings, numbers."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.text import Text

from oakmill.cli.passport_table import passport_table
from oakmill.cli.severities import marked, named
from oakmill.conversion.converted import Converted
from oakmill.conversion.events import Event, Kind
from oakmill.conversion.verify import Verified
from oakmill.errors import OakmillError
from oakmill.findings import Severity


class Display:
    """A line for each finished stage, and one that moves for the stage that runs; plain lines without a terminal."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._verbose = verbose
        self._live = Live(console=self._console, transient=True, refresh_per_second=12)
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, event: Event) -> None:
        """Show one event."""
        if event.kind is Kind.FINISHED:
            self._console.print(f"[green]✓[/] {event.stage:<10} [dim]{event.seconds:6.2f} s[/]")
        elif event.kind is Kind.NOTE:
            self._console.print(f"  [dim]{escape(event.text)}[/]")
        elif event.kind is Kind.WARNING:
            self._console.print(f"[yellow]! {escape(event.text)}[/]")
        elif event.kind is Kind.LOG and self._verbose:
            self._console.print(Text(f"  | {event.text}", style="dim"))
        elif self._console.is_terminal and event.kind in (Kind.STARTED, Kind.PROGRESS):
            self._live.update(self._moving(event))

    def installing(self, words: str) -> None:
        """Show what the installation of a toolchain says."""
        self._console.print(Text(words, style="dim"))

    def waiting(self, words: str) -> None:
        """Show that something is waited for."""
        if self._console.is_terminal:
            self._live.update(Spinner("dots", text=Text(words, style="dim")))

    def _moving(self, event: Event) -> Spinner:
        count = f" {event.done}/{event.total} {event.unit}".rstrip() if event.total else ""
        elapsed = time.monotonic() - self._began
        words = f"{event.stage:<10} [dim]{elapsed:6.2f} s[/] {escape(event.text)}{count}"
        return Spinner("dots", text=Text.from_markup(words))

    def failed(self, error: OakmillError) -> None:
        """Show the vendor tool's log, where the failure has one and it was not shown already."""
        if error.log and not self._verbose:
            for line in error.log.strip().splitlines()[-12:]:
                self._console.print(Text(f"  | {line}", style="dim"))

    def finished(self, converted: Converted) -> None:
        """Show the passport and where the result lies."""
        self._live.stop()
        self._console.print(passport_table(converted.passport))
        seconds = time.monotonic() - self._began
        size = converted.file.stat().st_size / 1e6
        self._console.print(f"[bold]{escape(str(converted.file))}[/] {size:.2f} MB in {seconds:.1f} s")

    def verified(self, seen: Verified) -> None:
        """Show what holds of a finished file, what does not, and its passport where there is one."""
        self._live.stop()
        for sentence in seen.holds:
            self._console.print(f"{marked(Severity.OK)} {escape(sentence)}")
        for finding in seen.findings:
            words = f"[bold]{escape(finding.title)}[/]: {escape(finding.message)}"
            self._console.print(f"{marked(finding.severity)} {words}")
            if finding.remedy:
                self._console.print(f"  [dim]what helps: {escape(finding.remedy)}[/]")
        if seen.passport:
            self._console.print(passport_table(seen.passport))
        self._console.print(f"[bold]{escape(str(seen.file))}[/]: {named(seen.verdict)}")

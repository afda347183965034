"""`oakmill toolchains`: list, install, verify and remove the vendors' tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from oakmill.processes.events import ToolEvent, Watcher
from oakmill.settings import current
from oakmill.toolchains import catalog
from oakmill.toolchains.archived import Archived
from oakmill.toolchains.base import State, Status, Toolchain
from oakmill.toolchains.installing import accepting, taking_from

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {
    State.INSTALLED: "green",
    State.MISSING: "yellow",
    State.BROKEN: "red",
    State.UNSUPPORTED: "bright_black",
}


@click.group(name="toolchains")
def command() -> None:
    """List, install, verify and remove the vendors' tools, each in an environment of its own."""


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def list_(as_json: bool) -> None:
    """Show every toolchain and how it stands on this machine."""
    found = [toolchain.status() for toolchain in catalog.all_toolchains(current())]
    if as_json:
        click.echo(json.dumps([asdict(status) for status in found], default=str, indent=1))
        return
    from rich.console import Console

    Console().print(table(found))


def table(found: list[Status]) -> Table:
    """The toolchains as people read them."""
    from rich.markup import escape
    from rich.table import Table

    rows = Table("toolchain", "state", "what it is", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for status in found:
        state = f"[{COLOURS[status.state]}]{status.state}[/]"
        rows.add_row(status.name, state, "\n".join(filter(None, (status.summary, escape(status.detail)))))
    return rows


@command.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--accept-licence", "accepted", multiple=True, metavar="NAME",
    help="Accept a licence that has to be accepted by its name: AGPL-3.0 for sources/ultralytics, "
    "Qualcomm-AI-Stack-License for Qualcomm's SDKs.",
)  # fmt: skip
@click.option(
    "--from", "archive", metavar="FILE_OR_URL",
    help="The vendor's archive: needed for rvc2/openvino-2022.3, and for rvc4/qairt-... in place of Qualcomm's "
    "service.",
)  # fmt: skip
def install(names: tuple[str, ...], accepted: tuple[str, ...], archive: str | None) -> None:
    """Make a toolchain's environment and verify it by real work.

    NAME is a full name (rvc2/openvino-2022.2.0), or a platform (rvc2) for its default toolchain. One that is there
    is made anew. rvc4/qairt-2.41.0.251128, or any version of that shape, downloads Qualcomm's SDK, and goes on where
    a download was cut; rvc2/openvino-2022.3 is made out of an archive that you have, or know the address of.
    """
    settings = accepting(current(), *accepted)
    if archive is not None:
        _require_one_of_an_archive([catalog.find(name, settings) for name in names])
        settings = taking_from(settings, archive)
    for toolchain in [catalog.find(name, settings) for name in names]:
        with progress(f"Installing {toolchain.name}") as watch:
            status = toolchain.install(watch)
        click.echo(f"{status.name}: {status.state} and verified; {status.folder}")


def _require_one_of_an_archive(found: list[Toolchain]) -> None:
    if len(found) != 1 or not isinstance(found[0], Archived):
        names = ", ".join(toolchain.name for toolchain in found)
        raise click.UsageError(f"--from names the archive of one toolchain that is made out of one, not of {names}.")


@command.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def verify(names: tuple[str, ...]) -> None:
    """Compile a tiny model for real, and show what was seen."""
    for toolchain in [catalog.find(name, current()) for name in names]:
        seen = toolchain.verify()
        click.echo(f"{toolchain.name}: works; " + ", ".join(f"{name} {value}" for name, value in seen.items()))


@command.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def remove(names: tuple[str, ...]) -> None:
    """Remove a toolchain's environment from the disk."""
    from oakmill.toolchains import environments

    for toolchain in [catalog.find(name, current()) for name in names]:
        removed = environments.remove(toolchain.name, current())
        click.echo(f"{toolchain.name}: " + ("removed" if removed else "is not installed"))


@contextmanager
def progress(title: str) -> Iterator[Watcher]:
    """A watcher that shows a tool's last line on a terminal, and prints every line where there is none."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        click.echo(f"{title} ...", err=True)
        yield lambda event: click.echo(f"  {event.line.strip()}", err=True) if event.line else None
        return
    with console.status(escape(title)) as status:
        yield lambda event: status.update(f"{escape(title)} [dim]{escape(_words(event))}[/]")


def _words(event: ToolEvent) -> str:
    return event.line.strip() or f"{event.what} {event.done}/{event.total} {event.unit}".rstrip()

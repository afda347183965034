"""Which hub a command speaks to, and with which key: given, from the settings, or kept by `oakmill login`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oakmill.errors import HubUnreachable, OutputError
from oakmill.files import atomic_write
from oakmill.settings import Settings, current

if TYPE_CHECKING:
    from oakmill.client import Hub

Command = TypeVar("Command", bound=Callable[..., Any])


def hub_option(command: Command) -> Command:
    """The option --hub, which may also stand before the command."""
    return click.option("--hub", "url", metavar="URL", help="The hub to speak to.  [default: that of the last login]")(
        command
    )


def connected(url: str | None) -> Hub:
    """The hub at that address, or else the one of the settings, or of the last login. Nothing is asked yet.

    A key that was kept is sent to the hub that it was kept for, and to no other.

    Raises:
        HubUnreachable: no hub is known.
        SpecError: that is no address.
    """
    from oakmill.client import Hub
    from oakmill.client.connection import address_of

    settings = current()
    kept = Kept.read(settings)
    address = address_of(url or of_root() or settings.hub_url or kept.last or _no_hub())
    return Hub(address, settings.key or kept.keys.get(address))


class Kept:
    """The hubs that were logged in to, with their keys; the last one is spoken to. `signers` are the hubs by the public
    keys that they sign with."""

    def __init__(
        self, last: str | None = None, keys: dict[str, str] | None = None, signers: dict[str, str] | None = None
    ) -> None:
        self.last, self.keys, self.signers = last, keys or {}, signers or {}

    @classmethod
    def read(cls, settings: Settings) -> Kept:
        """What is kept; nothing where there is no such file, or one that is not ours."""
        try:
            found = json.loads(settings.login.read_text())
            return cls(str(found["last"]), dict(found["keys"]), dict(found.get("signers", {})))
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def write(self, settings: Settings) -> Path:
        """Keep it, for this user's eyes only.

        Raises:
            OutputError: the config folder cannot be written.
        """
        path = settings.login
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, json.dumps(vars(self), indent=1), mode=0o600)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}", subject=str(path)) from error
        return path


@contextmanager
def moving(words: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for bytes on their way, on a terminal; what to call with how many have gone of how many."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(words, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def of_root() -> str | None:
    """The address that was given before the command."""
    found: str | None = click.get_current_context().find_root().params.get("hub")
    return found


def _no_hub() -> str:
    raise HubUnreachable(
        "No hub is known.",
        remedy="Run `oakmill login URL` first, or give --hub URL; `oakmill serve` starts a hub of your own.",
    )

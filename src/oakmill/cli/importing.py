"""`oakmill import`: fetches a model from Hugging Face or HubAI, into a folder or into a hub."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oakmill.cli.connecting import connected, moving, of_root
from oakmill.cli.listing import json_option, size_of
from oakmill.errors import ImportNotAllowed, OutputError, OutputExists
from oakmill.settings import Settings, current

if TYPE_CHECKING:
    from oakmill.importing.address import Address
    from oakmill.processes.events import Watcher
    from oakmill.spec.imported import Imported

KEYS = {"hubai": "HUBAI_API_KEY", "hf": "HF_TOKEN"}


@click.command(name="import")
@click.argument("address", metavar="ADDRESS")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path(), show_default=True, help="Folder for it."
)
@click.option("--overwrite", is_flag=True, help="Replace files of the same names that have other bytes.")
@click.option(
    "--to", "place", metavar="[TEAM/]MODEL[:VARIANT[:VERSION]]",
    help="Where it goes in the hub.  [default: as it is called where it comes from]",
)  # fmt: skip
@click.option(
    "--hub", "url", is_flag=False, flag_value="", metavar="[URL]",
    help="Bring it into a hub, that of the last login or at URL, and not into a folder.",
)  # fmt: skip
@json_option
def command(address: str, output: Path, overwrite: bool, place: str | None, url: str | None, as_json: bool) -> None:
    """Import the model at ADDRESS: hf:OWNER/REPO/FILE[@REVISION] or hubai:TEAM/MODEL:VARIANT[:VERSION or HASH].

    Of Hugging Face, public models need no key; a token is read from HF_TOKEN. Of HubAI, the key is read from
    HUBAI_API_KEY, or asked for. What comes is compared with what the server says of it, and looked at in a sandbox.
    """
    from oakmill.importing.address import parse

    at, settings = parse(address), current()
    into_hub = url is not None or place is not None or of_root() is not None
    key = _key(address.partition(":")[0])
    with _folder(None if into_hub else output) as folder:
        come, imported = _fetched(at, folder, key, settings)
        if into_hub:
            _into_hub(url or None, place or ":".join(at.names), come, imported, as_json)
        else:
            _tell(_put(come, folder, output, overwrite), imported, as_json)


def _key(kind: str) -> str:
    """The user's key, which is never an argument: others would see it."""
    given = os.environ.get(KEYS[kind], "").strip()  # noqa: TID251 - the vendors' own names for it
    if given or kind != "hubai":
        return given
    if not sys.stdin.isatty():
        raise ImportNotAllowed("HubAI gives models to holders of a key.", remedy="Set HUBAI_API_KEY to yours.")
    return str(click.prompt("HubAI API key", hide_input=True, err=True)).strip()


@contextmanager
def _folder(beside: Path | None) -> Iterator[Path]:
    """A folder for what comes, on the disk where it is to be in the end."""
    from oakmill.files import aside

    parent = beside or current().home
    with ExitStack() as held:
        try:
            folder = held.enter_context(aside(parent, ".oakmill-import-"))
        except OSError as error:
            raise OutputError(f"{parent} cannot be written: {error.strerror}", subject=str(parent)) from error
        yield folder


def _fetched(at: Address, folder: Path, key: str, settings: Settings) -> tuple[list[Path], Imported]:
    """The model's files, the model first, once they were looked at as an upload's are."""
    from oakmill.importing import run
    from oakmill.importing.places import Asking
    from oakmill.untrusted.ask import IsolatedWorkers

    come: list[Path] = []

    def accept(files: Sequence[Path]) -> Sequence[str]:
        come.extend(files)
        return _looked_at(isolated, come, folder)

    with closing(IsolatedWorkers(settings)) as isolated, _watching(str(at)) as watch:
        isolated.warm()
        imported = run.run(at, folder, Asking(settings, key, watch, proxied=True), accept)
    return come, imported


def _looked_at(isolated: Any, come: Sequence[Path], folder: Path) -> Sequence[str]:
    from oakmill.jobs import ingest
    from oakmill.untrusted.folder import link_or_copy

    found = ingest.inspect(
        isolated, {path.relative_to(folder).as_posix(): partial(link_or_copy, path) for path in come}
    )
    return () if found.source is not None else found.missing


@contextmanager
def _watching(words: str) -> Iterator[Watcher]:
    """A bar of the bytes that have come; what else is told goes to the terminal's errors."""
    with moving(words) as progress:

        def watch(event: Any) -> None:
            if event.total:
                progress(event.done, event.total)
            elif event.line.strip():
                click.echo(event.line.strip(), err=True)

        yield watch


def _put(come: Sequence[Path], folder: Path, output: Path, overwrite: bool) -> list[Path]:
    """The files under their names in the user's folder; nothing is put where one of them may not be."""
    from oakmill.files import file_sha256

    targets = [output / path.relative_to(folder) for path in come]
    for path, target in zip(come, targets, strict=True):
        if target.exists() and not overwrite and not (target.is_file() and file_sha256(path) == file_sha256(target)):
            raise OutputExists(
                f"{target} is there already, with other bytes.", subject=str(target),
                remedy="Use --overwrite, or another -o.",
            )  # fmt: skip
    for path, target in zip(come, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    return targets


def _into_hub(url: str | None, place: str, come: Sequence[Path], imported: Imported, as_json: bool) -> None:
    from oakmill.cli import places

    with connected(url) as hub, moving(come[0].name) as progress:
        model, version, instance = places.place(
            hub, place, come, model_type=places.type_of(come[0]), progress=progress, imported=imported
        )
    where = f"{model.team}/{model.slug}:{version.variant_slug}:{version.version}"
    if as_json:
        told = {"address": where, "instance": instance.model_dump(mode="json")}
        click.echo(json.dumps({**told, "imported": imported.model_dump(mode="json")}, ensure_ascii=False))
        return
    click.echo(where)
    _tell_origin(imported)


def _tell(files: Sequence[Path], imported: Imported, as_json: bool) -> None:
    if as_json:
        told = {"files": list(map(str, files)), "imported": imported.model_dump(mode="json")}
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    for path in files:
        click.echo(path)
    _tell_origin(imported)


def _tell_origin(imported: Imported) -> None:
    licence = imported.licence or "none told"
    click.echo(f"from {imported.title}: {imported.name}, {imported.revision}; licence: {licence}", err=True)
    for file in imported.files:
        click.echo(f"{file.name} {size_of(file.size)}, sha256 {file.sha256} ({CHECKED[file.checked]})", err=True)


CHECKED = {
    "sha256": "as the server says",
    "git": "as the server's git says",
    "size": "the server tells its size alone",
}

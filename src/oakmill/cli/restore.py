"""`oakmill restore`: makes an empty hub the one of a backup."""

from __future__ import annotations

from pathlib import Path

import click

from oakmill.cli.listing import size_of
from oakmill.settings import current


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--sha256", help="Of its manifest, as `oakmill backup` told it when it was made.")
def command(folder: Path, sha256: str | None) -> None:
    """Make the hub whose database and store the settings name the one of the backup in FOLDER. It must be empty.

    All of the backup is verified first: a file that is missing or has changed, or rows without their bytes, end it.

    A backup of an older Oakmill is brought up to date on the way. Killed in between, run it again.
    """
    from oakmill.storage.backup import restore

    found = restore(current(), folder, sha256)
    click.echo(f"restored {found.blobs} files, {size_of(found.size)}, of the backup made {found.made}")

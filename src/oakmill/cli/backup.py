"""`oakmill backup`: copies the hub of this machine into a folder, while it runs."""

from __future__ import annotations

from pathlib import Path

import click

from oakmill.cli.listing import size_of
from oakmill.settings import current


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Copy the hub whose database and store the settings name into the new FOLDER: rows, files and secret.

    Each file's sha256 is checked. The backup is the same whatever the hub stands on, so it also moves a hub from
    SQLite to PostgreSQL and from a folder to S3.
    """
    from oakmill.storage.backup import backup

    made = backup(current(), folder)
    click.echo(f"{folder}: {made.blobs} files, {size_of(made.size)}")

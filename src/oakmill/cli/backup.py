"""`oakmill backup`: copies the hub of this machine into a folder, while it runs."""

from __future__ import annotations

from pathlib import Path

import click

from oakmill.cli.listing import size_of
from oakmill.settings import current


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--verify", "verify_only", is_flag=True, help="Make none: say whether the backup in FOLDER is whole.")
@click.option("--sha256", help="With --verify: of its manifest, as `oakmill backup` told it when it was made.")
def command(folder: Path, verify_only: bool, sha256: str | None) -> None:
    """Copy the hub whose database and store the settings name into the new FOLDER: rows, files and secret.

    Each file's sha256 is checked, and told in manifest.json, whose own sha256 is printed: keep it elsewhere, and it
    proves later that the backup is this one. The backup is the same whatever the hub stands on, so it also moves a hub
    from SQLite to PostgreSQL and from a folder to S3.
    """
    if verify_only:
        from oakmill.storage.manifest import verify

        found = verify(folder, sha256)
        click.echo(f"{folder} is whole: {found.blobs} files, {size_of(found.size)}, made {found.made}")
        return
    from oakmill.storage.backup import backup
    from oakmill.storage.manifest import digest_of

    made = backup(current(), folder)
    click.echo(f"{folder}: {made.blobs} files, {size_of(made.size)}; manifest {digest_of(folder)}")

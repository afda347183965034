"""`oakmill doctor --store`: says which files the hub's rows name and its store has not, and whose they are."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.cli.listing import size_of
from oakmill.registry.tables import Dataset, Instance, InstanceFile
from oakmill.settings import Settings
from oakmill.storage.comparison import Comparison, compare
from oakmill.storage.database import Database
from oakmill.storage.stores import open_store

MOST = 100
"""Files that are told one by one."""


def examine_store(settings: Settings, *, read: bool, as_json: bool) -> None:
    """Compare, and tell.

    Raises:
        BlobDamaged: the store lacks a file, or has it otherwise.
        StoreUnreachable: the bucket does not answer.
    """
    with closing(Database.of(settings)) as db:
        found = compare(db, open_store(settings), read=read)
        with db.reading() as session:
            lost = [*found.missing, *found.damaged]
            owners = {sha256: _owners(session, sha256) for sha256 in lost[:MOST]}
    if as_json:
        click.echo(json.dumps({**asdict(found), "owners": owners}, indent=1))
    else:
        _show(found, owners)
    found.require()


def _show(found: Comparison, owners: dict[str, list[str]]) -> None:
    whole = found.named - len(found.missing) - len(found.damaged)
    click.echo(f"{whole} of {found.named} files that rows name are in the store")
    click.echo(f"{found.unnamed} files, {size_of(found.unnamed_size)}, are named by no row: a sweep frees them")
    for sha256, whose in owners.items():
        word = "is not there" if sha256 in found.missing else "is not what was stored"
        click.echo(f"{sha256} {word}: {'; '.join(whose) or 'a file of a job or an upload'}")


def _owners(session: Session, sha256: str) -> list[str]:
    files = select(Instance.id, Instance.name, InstanceFile.name).join(
        Instance, Instance.id == InstanceFile.instance_id
    )
    of_instances = session.execute(files.where(InstanceFile.sha256 == sha256).limit(3)).all()
    sets = session.scalars(select(Dataset.slug).where(Dataset.sha256 == sha256).limit(3)).all()
    return [f"{file} of {name} ({row_id})" for row_id, name, file in of_instances] + [
        f"the set {slug}" for slug in sets
    ]

"""A restored hub has the same rows and the same bytes: from each database and store to each."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from oakmill.errors import BlobDamaged, HashMismatch, NotFound, OutputExists
from oakmill.files import held
from oakmill.jobs.tables import Job, LogLine
from oakmill.registry.tables import AuditEntry, Instance, InstanceFile, Model, Team, Variant, Version
from oakmill.settings import Settings
from oakmill.storage.backup import backup, restore
from oakmill.storage.database import Base, Database
from oakmill.storage.manifest import digest_of, verify
from oakmill.storage.migrate import upgrade
from oakmill.storage.stores import open_store
from tests.hub_servers import make_database

BYTES = [b"a model", b"another", b""]
KINDS = ["sqlite", "postgres"]


def settings_of(request: pytest.FixtureRequest, kind: str, store: str, home: Path) -> Settings:
    changes: dict[str, Any] = request.getfixturevalue("s3_store") if store == "s3" else {}
    if kind == "postgres":
        server = request.getfixturevalue("postgres_server")
        changes = changes | {"database": make_database(server, home.name)}
    return Settings(home=home, **changes)


def filled(settings: Settings) -> None:
    """A hub with something in every corner: rows above each other, rows of rows, moments, nothings."""
    db, blobs = Database.of(settings), open_store(settings)
    upgrade(db)
    (settings.hub / "secret").write_bytes(b"secret")
    with db.session() as session:
        session.add(Team(id="ait_1", name="Team", slug="team"))
        session.flush()
        session.add(Model(id="aim_1", team_id="ait_1", name="Net", slug="net", tasks=["detection"]))
        session.flush()
        session.add(Variant(id="aimv_1", model_id="aim_1", name="v", slug="v"))
        session.flush()
        session.add(Version(id="aimv_2", variant_id="aimv_1", model_id="aim_1", team_id="ait_1", version="0.1.0"))
        session.flush()
        for number, parent in ((2, None), (1, "aimi_2")):  # the parent comes after its child
            session.add(instance(f"aimi_{number}", parent))
            session.flush()
        for number, data in enumerate(BYTES):
            stored = blobs.put_bytes(data)
            blobs.record(session, stored)
            session.add(
                InstanceFile(
                    id=f"aimf_{number}", instance_id="aimi_1", name="f", sha256=stored.sha256, size=stored.size
                )
            )
        session.add(Job(id="aij_1", number=1, name="job", team_id="ait_1", source_id="aimi_1", files={}))
        session.flush()
        session.add(LogLine(job_id="aij_1", number=1, text="a line"))
        session.add(AuditEntry(action="did", detail={"what": [1, 2]}))
    db.close()


def instance(name: str, parent: str | None) -> Instance:
    return Instance(
        id=name,
        team_id="ait_1",
        model_id="aim_1",
        variant_id="aimv_1",
        version_id="aimv_2",
        parent_id=parent,
        name=name,
        slug=name,
        model_type="ONNX",
    )


def rows(settings: Settings) -> dict[str, list[Any]]:
    db = Database.of(settings)
    with db.reading() as session:
        found = {
            name: sorted((tuple(map(repr, row)) for row in session.execute(select(table))), key=str)
            for name, table in Base.metadata.tables.items()
        }
    db.close()
    return found


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(home=tmp_path / "hub1")
    filled(settings)
    yield settings


@pytest.mark.parametrize("store", ["directory", "s3"])
@pytest.mark.parametrize("there", KINDS)
@pytest.mark.parametrize("here", KINDS)
def test_a_restored_hub_is_the_same(
    request: pytest.FixtureRequest, tmp_path: Path, here: str, there: str, store: str
) -> None:
    source = settings_of(request, here, store, tmp_path / "source")
    target = settings_of(request, there, "directory", tmp_path / "target")
    filled(source)
    manifest = backup(source, tmp_path / "backup")
    assert (manifest.blobs, manifest.size) == (3, 14)
    assert restore(target, tmp_path / "backup") == manifest
    assert rows(target) == rows(source)
    blobs = open_store(target)
    with closing(Database.of(target)) as db, db.reading() as session:
        hashes = session.scalars(select(InstanceFile.sha256).order_by(InstanceFile.id)).all()
    assert [b"".join(blobs.stream(sha256)) for sha256 in hashes] == BYTES
    assert (target.hub / "secret").read_bytes() == b"secret"


def test_a_restored_hub_goes_on_counting(request: pytest.FixtureRequest, hub: Settings, tmp_path: Path) -> None:
    target = settings_of(request, "postgres", "directory", tmp_path / "counting")
    backup(hub, tmp_path / "backup")
    restore(target, tmp_path / "backup")
    db = Database.of(target)
    with db.session() as session:
        entry = AuditEntry(action="more")
        session.add(entry)
        session.flush()
        assert entry.id == 2
    db.close()


def test_a_backup_never_replaces_anything(hub: Settings, tmp_path: Path) -> None:
    with pytest.raises(OutputExists):
        backup(hub, tmp_path)


def test_a_hub_is_never_written_over(hub: Settings, tmp_path: Path) -> None:
    backup(hub, tmp_path / "backup")
    with pytest.raises(OutputExists):
        restore(hub, tmp_path / "backup")


def test_a_folder_that_is_no_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="not a backup"):
        restore(Settings(home=tmp_path / "new"), tmp_path)


def test_damaged_bytes_are_not_backed_up_in_silence(hub: Settings, tmp_path: Path) -> None:
    spoil(hub.hub / "blobs")
    with pytest.raises(BlobDamaged):
        backup(hub, tmp_path / "backup")
    assert not list(tmp_path.glob("*backup*"))


def test_a_damaged_backup_is_not_restored(hub: Settings, tmp_path: Path) -> None:
    backup(hub, tmp_path / "backup")
    spoil(tmp_path / "backup" / "blobs")
    with pytest.raises(HashMismatch):
        restore(Settings(home=tmp_path / "new"), tmp_path / "backup")


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (lambda folder: max((folder / "blobs").glob("*/*/*")).unlink(), r"blobs/\w\w/\w\w/\w+ is missing"),
        (lambda folder: (folder / "secret").write_bytes(b"other"), "secret has changed"),
        (lambda folder: (folder / "hub.sqlite").unlink(), "hub.sqlite is missing"),
        (lambda folder: os.truncate(folder / "hub.sqlite", 20_000), "hub.sqlite has changed"),
        (lambda folder: _change_a_row(folder / "hub.sqlite"), "hub.sqlite has changed"),
        (lambda folder: _as_before(folder, os.truncate, 20_000), "hub.sqlite is (no whole database|damaged)"),
        (lambda folder: _as_before(folder, lambda path, _: path.write_bytes(b"SQLite"), 0), "is no whole database"),
    ],
)
def test_what_is_wrong_with_a_backup_is_named_and_nothing_is_restored(
    hub: Settings, tmp_path: Path, harm: Callable[[Path], object], named: str
) -> None:
    """A backup that lacked a blob, made a key an admin's, or was cut in half, was a success or a traceback."""
    backup(hub, tmp_path / "backup")
    harm(tmp_path / "backup")
    with pytest.raises(HashMismatch, match=named):
        verify(tmp_path / "backup")
    target = Settings(home=tmp_path / "new")
    with pytest.raises(HashMismatch, match=named):
        restore(target, tmp_path / "backup")
    assert not target.hub.exists()


def test_rows_without_their_bytes_are_found(hub: Settings, tmp_path: Path) -> None:
    backup(hub, tmp_path / "backup")
    manifest = tmp_path / "backup" / "manifest.json"
    stated = json.loads(manifest.read_text())
    lost = max((tmp_path / "backup" / "blobs").glob("*/*/*"))
    lost.unlink()
    del stated["files"][str(lost.relative_to(tmp_path / "backup"))]
    manifest.write_text(json.dumps(stated))
    with pytest.raises(HashMismatch, match=f"1 files that its rows name are not in it, the first is {lost.name}"):
        verify(tmp_path / "backup")


def test_another_manifest_than_the_one_that_was_told_is_refused(hub: Settings, tmp_path: Path) -> None:
    """Whoever can change a backup can change what it says of itself; not what was noted elsewhere."""
    backup(hub, tmp_path / "backup")
    told = digest_of(tmp_path / "backup")
    assert verify(tmp_path / "backup", told).blobs == 3
    manifest = tmp_path / "backup" / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    with pytest.raises(HashMismatch, match="is another one"):
        verify(tmp_path / "backup", told)


def _change_a_row(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("update teams set name = 'Mine'")


def _as_before(folder: Path, harm: Callable[[Path, int], object], size: int) -> None:
    """A backup of a version that told no digests, and harm to its database."""
    stated = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**stated, "files": None}))
    harm(folder / "hub.sqlite", size)


def spoil(folder: Path) -> None:
    path = max(folder.glob("*/*/*"), key=lambda path: path.stat().st_size)
    path.chmod(0o600)
    path.write_bytes(b"rotten")


def test_a_manifest_says_what_is_in_it(hub: Settings, tmp_path: Path) -> None:
    manifest = backup(hub, tmp_path / "backup")
    assert json.loads((tmp_path / "backup" / "manifest.json").read_text())["blobs"] == manifest.blobs


def test_a_killed_backup_is_swept_by_the_next(hub: Settings, tmp_path: Path) -> None:
    """It lay for a day, a copy of the hub with its secret; one that is being made is left alone."""
    left, busy = tmp_path / ".backup-left", tmp_path / ".backup-busy"
    for folder in (left, busy):
        (folder / "made").mkdir(parents=True)
        os.utime(folder, (0, 0))
    with held(busy / "made"):
        backup(hub, tmp_path / "monday")
    assert not left.exists()
    assert busy.exists()

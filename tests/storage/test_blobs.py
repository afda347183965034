"""The store keeps bytes by content, whole or not at all: one suite for a directory and for S3."""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from pathlib import Path

import pytest

from oakmill.errors import BlobDamaged, HashMismatch, NotFound, StoreUnreachable, Unavailable
from oakmill.jobs.tables import Job
from oakmill.registry.tables import Team
from oakmill.settings import Settings
from oakmill.storage.blobs import BlobStore, Stored
from oakmill.storage.database import Base, Database, now
from oakmill.storage.naming import BY_COLUMN
from oakmill.storage.stores import open_store
from oakmill.storage.tables import Blob, Upload

DATA = os.urandom(3_000_000)
AT_ONCE = timedelta(seconds=-5)  # also what came just now is old


def made(path: Path, data: bytes = DATA) -> Path:
    path.write_bytes(data)
    return path


def test_bytes_come_back_as_they_went_in(blobs: BlobStore) -> None:
    stored = blobs.put_bytes(DATA)
    assert stored == Stored(hashlib.sha256(DATA).hexdigest(), len(DATA))
    assert blobs.has(stored.sha256)
    assert blobs.size(stored.sha256) == len(DATA)
    pieces = list(blobs.stream(stored.sha256))
    assert b"".join(pieces) == DATA
    assert max(map(len, pieces)) <= 1 << 20


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (5, 2_000_000), (2_999_999, None), (7, 9_999_999), (3_000_000, None)]
)
def test_a_part_is_read_alone(blobs: BlobStore, start: int, end: int | None) -> None:
    stored = blobs.put_bytes(DATA)
    assert b"".join(blobs.stream(stored.sha256, start, end)) == DATA[start:end]


def test_nothing_at_all_is_a_blob_too(blobs: BlobStore, tmp_path: Path) -> None:
    stored = blobs.put_bytes(b"")
    blobs.fetch(stored.sha256, tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""


@pytest.mark.parametrize("move", [True, False])
@pytest.mark.parametrize("hash_known", [True, False])
def test_a_file_is_put_twice_and_is_there_once(blobs: BlobStore, tmp_path: Path, move: bool, hash_known: bool) -> None:
    sha256 = hashlib.sha256(DATA).hexdigest() if hash_known else None
    for name in ("first", "second"):
        path = made(tmp_path / name)
        assert blobs.put_file(path, sha256=sha256, move=move).sha256 == hashlib.sha256(DATA).hexdigest()
        assert path.exists() is not move
    assert b"".join(blobs.stream(hashlib.sha256(DATA).hexdigest())) == DATA


def test_a_file_that_changed_is_refused(blobs: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(HashMismatch):
        blobs.put_file(made(tmp_path / "file"), sha256="0" * 64)
    assert not blobs.has("0" * 64)


@pytest.mark.parametrize("sha256", ["0" * 64, "../../../../etc/passwd", ""])
def test_what_is_not_there_is_said_by_name(blobs: BlobStore, tmp_path: Path, sha256: str) -> None:
    assert not blobs.has(sha256)
    for ask in (blobs.size, blobs.stream, lambda it: blobs.fetch(it, tmp_path / "file")):
        with pytest.raises(NotFound):
            ask(sha256)
    assert list(tmp_path.glob("file*")) == []


def test_what_is_fetched_is_checked(settings: Settings, tmp_path: Path) -> None:
    blobs = open_store(settings)
    stored = blobs.put_bytes(DATA)
    blobs.fetch(stored.sha256, tmp_path / "good")
    assert (tmp_path / "good").read_bytes() == DATA
    local = blobs.local(stored.sha256)
    if local is None:
        return
    local.chmod(0o600)
    local.write_bytes(b"rotten")
    with pytest.raises(BlobDamaged):
        blobs.fetch(stored.sha256, tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_deleting_is_done_when_it_is_gone(blobs: BlobStore) -> None:
    stored = blobs.put_bytes(DATA)
    blobs.delete(stored.sha256)
    blobs.delete(stored.sha256)
    assert not blobs.has(stored.sha256)


def test_a_sweep_frees_only_what_is_old_and_has_no_name(blobs: BlobStore, db: Database) -> None:
    named, unnamed, unknown = (blobs.put_bytes(data) for data in (b"named", b"unnamed", b"no row"))
    with db.session() as session:
        for stored in (named, unnamed):
            blobs.record(session, stored)
        upload = Upload(id="u", team_id="t", name="n", max_size=9, sha256=named.sha256, expires=now())
        session.add(upload)
    with db.session() as session:
        assert blobs.sweep(session).count == 0
    with db.session() as session:
        swept = blobs.sweep(session, AT_ONCE)
    assert (swept.count, swept.size) == (2, len(b"unnamed" + b"no row"))
    assert [blobs.has(stored.sha256) for stored in (named, unnamed, unknown)] == [True, False, False]
    with db.reading() as session:
        assert [blob.sha256 for blob in session.query(Blob)] == [named.sha256]


def test_files_that_only_a_job_names_are_kept(blobs: BlobStore, db: Database) -> None:
    """A job names its calibration zip as "SHA256:NAME", which a sweep took for a name of no blob, and freed the zip."""
    stored = blobs.put_bytes(b"a zip")
    with db.session() as session:
        session.add(Team(id="t", name="T", slug="t"))
        session.flush()
        blobs.record(session, stored)
        session.add(Job(id="j", number=1, name="job", team_id="t", files={"data": f"{stored.sha256}:photos.zip"}))
    with db.session() as session:
        assert blobs.sweep(session, AT_ONCE).count == 0
    assert blobs.has(stored.sha256)


def test_no_sweep_runs_while_a_backup_holds_the_store(blobs: BlobStore, db: Database) -> None:
    blobs.put_bytes(b"unnamed")
    with blobs.held(), db.session() as session:
        assert blobs.sweep(session, AT_ONCE).count == 0


def test_bytes_that_were_freed_are_not_named(blobs: BlobStore, db: Database) -> None:
    stored = blobs.put_bytes(b"short-lived")
    blobs.delete(stored.sha256)
    with pytest.raises(Unavailable), db.session() as session:
        blobs.record(session, stored)
    with db.reading() as session:
        assert session.query(Blob).count() == 0


def test_every_table_that_names_blobs_is_known_to_the_sweep() -> None:
    naming = {name for name, table in Base.metadata.tables.items() if "sha256" in table.columns}
    assert naming - {"blobs", "keys"} == set(BY_COLUMN)


def test_a_bucket_that_does_not_answer_is_named_to_its_operator(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it is was told to whoever asked the hub for something."""
    options = {"endpoint": "http://127.0.0.1:9", "access_key_id": "a", "secret_access_key": "b", "region": "c"}
    blobs = open_store(Settings(home=tmp_path, store="s3://bucket", store_options=options))
    with pytest.raises(StoreUnreachable) as caught:
        blobs.put_bytes(b"data")
    assert "bucket" not in f"{caught.value.as_dict()}"
    assert "s3://bucket" in caplog.text


@pytest.mark.parametrize("store", ["nonsense://bucket", "s3://"])
def test_an_address_that_makes_no_sense_is_named(tmp_path: Path, store: str) -> None:
    with pytest.raises(StoreUnreachable):
        open_store(Settings(home=tmp_path, store=store))

"""Uploads resume, are limited, and are seen when they are complete: on each database, into each store."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

import oakmill.jobs.tables  # noqa: F401 - all tables
from oakmill.errors import Conflict, HashMismatch, NotFound, OffsetConflict, TooLarge
from oakmill.settings import Settings
from oakmill.storage import spool
from oakmill.storage.blobs import BlobStore
from oakmill.storage.database import Database, now
from oakmill.storage.tables import Blob, Upload, UploadStatus
from oakmill.storage.uploads import Uploads

DATA = os.urandom(3_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


class Broken(Exception):
    """The connection broke."""


async def chunks(data: bytes, *, breaks: bool = False) -> AsyncIterator[bytes]:
    for begin in range(0, len(data), 65_536):
        yield data[begin : begin + 65_536]
        await asyncio.sleep(0)
    if breaks:
        raise Broken


def announce(uploads: Uploads, db: Database, **changes: Any) -> str:
    request: dict[str, Any] = {"name": "model.onnx", "size": len(DATA), "sha256": SHA256}
    with db.session() as session:
        return uploads.create(session, team_id="t", key_id=None, **request | changes).id


def append(uploads: Uploads, upload_id: str, offset: int, data: bytes, *, breaks: bool = False) -> int:
    return asyncio.run(uploads.append(upload_id, offset, chunks(data, breaks=breaks)))


def row(db: Database, upload_id: str) -> Upload:
    with db.reading() as session:
        return session.get_one(Upload, upload_id)


def test_what_was_sent_is_in_the_store_and_recorded(uploads: Uploads, db: Database, blobs: BlobStore) -> None:
    upload_id = announce(uploads, db)
    assert append(uploads, upload_id, 0, DATA) == len(DATA)
    assert not blobs.has(SHA256), "nothing is seen before it is complete"
    stored = uploads.finish(upload_id)
    assert stored == uploads.finish(upload_id)
    assert b"".join(blobs.stream(stored.sha256)) == DATA
    assert row(db, upload_id).status == UploadStatus.COMPLETE
    with db.reading() as session:
        assert session.get_one(Blob, SHA256).size == len(DATA)
    assert list(uploads.folder.iterdir()) == []


def test_a_broken_connection_costs_nothing_that_came(uploads: Uploads, db: Database, blobs: BlobStore) -> None:
    upload_id = announce(uploads, db)
    with pytest.raises(Broken):
        append(uploads, upload_id, 0, DATA[:1_500_007], breaks=True)
    assert uploads.offset(upload_id) == 1_500_007
    append(uploads, upload_id, 1_500_007, DATA[1_500_007:])
    assert uploads.finish(upload_id).sha256 == SHA256


def test_a_restarted_server_goes_on(uploads: Uploads, db: Database, blobs: BlobStore, settings: Settings) -> None:
    upload_id = announce(uploads, db)
    append(uploads, upload_id, 0, DATA[:1_000_003])
    restarted = Uploads(db, blobs, settings)
    assert restarted.offset(upload_id) == 1_000_003
    append(restarted, upload_id, 1_000_003, DATA[1_000_003:])
    restarted.close()
    assert Uploads(db, blobs, settings).finish(upload_id).sha256 == SHA256


def test_a_server_killed_while_it_finishes_is_asked_again(
    uploads: Uploads, db: Database, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = announce(uploads, db)
    append(uploads, upload_id, 0, DATA)
    with monkeypatch.context() as patch, pytest.raises(Broken):
        patch.setattr(blobs, "record", raise_broken)
        uploads.finish(upload_id)
    assert uploads.offset(upload_id) == len(DATA)
    assert uploads.finish(upload_id).sha256 == SHA256


def raise_broken(*_: object) -> None:
    raise Broken


@pytest.mark.parametrize("offset", [0, 99, 5_000_000])
def test_bytes_for_another_place_are_refused_with_the_right_one(uploads: Uploads, db: Database, offset: int) -> None:
    upload_id = announce(uploads, db)
    append(uploads, upload_id, 0, DATA[:100])
    with pytest.raises(OffsetConflict) as caught:
        append(uploads, upload_id, offset, b"more")
    assert caught.value.subject == "100"


def test_an_upload_that_is_not_whole_is_not_finished(uploads: Uploads, db: Database, blobs: BlobStore) -> None:
    upload_id = announce(uploads, db)
    append(uploads, upload_id, 0, DATA[:100])
    with pytest.raises(OffsetConflict, match="100 of 3000000"):
        uploads.finish(upload_id)


def test_other_bytes_than_announced_are_refused_for_good(uploads: Uploads, db: Database, blobs: BlobStore) -> None:
    upload_id = announce(uploads, db, sha256="0" * 64)
    append(uploads, upload_id, 0, DATA)
    with pytest.raises(HashMismatch):
        uploads.finish(upload_id)
    assert not blobs.has(SHA256)
    assert row(db, upload_id).status == UploadStatus.FAILED
    with pytest.raises(Conflict, match="did not come as announced"):
        append(uploads, upload_id, 0, DATA)


def test_more_than_announced_is_refused_and_the_rest_stays(uploads: Uploads, db: Database) -> None:
    upload_id = announce(uploads, db)
    with pytest.raises(TooLarge):
        append(uploads, upload_id, 0, DATA + b"!")
    kept = uploads.offset(upload_id)
    append(uploads, upload_id, kept, DATA[kept:])
    assert uploads.finish(upload_id).sha256 == SHA256


@pytest.mark.parametrize(("size", "quota"), [(17 << 30, None), (1000, 999), (1000, -5), (1 << 50, None)])
def test_what_is_too_large_is_refused_at_once(uploads: Uploads, db: Database, size: int, quota: int | None) -> None:
    with pytest.raises(TooLarge):
        announce(uploads, db, size=size, quota_left=quota)


def test_an_upload_of_unknown_size_stops_at_the_quota(uploads: Uploads, db: Database) -> None:
    upload_id = announce(uploads, db, size=None, sha256=None, quota_left=1000)
    assert append(uploads, upload_id, 0, DATA[:1000]) == 1000
    with pytest.raises(TooLarge):
        append(uploads, upload_id, 1000, b"!")
    assert uploads.finish(upload_id).size == 1000


def test_a_disk_without_room_is_named(uploads: Uploads, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    upload_id = announce(uploads, db)
    monkeypatch.setattr(spool, "RESERVE", shutil.disk_usage(uploads.folder).total)
    with pytest.raises(TooLarge, match="disk"):
        announce(uploads, db)
    with pytest.raises(TooLarge, match="disk"):
        append(uploads, upload_id, 0, DATA)


def test_a_new_connection_takes_over_from_one_that_hangs(uploads: Uploads, db: Database) -> None:
    upload_id = announce(uploads, db)

    async def hanging() -> AsyncIterator[bytes]:
        yield DATA[:1_200_000]
        await asyncio.sleep(60)

    async def both() -> tuple[object, ...]:
        first = asyncio.create_task(uploads.append(upload_id, 0, hanging()))
        await asyncio.sleep(0.2)
        second = uploads.append(upload_id, 1_200_000, chunks(DATA[1_200_000:]))
        return tuple(await asyncio.gather(first, second, return_exceptions=True))

    first, second = asyncio.run(both())
    assert isinstance(first, Conflict)
    assert second == len(DATA)
    assert uploads.finish(upload_id).sha256 == SHA256


def test_another_process_that_sends_it_is_waited_for(
    uploads: Uploads, db: Database, blobs: BlobStore, settings: Settings
) -> None:
    upload_id = announce(uploads, db)
    with uploads._locked(upload_id), pytest.raises(Conflict, match="Another connection"):
        append(Uploads(db, blobs, settings), upload_id, 0, DATA)


def test_a_request_that_is_cancelled_stays_cancelled(uploads: Uploads, db: Database) -> None:
    upload_id = announce(uploads, db)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    async def cancelled() -> None:
        async with asyncio.timeout(0.2):
            await uploads.append(upload_id, 0, endless())

    with pytest.raises(TimeoutError):
        asyncio.run(cancelled())
    assert uploads.offset(upload_id) > 0


def test_an_empty_file_comes_through(uploads: Uploads, db: Database) -> None:
    upload_id = announce(uploads, db, size=0, sha256=None)
    assert uploads.finish(upload_id).size == 0


def test_what_rests_too_long_is_given_up(uploads: Uploads, db: Database) -> None:
    old, young = announce(uploads, db), announce(uploads, db)
    left = uploads.folder / "spool-left-by-a-crash"
    left.touch()
    long_ago = (now() - timedelta(days=9)).timestamp()
    os.utime(left, (long_ago, long_ago))
    with db.session() as session:
        session.get_one(Upload, old).expires = now() - timedelta(seconds=1)
    with db.session() as session:
        assert uploads.expire(session) == 1
    assert {path.name for path in uploads.folder.iterdir()} == {young}
    with pytest.raises(NotFound):
        append(uploads, old, 0, DATA)


def test_an_abandoned_upload_is_gone(uploads: Uploads, db: Database) -> None:
    upload_id = announce(uploads, db)
    with db.session() as session:
        uploads.abandon(session, upload_id)
    for ask in (uploads.offset, uploads.finish):
        with pytest.raises(NotFound):
            ask(upload_id)


def test_a_file_in_one_go_is_moved_into_the_store(uploads: Uploads, blobs: BlobStore) -> None:
    spooled = asyncio.run(uploads.receive(chunks(DATA), name="model.onnx"))
    assert (spooled.sha256, spooled.size) == (SHA256, len(DATA))
    assert blobs.put_file(spooled.path, sha256=spooled.sha256, move=True).sha256 == SHA256
    assert list(uploads.folder.iterdir()) == []


@pytest.mark.parametrize(("limit", "breaks", "error"), [(1000, False, TooLarge), (None, True, Broken)])
def test_a_file_in_one_go_that_fails_leaves_nothing(
    uploads: Uploads, limit: int | None, breaks: bool, error: type[Exception]
) -> None:
    with pytest.raises(error):
        asyncio.run(uploads.receive(chunks(DATA, breaks=breaks), limit=limit, name="model.onnx"))
    assert list(uploads.folder.iterdir()) == []

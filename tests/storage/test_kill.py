"""A server that is killed in the middle of an upload loses nothing that it has written, and shows no half file."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from oakmill.settings import Settings
from oakmill.storage.database import Database
from oakmill.storage.migrate import upgrade
from oakmill.storage.stores import open_store
from oakmill.storage.uploads import Uploads

SIZE = 64 << 20
DATA = bytes(range(256)) * (SIZE // 256)

SERVER = """
import asyncio, sys
from pathlib import Path
from oakmill.settings import Settings
from oakmill.storage.database import Database
from oakmill.storage.stores import open_store
from oakmill.storage.uploads import Uploads

settings = Settings(home=Path(sys.argv[1]))
uploads = Uploads(Database.of(settings), open_store(settings), settings)

async def slow():
    while True:
        yield bytes(range(256)) * 256
        await asyncio.sleep(0.002)

asyncio.run(uploads.append(sys.argv[2], 0, slow()))
"""


async def rest(begin: int) -> AsyncIterator[bytes]:
    for start in range(begin, SIZE, 1 << 20):
        yield DATA[start : start + (1 << 20)]


def test_an_upload_goes_on_after_its_server_was_killed(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    db, blobs = Database.of(settings), open_store(settings)
    upgrade(db)
    uploads = Uploads(db, blobs, settings)
    with db.session() as session:
        upload_id = uploads.create(session, team_id="t", key_id=None, name="model.onnx", size=SIZE).id
    kill_in_the_middle(tmp_path, uploads, upload_id)
    kept = uploads.offset(upload_id)
    assert 0 < kept < SIZE
    assert not list((settings.hub / "blobs").glob("*/*/*"))
    asyncio.run(uploads.append(upload_id, kept, rest(kept)))
    assert uploads.finish(upload_id).sha256 == hashlib.sha256(DATA).hexdigest()
    uploads.close()
    db.close()


def kill_in_the_middle(home: Path, uploads: Uploads, upload_id: str) -> None:
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(home), upload_id])
    try:
        deadline = time.monotonic() + 240
        while uploads.offset(upload_id) < 3 << 20 and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        server.kill()
        server.wait()

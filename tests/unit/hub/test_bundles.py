"""Several files of the store as one zip that lies nowhere."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from oakmill.hub.bundles import zipped
from oakmill.settings import Settings
from oakmill.storage.stores import open_store


def test_a_zip_of_blobs_is_made_in_pieces_and_read_whole(tmp_path: Path) -> None:
    store = open_store(Settings(home=tmp_path))
    large, small = bytes(range(256)) * 10_000, b"a passport"
    blobs = [store.put_bytes(data) for data in (large, small)]
    files = [
        (f"rvc4-int8/{name}", item.sha256, item.size) for name, item in zip(("net.dlc", "a.html"), blobs, strict=True)
    ]
    pieces = list(zipped(store, files))
    assert len(pieces) > 2
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert [item.filename for item in archive.infolist()] == ["rvc4-int8/net.dlc", "rvc4-int8/a.html"]
        assert archive.read("rvc4-int8/net.dlc") == large
        assert archive.read("rvc4-int8/a.html") == small

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from oakmill.conversion.cache import StageCache, key_of
from oakmill.settings import Settings


@pytest.fixture
def cache(tmp_path: Path) -> StageCache:
    return StageCache.of(Settings(home=tmp_path), "ranges")


def test_what_was_stored_is_found_by_its_key_alone(cache: StageCache, tmp_path: Path) -> None:
    cache.store("a" * 64, {"x": [1.5, -2.0]})
    assert cache.load("a" * 64) == {"x": [1.5, -2.0]}
    assert cache.load("b" * 64) is None
    assert StageCache.of(Settings(home=tmp_path), "others").load("a" * 64) is None


def test_floats_come_back_bit_by_bit(cache: StageCache) -> None:
    values = [0.1 + 0.2, 1e-310, -0.0, 3.4028234663852886e38]
    cache.store("key", {"x": values})
    assert [value.hex() for value in (cache.load("key") or {})["x"]] == [value.hex() for value in values]


@pytest.mark.parametrize("content", [b"", b"{", b'{"x": [1, ', b"[1, 2]", b"\xff\xfe\x00", b"null", b"[" * 100_000])
def test_a_damaged_entry_counts_as_none_and_can_be_stored_again(content: bytes, cache: StageCache) -> None:
    cache.store("key", {"x": 1})
    (cache.folder / "key.json").write_bytes(content)
    assert cache.load("key") is None
    cache.store("key", {"x": 2})
    assert cache.load("key") == {"x": 2}


def test_writers_at_once_leave_one_whole_entry(cache: StageCache) -> None:
    documents = [{"who": who, "values": [who] * 5000} for who in range(8)]
    threads = [threading.Thread(target=cache.store, args=("key", document)) for document in documents]
    for thread in threads:
        thread.start()
    seen = [found for _ in range(200) if (found := cache.load("key"))]
    for thread in threads:
        thread.join()
    assert all(found in documents for found in [*seen, cache.load("key")])
    assert [path.name for path in cache.folder.iterdir()] == ["key.json"]


def test_where_nothing_can_be_written_the_cache_is_empty(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = StageCache.of(Settings(home=tmp_path), "ranges")
    cache.store("key", {"x": 1})
    assert cache.load("key") is None
    assert cache.beside("key") is None


def test_what_could_not_be_brought_to_its_place_is_removed(cache: StageCache) -> None:
    (cache.folder / "key.json").mkdir(parents=True)
    cache.store("key", {"x": 1})
    assert [path.name for path in cache.folder.iterdir()] == ["key.json"]
    assert cache.load("key") is None


def test_a_key_tells_its_parts_apart() -> None:
    assert key_of("ab", "c") != key_of("a", "bc")
    assert key_of("a", "") != key_of("a")
    assert key_of({"x": 1, "y": 2}) == key_of({"y": 2, "x": 1})
    assert key_of(["x", "y"]) != key_of(["y", "x"])
    assert key_of(b"a") == key_of("a")
    assert key_of(1) != key_of(2)

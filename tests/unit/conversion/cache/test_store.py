from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from oakmill.conversion.cache.store import MANIFEST, Store, key_of
from oakmill.settings import Settings

KIND = "ranges"


@pytest.fixture
def cache(tmp_path: Path) -> Store:
    return Store.of(Settings(home=tmp_path))


def test_what_was_stored_is_found_by_its_key_alone(cache: Store, tmp_path: Path) -> None:
    cache.save(KIND, "a" * 64, {"x": [1.5, -2.0]})
    assert cache.load(KIND, "a" * 64) == {"x": [1.5, -2.0]}
    assert cache.load(KIND, "b" * 64) is None
    assert cache.load("others", "a" * 64) is None


def test_floats_come_back_bit_by_bit(cache: Store) -> None:
    values = [0.1 + 0.2, 1e-310, -0.0, 3.4028234663852886e38]
    cache.save(KIND, "key", {"x": values})
    assert [value.hex() for value in (cache.load(KIND, "key") or {})["x"]] == [value.hex() for value in values]


@pytest.mark.parametrize("content", [b"", b"{", b'{"x": [1, ', b"[1, 2]", b"\xff\xfe\x00", b"null", b"[" * 100_000])
def test_a_damaged_entry_counts_as_none_and_can_be_stored_again(content: bytes, cache: Store) -> None:
    cache.save(KIND, "key", {"x": 1})
    (cache.folder / KIND / "key.json").write_bytes(content)
    assert cache.load(KIND, "key") is None
    cache.save(KIND, "key", {"x": 2})
    assert cache.load(KIND, "key") == {"x": 2}


def test_writers_at_once_leave_one_whole_entry(cache: Store) -> None:
    documents = [{"who": who, "values": [who] * 5000} for who in range(8)]
    threads = [threading.Thread(target=cache.save, args=(KIND, "key", document)) for document in documents]
    for thread in threads:
        thread.start()
    seen = [found for _ in range(200) if (found := cache.load(KIND, "key"))]
    for thread in threads:
        thread.join()
    assert all(found in documents for found in [*seen, cache.load(KIND, "key")])
    assert [path.name for path in (cache.folder / KIND).iterdir()] == ["key.json"]


def test_where_nothing_can_be_written_the_cache_is_empty(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = Store.of(Settings(home=tmp_path))
    cache.save(KIND, "key", {"x": 1})
    assert cache.load(KIND, "key") is None
    assert cache.partial(KIND, "key") is None


def test_what_could_not_be_brought_to_its_place_is_removed(cache: Store) -> None:
    (cache.folder / KIND / "key.json").mkdir(parents=True)
    cache.save(KIND, "key", {"x": 1})
    assert [path.name for path in (cache.folder / KIND).iterdir()] == ["key.json"]
    assert cache.load(KIND, "key") is None


def test_a_key_tells_its_parts_apart() -> None:
    assert key_of("ab", "c") != key_of("a", "bc")
    assert key_of("a", "") != key_of("a")
    assert key_of({"x": 1, "y": 2}) == key_of({"y": 2, "x": 1})
    assert key_of(["x", "y"]) != key_of(["y", "x"])
    assert key_of(b"a") == key_of("a")
    assert key_of(1) != key_of(2)


@pytest.mark.parametrize("at", [0, 70, 100])
def test_a_document_that_is_still_json_but_not_what_was_stored_counts_as_none(at: int, cache: Store) -> None:
    """A flipped digit in a measured range would be a wrong model without a word."""
    cache.save(KIND, "key", {"x": [11111111111.5] * 4})
    path = cache.folder / KIND / "key.json"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert cache.load(KIND, "key") is None


# entries of files


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache", 1 << 20)


def read(store: Store, key: str, kind: str = "things") -> dict[str, bytes] | None:
    with store.lend(kind, key) as lent:
        return {name: lent.read(name) for name in lent.files} if lent else None


def test_an_entry_gives_back_its_files_and_what_is_known_of_them(store: Store, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 3_000)
    assert store.put("things", "key", {"a": b"one", "b": tmp_path / "big"}, {"by": "me"})
    with store.lend("things", "key") as lent:
        assert lent is not None
        assert (lent.read("a"), lent.read("b"), lent.about) == (b"one", b"x" * 3_000, {"by": "me"})
        assert lent.made.endswith("+00:00")
    assert read(store, "other") is None
    assert read(store, "key", "others") is None


@pytest.mark.parametrize("name", ["a", "b", MANIFEST])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_entry_is_none_and_goes(name: str, damage: str, store: Store) -> None:
    store.put("things", "key", {"a": b"one" * 99, "b": b"two" * 99})
    path = store.folder / "things" / "key" / name
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    assert read(store, "key") is None
    assert store.put("things", "key", {"a": b"new"}, replace=True)
    assert read(store, "key") == {"a": b"new"}


def test_an_entry_that_is_there_stays_unless_it_is_to_be_replaced(store: Store) -> None:
    store.put("things", "key", {"a": b"first"})
    assert store.put("things", "key", {"a": b"second"})
    assert read(store, "key") == {"a": b"first"}
    assert store.put("things", "key", {"a": b"second"}, replace=True)
    assert read(store, "key") == {"a": b"second"}
    assert [path.name for path in (store.folder / "things").iterdir()] == ["key"]


def test_what_was_not_used_for_longest_goes_first(store: Store) -> None:
    for index in range(4):
        store.put("things", f"k{index}", {"a": bytes(200_000)})
        used(store, f"k{index}", 1_000 + index)
    read(store, "k0")  # used just now
    store.put("others", "k4", {"a": bytes(500_000)})
    assert sorted(path.path.name for path in store.contents()) == ["k0", "k3", "k4"]
    assert sum(path.bytes for path in store.contents()) <= store.max_bytes


def used(store: Store, key: str, when: float) -> None:
    os.utime(store.folder / "things" / key / MANIFEST, (when, when))


def test_documents_count_and_go_too(store: Store) -> None:
    store.save(KIND, "old", {"x": "y" * 300_000})
    os.utime(store.folder / KIND / "old.json", (1_000, 1_000))
    store.put("things", "new", {"a": bytes(900_000)})
    assert store.load(KIND, "old") is None
    assert read(store, "new") is not None


def test_what_is_larger_than_the_cache_is_not_kept(store: Store) -> None:
    store.put("things", "small", {"a": b"x"})
    assert not store.put("things", "large", {"a": bytes(2 << 20)})
    assert [path.path.name for path in store.contents()] == ["small"]


def test_a_reader_does_not_notice_that_its_entry_goes(store: Store) -> None:
    store.put("things", "key", {"a": b"still here"})
    with store.lend("things", "key") as lent:
        store.clear()
        assert not store.contents()
        assert lent is not None and lent.read("a") == b"still here"


def test_without_a_size_there_is_no_cache(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, cache_max_mb=0)
    store = Store.of(settings)
    assert not store.put("things", "key", {"a": b"x"})
    store.save(KIND, "key", {"x": 1})
    assert (read(store, "key"), store.load(KIND, "key"), store.partial(KIND, "key")) == (None, None, None)
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    store = Store(tmp_path / "cache", 1 << 20)
    assert not store.put("things", "key", {"a": b"x"})
    assert read(store, "key") is None
    assert store.contents() == []
    store.trim()


def test_a_file_that_cannot_be_read_is_not_kept(store: Store, tmp_path: Path) -> None:
    assert not store.put("things", "key", {"a": b"x", "b": tmp_path / "nowhere"})
    assert not list((store.folder / "things").iterdir())


def test_what_killed_writers_left_is_swept_when_it_is_old(store: Store) -> None:
    store.put("things", "key", {"a": b"x"})
    for name, age in ((".part-old", 7200), (".part-older", 9000), (".part-young", 10)):
        (store.folder / "things" / name).mkdir()
        when = time.time() - age
        os.utime(store.folder / "things" / name, (when, when))
    store.trim()
    assert sorted(path.name for path in (store.folder / "things").iterdir()) == [".part-young", "key"]


_WRITER = """
import sys
from pathlib import Path
from oakmill.conversion.cache.store import Store
store = Store(Path(sys.argv[1]), 400_000)
print("ready", flush=True)
for turn in range(10**9):
    key = str(turn % 12)
    store.put("things", key, {"a": key.encode() * 60_000, "b": b"-" * turn}, replace=bool(turn % 5))
    with store.lend("things", key) as lent:
        if lent is not None and lent.read("a") != key.encode() * 60_000:
            sys.exit("a wrong entry")
"""


def writer(store: Store) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(store.folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


@pytest.mark.heavy
def test_processes_at_once_that_are_killed_while_they_write_leave_only_whole_entries(store: Store) -> None:
    """Writers, readers and removers at once, ended by kill -9 in the middle of it, again and again."""
    seen = 0
    for _ in range(3):
        processes = [writer(store) for _ in range(2)]
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            for key in map(str, range(12)):
                found = read(store, key)
                seen += found is not None
                assert found is None or found["a"] == key.encode() * 60_000
        for process in processes:
            assert process.poll() is None, process.communicate()
            process.kill()
            process.communicate()
    assert seen
    store.trim()
    for item in store.contents():
        assert (read(store, item.path.name) or {}).keys() == {"a", "b"}

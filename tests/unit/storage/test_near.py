"""Files of a bucket that are kept on the machine which fetched them."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

from oakmill.storage.near import Near


class Bucket:
    """What is fetched from, and how often it was."""

    def __init__(self) -> None:
        self.fetched = 0
        self.data = b"weights"
        self.sha256 = hashlib.sha256(self.data).hexdigest()

    def get(self, path: Path) -> None:
        self.fetched += 1
        path.write_bytes(self.data)


def test_what_several_jobs_of_a_machine_read_is_fetched_once(tmp_path: Path) -> None:
    """Each job fetched its source: fifty conversions of one model of 100 MB were 5 GB from the bucket."""
    bucket, near = Bucket(), Near(tmp_path / "near", 1000)
    targets = [tmp_path / str(number) / "model.onnx" for number in range(4)]
    threads = [threading.Thread(target=near.give, args=(bucket.sha256, target, bucket.get)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bucket.fetched == 1
    assert {target.read_bytes() for target in targets} == {b"weights"}


def test_a_copy_that_was_damaged_is_fetched_again(tmp_path: Path) -> None:
    bucket, near = Bucket(), Near(tmp_path / "near", 1000)
    near.give(bucket.sha256, tmp_path / "one", bucket.get)
    (tmp_path / "near" / bucket.sha256).chmod(0o600)
    (tmp_path / "near" / bucket.sha256).write_bytes(b"other")
    near.give(bucket.sha256, tmp_path / "two", bucket.get)
    assert (tmp_path / "two").read_bytes() == b"weights" and bucket.fetched == 2


def test_the_oldest_go_and_stay_with_those_who_have_them(tmp_path: Path) -> None:
    near = Near(tmp_path / "near", 20)
    for number in range(4):
        bucket = Bucket()
        bucket.data = bytes([number]) * 8
        sha256 = hashlib.sha256(bucket.data).hexdigest()
        near.give(sha256, tmp_path / str(number), bucket.get)
        os.utime(tmp_path / str(number), (number, number))
    kept = [path.read_bytes()[0] for path in (tmp_path / "near").iterdir() if not path.name.startswith(".")]
    assert sorted(kept) == [2, 3]
    assert (tmp_path / "0").read_bytes() == bytes(8)

"""What the disk loses is found before somebody misses it: rows are held against bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from oakmill.settings import Settings
from oakmill.storage.stores import open_store
from tests.storage.test_backup import BYTES, filled


def doctor(home: Path, *words: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "oakmill", "doctor", "--store", "--json", *words]
    process = subprocess.Popen(
        command,
        env={"OAKMILL_HOME": str(home), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said, wrong = process.communicate(timeout=120)
    assert b"Traceback" not in wrong, wrong
    return process.returncode, json.loads(said)


def test_lost_and_changed_files_are_named(tmp_path: Path) -> None:
    """Nothing compared rows with bytes, so a lost file was found by whoever wanted it."""
    settings = Settings(home=tmp_path / "home")
    filled(settings)
    code, found = doctor(settings.home, "--read")
    assert (code, found["named"], found["missing"], found["damaged"]) == (0, len(BYTES), [], [])
    store = open_store(settings)
    lost, changed, cut = (store.put_bytes(data).sha256 for data in (BYTES[2], BYTES[0], BYTES[1]))
    for sha256, data in ((changed, b"A model"), (cut, b"cut")):
        path = store.local(sha256)
        assert path is not None
        path.chmod(0o600)
        path.write_bytes(data)
    store.delete(lost)
    code, found = doctor(settings.home)
    assert (code, found["missing"], found["damaged"]) == (10, [lost], [cut])
    code, found = doctor(settings.home, "--read")
    assert (code, found["missing"], sorted(found["damaged"])) == (10, [lost], sorted([cut, changed]))
    assert found["owners"][lost] == ["f of aimi_1 (aimi_1)"]

"""The power goes: what was acknowledged by then is there when the hub is started again.

A library before the C library (`unsynced.c`) keeps each file as it was when it was last synced; the hub is killed, and
what the kernel had not been asked to write is thrown away.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import make_source, relu
from tests.attacks.test_leaving import link_of, uploaded
from tests.hub_servers import API, ServedHub

pytestmark = pytest.mark.heavy


def library(folder: Path) -> str:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    source, target = Path(__file__).with_name("unsynced.c"), folder / "unsynced.so"
    subprocess.check_call(["cc", "-O1", "-shared", "-fPIC", "-o", target, source])
    return str(target)


def left(shadow: Path) -> dict[str, str]:
    """What a power cut leaves: the names of files, and which of the copies is behind each."""
    found: dict[str, str] = {}
    for line in (shadow / "names").read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "D":
            found = {path: key for path, key in found.items() if os.path.dirname(path) != rest}  # noqa: PTH120
            continue
        key, _, path = rest.partition(" ")
        if kind == "F" or (shadow / key).exists():
            found[path] = key
    return found


def cut(hub: ServedHub, shadow: Path, home: Path) -> None:
    """End all of the hub at once, and make the folder of what is left."""
    os.killpg(hub.process.pid, signal.SIGKILL)
    hub.process.wait()
    for path, key in left(shadow).items():
        target = home / Path(path).relative_to(hub.home)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shadow / key, target)


def test_what_was_acknowledged_outlives_a_power_cut(tmp_path: Path) -> None:
    """SQLite was told to sync at checkpoints alone, so the last minutes' rows went; the hub's secret was empty."""
    home, shadow, after = tmp_path / "home", tmp_path / "shadow", tmp_path / "after"
    shadow.mkdir()
    watch = {"LD_PRELOAD": library(tmp_path), "WATCHED": str(home / "hub"), "SHADOW": str(shadow)}
    hub = ServedHub(home, variables=watch)
    command = hub.run
    hub.run = lambda words, **more: command(words, start_new_session=True, **more)  # type: ignore[method-assign]
    hub.start()
    try:
        (home / "hub" / "unsynced").write_text("lost")
        with hub.client() as client:
            instance = uploaded(client, "kept")
            link = link_of(client, instance)
            last = make_source(client, "the last before")
    finally:
        cut(hub, shadow, after)
    assert not (after / "hub" / "unsynced").exists()
    with ServedHub(after, key=hub.key, port=hub.port) as again, again.client() as client:
        assert client.get(f"instances/{instance}").json()["status"] == "available"
        assert client.get(f"instances/{last}").json()["status"] == "pending"
        assert httpx.get(link, trust_env=False).content == relu(), "the secret, or the bytes, are others"
        assert {model["name"] for model in client.get("models").json()["items"]} == {"kept", "the last before"}
        assert again.url in link and API in link

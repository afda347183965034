"""A result that was changed on its way is not what the hub signed, whoever changed it, and whatever lies beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from oakmill.jobs import publish, queue
from oakmill.jobs.job_log_writer import Held
from oakmill.settings import Settings
from oakmill.spec.evidence import Evidence
from tests.api.conftest import API, World, open_world
from tests.attacks.test_quota import source

MODEL, PASSPORT, SIGNED = "net.superblob", "net.passport.json", "net.evidence.json"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A hub that has made a result."""
    for world in open_world(Settings(home=tmp_path_factory.mktemp("hub"))):
        world.client.headers.update(world.as_("Ours admin"))
        asked = world.client.post(f"{API}/instances/{source(world, 'net')}/conversions", json={"platform": "rvc2"})
        with world.hub.db.session() as session:
            job = queue.claim(session, "worker", timedelta(seconds=60), job_id=asked.json()["id"])
        assert job is not None
        made = tmp_path_factory.mktemp("made")
        (made / MODEL).write_bytes(b"compiled")
        (made / PASSPORT).write_text('{"verdict": "ok"}')
        publish.succeeded(world.hub.db, world.hub.blobs, Held.of(job), job, made, {"files": [MODEL, PASSPORT]})
        world.ids["result"] = str(job.result_id)
        yield world


@pytest.fixture
def fetched(hub: World, tmp_path: Path) -> Path:
    """The folder of the result, as a client fetches it, with what the hub has signed of it."""
    for file in hub.client.get(f"{API}/instances/{hub.ids['result']}/files").json()["items"]:
        path = file["url"].partition("testserver")[2]
        (tmp_path / file["name"]).write_bytes(hub.client.get(path).content)
    signed = hub.client.get(f"{API}/instances/{hub.ids['result']}/evidence").raise_for_status()
    (tmp_path / SIGNED).write_bytes(signed.content)
    return tmp_path


def verified(hub: World, folder: Path, *words: str, key: str | None = None) -> tuple[int, str]:
    """What the command says, in a process of its own that knows the hub's public key alone."""
    public = key or hub.client.get(f"{API}/evidence-key", headers={"Authorization": ""}).json()["public_key"]
    asked = ["verify", str(folder / MODEL), "--signature", "--hub-key", public, *words]
    command = [sys.executable, "-m", "oakmill", *asked]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said, _ = process.communicate(timeout=120)
    return process.returncode, said


def forged(folder: Path, change: Any, key: Ed25519PrivateKey | None = None) -> None:
    """Evidence that says something else; signed anew where there is a key."""
    said = json.loads((folder / SIGNED).read_text())
    change(said)
    if key:
        statement = Evidence.model_validate(said).statement
        said["signature"] = key.sign(statement.signed_bytes()).hex()
        said["public_key"] = key.public_key().public_bytes_raw().hex()
    (folder / SIGNED).write_text(json.dumps(said))


def test_what_the_hub_made_is_known_again(hub: World, fetched: Path) -> None:
    code, said = verified(hub, fetched)
    assert (code, said[:9]) == (0, "signed by"), said
    assert hub.ids["result"] in said


@pytest.mark.parametrize("name", [MODEL, PASSPORT])
def test_a_changed_file_is_not_what_was_signed(hub: World, fetched: Path, name: str) -> None:
    """Recipes hold digests, but whoever changes a file changes its recipe and its passport, too."""
    (fetched / name).write_bytes((fetched / name).read_bytes() + b" ")
    code, said = verified(hub, fetched)
    assert code == 8
    assert f"{name} is not" in said and "signed" in said


def test_changed_evidence_does_not_fit_its_signature(hub: World, fetched: Path) -> None:
    forged(fetched, lambda said: said["statement"].update(platform="RVC4"))
    code, said = verified(hub, fetched)
    assert code == 8
    assert "signature does not fit" in said


def test_evidence_of_another_key_is_no_hubs(hub: World, fetched: Path) -> None:
    own = Ed25519PrivateKey.generate()
    (fetched / MODEL).write_bytes(b"a hostile blob")
    digest = sha256(b"a hostile blob").hexdigest()
    forged(fetched, lambda said: said["statement"]["files"][0].update(sha256=digest), own)
    code, said = verified(hub, fetched)
    assert code == 8
    assert "signed by a key that is not known here" in said
    assert not said.startswith("signed by")


def test_what_is_no_evidence_is_said(hub: World, fetched: Path) -> None:
    (fetched / SIGNED).write_text("[" * 100_000)
    assert verified(hub, fetched)[0] == 3
    (fetched / SIGNED).unlink()
    assert verified(hub, fetched)[0] == 3
    assert verified(hub, fetched, key="12")[0] == 2

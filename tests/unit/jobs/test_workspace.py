"""The folder of an attempt: weights may lie in sub-folders, and images come as a zip; both were refused."""

from __future__ import annotations

import os
import time
import zipfile
from pathlib import Path

import pytest

from oakmill.errors import UnsafeSource
from oakmill.files import hold
from oakmill.jobs import workspace
from oakmill.jobs.tables import Job
from oakmill.jobs.workspace import Workspace
from oakmill.registry.tables import InstanceFile, Role
from oakmill.storage.stores import open_store
from oakmill.untrusted.folder import inside
from tests.unit.jobs.conftest import Hub


def test_weights_lie_in_their_sub_folder_and_images_are_unpacked(hub: Hub, tmp_path: Path) -> None:
    blobs = open_store(hub.settings)
    model, weights = blobs.put_bytes(b"model"), blobs.put_bytes(b"weights")
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("cats/one.png", b"picture")
    images = blobs.put_file(tmp_path / "z")
    with hub.db.session() as session:
        session.get_one(InstanceFile, "aimf_1").sha256 = model.sha256
        part = {"name": "deep/weights.bin", "role": Role.PART, "sha256": weights.sha256, "size": 7}
        session.add(InstanceFile(id="aimf_2", instance_id="aimi_1", **part))
    job = hub.job(hub.add_job(source_id="aimi_1", files={"verification_images": f"{images.sha256}:pets.zip"}))
    workspace = Workspace(hub.settings, job)
    request = workspace.furnish(hub.db, blobs)
    source = Path(request["model"]).parent
    assert (source / "deep" / "weights.bin").read_bytes() == b"weights"
    assert (Path(request["spec"]["verification_images"]) / "cats" / "one.png").read_bytes() == b"picture"
    workspace.clear()
    assert not workspace.folder.exists()


@pytest.mark.parametrize("name", ["", "..", "../a", "/a", "a/../../b", "a//b", "a\\b", "a/.", "a\0"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsafeSource):
        inside(tmp_path, name)


def test_a_worker_that_starts_leaves_a_look_alone_that_is_going_on(hub: Hub) -> None:
    """It removed the folder of every look that was not an upload's: a calibration set failed when a worker came up."""
    work = hub.settings.hub / "work"
    for name in ("look-1", "look-old", "look-waiting", "aij_gone"):
        (work / name).mkdir(parents=True)
    for name in ("look-old", "look-waiting"):
        os.utime(work / name, (time.time() - 7200,) * 2)
    held = hold(work / "look-waiting")
    with hub.db.session() as session:
        session.add(Job(id="aij_runs", number=1, name="j", team_id="ait_1", status="running"))
    (work / "aij_runs").mkdir()
    workspace.sweep(hub.settings, hub.db)
    os.close(held)
    assert {path.name for path in work.iterdir()} == {"look-waiting", "look-1", "aij_runs"}

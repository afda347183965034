"""Whatever rows there are, lists of instances answer.

A hub under measurement answered 500 to GET /instances from one moment on. A conversion had failed, and its evidence had
become a file of its instance with a role that the answer's shape did not know: one failed job, and no list was seen any
more. So rows of every kind that the hub's own code can write are read here, and some that only a database's hand can.
"""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import pytest

from oakmill.jobs import publish, queue
from oakmill.jobs.job_log_writer import Held
from oakmill.jobs.tables import Job
from oakmill.registry.identifiers import new_id
from oakmill.registry.tables import Instance, InstanceFile, InstanceStatus, Origin, Role, Version
from tests.api.conftest import API, World

ODD: tuple[Any, ...] = (
    float("nan"), float("inf"), -float("inf"), 1e308, 2**70, -1, 0, True, None, "", "\0", "\ud800", "é", "x" * 5000,
    [], {}, [[]], {"": None}, {"a": {"b": [float("nan"), "\udfff"]}},
)  # fmt: skip


def add(world: World, **values: Any) -> str:
    with world.hub.db.session() as session:
        version = session.get_one(Version, world.ids["Ours team version"])
        row = Instance(
            id=new_id("aimi"), team_id=version.team_id, model_id=version.model_id, variant_id=version.variant_id,
            version_id=version.id, name="odd", slug="odd", model_type="ONNX", visibility="team", **values,
        )  # fmt: skip
        session.add(row)
        session.flush()
        return row.id


def answers(world: World, instance_id: str) -> None:
    headers = world.as_("Ours read")
    for path in ("/instances", f"/instances/{instance_id}", f"/instances/{instance_id}/files"):
        answer = world.client.get(f"{API}{path}", headers=headers)
        assert answer.status_code == 200, (path, answer.text)
        json.loads(answer.text, parse_constant=lambda word: pytest.fail(f"it answers {word}"))


def test_a_failed_conversion_and_its_evidence_are_listed(world: World) -> None:
    source = add(world, status=InstanceStatus.AVAILABLE)
    result = add(world, parent_id=source, origin=Origin.CONVERTED)
    out = world.hub.settings.hub / "out"
    out.mkdir()
    (out / "odd.debug.zip").write_bytes(b"evidence")
    with world.hub.db.session() as session:
        team_id = session.get_one(Instance, source).team_id
        queue.add(session, Job(id="aij_1", name="odd", team_id=team_id, source_id=source, result_id=result))
        job = queue.claim(session, "here", timedelta(minutes=1))
    assert job is not None
    failure = {"sentence": "It cannot be.", "bundle": "odd.debug.zip"}
    publish.failed(world.hub.db, world.hub.blobs, Held.of(job), job, out, failure)
    answers(world, result)
    files = world.client.get(f"{API}/instances/{result}", headers=world.as_("Ours read")).json()["files"]
    assert [file["role"] for file in files] == ["debug_bundle"]


def test_every_role_and_shape_that_can_be_written_is_answered(world: World) -> None:
    instance_id = add(world, input_shape=[[1, "h", None, -1], [], ["batch"], [2**40]])
    with world.hub.db.session() as session:
        for role in Role:
            session.add(
                InstanceFile(id=new_id("aimf"), instance_id=instance_id, name="f", role=role, sha256="a" * 64, size=1)
            )
    answers(world, instance_id)


def test_whatever_a_file_says_of_itself_is_answered(world: World) -> None:
    chance = random.Random(7)
    for _ in range(60):
        facts = {f"key {number}": chance.choice(ODD) for number in range(3)}
        answers(world, add(world, facts=facts, parameters=facts, status=chance.choice(list(InstanceStatus))))

"""What the hub and its client read alike: hubs of other ages are understood, and clients load nothing of a hub."""

from __future__ import annotations

import subprocess
import sys

import pytest

from oakmill.errors import Conflict, TooLarge
from oakmill.hub.wire import Instance, Job, Listed, Model, ModelDetail

NOW = "2026-01-02T03:04:05Z"
JOB = {"id": "aij_1", "number": 1, "name": "small-rvc2", "status": "running", "queued": NOW}
INSTANCE = {
    "id": "aii_1", "model_id": "aim_1", "variant_id": "aiv_1", "version_id": "ais_1", "name": "small",
    "slug": "small", "origin": "source", "status": "available", "model_type": "ONNX", "created": NOW,
}  # fmt: skip


def test_what_an_older_hub_leaves_out_has_its_default() -> None:
    assert Job.model_validate(JOB).stages == ()
    instance = Instance.model_validate({**INSTANCE, "input_shape": [[1, "width", None]]})
    assert (instance.files, instance.input_shape) == ((), ((1, "width", None),))


def test_what_a_newer_hub_adds_is_left_aside_and_its_states_are_words() -> None:
    job = Job.model_validate({**JOB, "status": "paused", "colour": "blue"})
    assert (job.status, job.is_live, hasattr(job, "colour")) == ("paused", False, False)
    with pytest.raises(Conflict, match="paused"):
        job.require_success()


def test_a_failure_of_a_newer_hub_is_raised_under_the_nearest_name() -> None:
    failure = {"code": "TooLarge", "sentence": "it is too large", "remedies": [{"text": "shrink it"}]}
    with pytest.raises(TooLarge, match="too large") as caught:
        Job.model_validate({**JOB, "status": "failed", "failure": failure}).require_success()
    assert caught.value.remedy == "shrink it"


def test_a_list_leaves_out_what_one_row_tells() -> None:
    row = {"id": "aim_1", "team": "own", "name": "a", "slug": "a", "visibility": "team", "created": NOW, "updated": NOW}
    listed = Listed[Model](items=(ModelDetail(**row, card="# long"),))
    assert "card" not in listed.model_dump()["items"][0]


def test_all_fields_are_promised_of_what_a_hub_sends() -> None:
    schema = Job.model_json_schema(mode="serialization")
    assert set(schema["required"]) == set(Job.model_fields)


def test_a_client_loads_nothing_of_a_hub() -> None:
    heavy = "sqlalchemy fastapi starlette alembic onnx numpy"
    code = f"import oakmill.client, sys; print([name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: TID251
    assert done.stdout.strip() == "[]"

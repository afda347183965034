"""A model with what was made of it goes from one hub to another as one file: the same addresses, bytes, passports."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oakmill.client import Hub, Instance
from oakmill.errors import Conflict, NotFound
from oakmill.spec import Rvc2Spec
from tests.client.conftest import Shell
from tests.client.test_whole_way import upload
from tests.conversion.makers import conv_model, saved
from tests.hub_servers import ServedHub

SMALL = Rvc2Spec(blob=True, number_of_shaves=4)
TELLING = ("model_type", "name", "slug", "origin", "sha256", "precision", "tool_version", "input_shape", "verdict",
           "facts", "parameters", "is_nn_archive", "created", "status")  # fmt: skip


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub without tools, that converts nothing."""
    with ServedHub(tmp_path_factory.mktemp("far")) as found:
        yield found


@pytest.fixture(scope="module")
def made(serving: ServedHub, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The slug of a model with two versions, of which one was converted, and an alias."""
    folder = tmp_path_factory.mktemp("made")
    with Hub(serving.url, serving.key) as hub:
        source = upload(hub, "Gate Net", saved(conv_model(opset=13), folder / "gate.onnx"))
        hub.jobs.wait(hub.convert(hub.instances.get(source), SMALL)).require_success()
        model = hub.models.get(hub.instances.get(source).model_id)
        hub.models.change(model.id, card="# Gate", summary="Counts who passes.", tags=["yard"], license="MIT")
        first, = hub.models.versions(model.id)
        second = hub.models.create_version(model.id, "default", "0.2.0", changelog="More lorries.")
        hub.instances.create(second.id, [saved(conv_model(opset=12), folder / "later.onnx")])
        hub.aliases.move(first.id, "prod", why="it is proved")
        return model.slug


def below(hub: Hub, slug: str) -> dict[str, Instance]:
    """The model's instances by what each is."""
    (model,) = hub.models.list(slug=slug)
    found = [hub.instances.get(item.id) for item in hub.instances.list(model_id=model.id)]
    return {f"{item.model_type} {item.sha256}": item for item in found}


def told(instance: Instance) -> dict[str, Any]:
    files = [(file.name, file.role, file.sha256, file.size) for file in instance.files]
    return {name: getattr(instance, name) for name in TELLING} | {"files": files}


def environment(hub: ServedHub) -> dict[str, str]:
    return {"OAKMILL_HUB_URL": hub.url, "OAKMILL_KEY": hub.key}


def test_what_was_made_on_one_hub_opens_on_another(
    serving: ServedHub, hub: Hub, far: ServedHub, made: str, shell: Shell
) -> None:
    written = json.loads(shell.run("bundle", made, "-o", "gate.oakbundle", "--json", env=environment(serving)).stdout)
    assert written["instances"] == 3 and written["models"] == ["gate-net"]
    words = ("unbundle", "gate.oakbundle", "--sha256", written["sha256"])
    would = shell.run(*words, "--dry-run", env=environment(far))
    assert "new" in would.stdout and "would come in" in would.stderr
    with Hub(far.url, far.key) as there:
        assert not list(there.models.list(slug=made))
        taken = json.loads(shell.run(*words, "--json", env=environment(far)).stdout)
        assert [(item["state"], item["coming"]) for item in taken["models"]] == [("new", 3)]

        here, now = below(hub, made), below(there, made)
        assert {key: told(item) for key, item in now.items()} == {key: told(item) for key, item in here.items()}
        for key, item in now.items():
            assert item.id != here[key].id and item.job_id is None
            assert item.from_bundle and item.from_bundle.sha256 == written["sha256"]
            assert item.from_bundle.hub == serving.url and item.from_bundle.instance == here[key].id
        result = next(item for item in now.values() if item.model_type == "RVC2")
        source = there.instances.get(result.parent_id or "")
        assert source.sha256 == next(item for item in here.values() if item.model_type == "RVC2").facts["source"]["sha256"]
        assert there.instances.passport(result.id) == hub.instances.passport(
            next(item.id for item in here.values() if item.model_type == "RVC2")
        )
        (model,) = there.models.list(slug=made)
        card = there.models.get(model.id)
        assert (card.name, card.card, card.summary, card.tags, card.license) == (
            "Gate Net", "# Gate", "Counts who passes.", ("yard",), "MIT",
        )  # fmt: skip
        assert [version.version for version in there.models.versions(model.id)] == ["0.2.0", "0.1.0"]
        assert [(alias.name, alias.version) for alias in there.aliases.list(model.id)] == [("prod", "0.1.0")]
        for address in ("gate-net", "default/gate-net:default", "gate-net@prod", f"gate-net:default:{result.sha256[:7]}"):
            assert there.instances.resolve(address, "RVC2").sha256 == hub.instances.resolve(address, "RVC2").sha256

        again = json.loads(shell.run(*words, "--json", env=environment(far)).stdout)
        assert [(item["state"], item["coming"]) for item in again["models"]] == [("there", 0)]
        assert below(there, made).keys() == now.keys()
        changed = shell.run("unbundle", "gate.oakbundle", "--sha256", "0" * 64, code=10, env=environment(far)).stderr
        assert "another bundle" in changed

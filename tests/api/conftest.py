"""A hub with two teams, their keys and models; in this process, or as a server of its own on a free port."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import onnx
import pytest
from onnx import TensorProto, helper

from oakmill.api.app import create_app
from oakmill.files import private_folder
from oakmill.hub.state import Hub
from oakmill.registry import callers, instances, keys, models, teams, variants
from oakmill.registry.tables import Key
from oakmill.settings import Settings
from oakmill.storage.database import now
from tests import looks
from tests.databases import sqlite_at
from tests.hub_servers import ServedHub

with warnings.catch_warnings():  # it wants another HTTP client than the one that all the world uses
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient as TestClient  # noqa: PLC0414 - for the tests here

API = "/api/v1"
PATIENCE = 240.0
"""Seconds for what happens by itself: a bound for what never comes, not a promise of speed."""


@dataclass
class World:
    """A running hub, what is in it by word, and keys by the words for who holds them."""

    client: TestClient
    hub: Hub
    keys: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def as_(self, who: str) -> dict[str, str]:
        """The headers of a request by that holder."""
        return {"Authorization": f"Bearer {self.keys[who]}"} if who in self.keys else {}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def world(settings: Settings) -> Iterator[World]:
    yield from open_world(settings)


def open_world(settings: Settings, *, wall: bool = False) -> Iterator[World]:
    """A hub that looks at what comes within this process, or behind the wall."""
    with ExitStack() as opened:
        if not settings.database:
            sqlite_at(private_folder(settings.hub) / "hub.sqlite").close()
        with nullcontext() if wall else looks.in_process():
            app = create_app(settings)
            client = opened.enter_context(TestClient(app, raise_server_exceptions=False))
        found = World(client, app.state.hub)
        furnish(found)
        yield found


def furnish(world: World) -> None:
    with world.hub.db.session() as session:
        for name in ("Ours", "Theirs"):
            team = teams.create(session, name=name)
            by = callers.of_team(team.id, team.slug)
            for scope in ("read", "convert", "admin"):
                _, world.keys[f"{name} {scope}"] = keys.create(session, team, name=f"{scope}er", scopes=[scope])
            for visibility in ("private", "team", "public"):
                model = models.create(session, by, name=f"{name} {visibility}", visibility=visibility)
                version = variants.add_version(session, by, model.id, name="small")
                row = instances.create(session, by, version.id, name=f"{name} {visibility} source", model_type="ONNX")
                place = f"{name} {visibility}"
                world.ids |= {
                    f"{place} model": model.id,
                    f"{place} variant": version.variant_id,
                    f"{place} version": version.id,
                    f"{place} instance": row.id,
                }
        ours = teams.named(session, "ours")
        narrow = world.ids["Ours team model"]
        _, world.keys["narrow"] = keys.create(session, ours, name="narrow", scopes=["convert"], model_id=narrow)
        _, world.keys["expired"] = keys.create(session, ours, name="old", scopes=["admin"])
        revoked, world.keys["revoked"] = keys.create(session, ours, name="gone", scopes=["admin"])
        world.keys["unknown"] = "oak_" + "x" * 40
        keys.revoke(session, callers.LOCAL, revoked.id)
        session.query(Key).filter(Key.name == "old").update({"expires": now() - timedelta(seconds=1)})


def relu(path: Path | None = None, *, opset: int = 13) -> bytes:
    """A model of one node."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    if path is not None:
        path.write_bytes(data)
    return data


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServedHub]:
    with ServedHub(tmp_path / "home") as found:
        yield found


def make_source(client: httpx.Client, name: str = "digits", prefix: str = "", model_type: str = "ONNX") -> str:
    """A pending source instance of a new model."""
    model = client.post(f"{prefix}/models", json={"name": name}).raise_for_status().json()
    version = (
        client.post(f"{prefix}/models/{model['id']}/versions", json={"variant": "small"}).raise_for_status().json()
    )
    body = {"version_id": version["id"], "name": f"{name} source", "model_type": model_type}
    found: str = client.post(f"{prefix}/instances", json=body).raise_for_status().json()["id"]
    return found

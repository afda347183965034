"""A hub's registry for tests: on SQLite and on PostgreSQL, with two teams and their keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from oakmill.registry import instances, keys, models, teams, variants
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Instance, Model, Team, Version
from oakmill.storage.database import Database
from tests.databases import of_kind


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.heavy)])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with of_kind(request.param, request, tmp_path) as db:
        yield db


@pytest.fixture
def session(db: Database) -> Iterator[Session]:
    with db.session() as session:
        yield session


@dataclass
class People:
    """Two teams: `mine` may convert, `colleague` too, `admin` is ours; `stranger` is the other team's admin."""

    session: Session
    ours: Team
    theirs: Team

    def key(self, team: Team, *scopes: str, model_id: str | None = None) -> Caller:
        _, raw = keys.create(self.session, team, name="a key", scopes=scopes, model_id=model_id)
        return keys.authenticate(self.session, raw)

    def __post_init__(self) -> None:
        self.mine = self.key(self.ours, "convert")
        self.colleague = self.key(self.ours, "convert")
        self.reader = self.key(self.ours, "read")
        self.admin = self.key(self.ours, "admin")
        self.stranger = self.key(self.theirs, "admin")


@pytest.fixture
def people(session: Session) -> People:
    return People(session, teams.create(session, name="Ours"), teams.create(session, name="Theirs"))


def a_model(session: Session, caller: Caller, name: str = "My Net", visibility: str = "team") -> Model:
    return models.create(session, caller, name=name, visibility=visibility)


def a_version(
    session: Session, caller: Caller, model: Model, name: str = "288x512", number: str | None = None
) -> Version:
    return variants.add_version(session, caller, model.id, name=name, version=number)


def an_instance(
    session: Session,
    caller: Caller,
    version: Version,
    model_type: str = "ONNX",
    parent: Instance | None = None,
    digest: str = "ab" * 32,
) -> Instance:
    """An available one."""
    parent_id = parent.id if parent else None
    row = instances.create(
        session, caller, version.id, name=f"{model_type} file", model_type=model_type, parent_id=parent_id
    )
    instances.add_file(session, row, name="net.onnx", sha256=digest, size=100)
    instances.set_available(session, row)
    return row

"""`python -m tests.compat.seed`: fills a hub with what hubai-sdk's own tests expect. Not for a hub that is used."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oakmill.settings import current

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from oakmill.hub.state import Hub
    from oakmill.registry.callers import Caller
    from oakmill.registry.tables import Instance, Version


@dataclass(frozen=True)
class Source:
    """An instance of the suite: its file, what it is, and its identifiers on HubAI and on its stage for tests."""

    file: str
    model_type: str
    ids: tuple[str, str]


NAMES = ("SDK suite", "SDK suite stage")
MODELS = ("aim_FNtJ9PtPdS54T833mCBRGi", "aim_UJuH8qn9Q2XDoNw36Ljy2Z_stg")
VERSIONS = ("aimv_VitM2h2uQHtnZfQRJ2Ann9", "aimv_UJuH8pVjm1mvWGYd69Jioz_stg")
SOURCES = (
    Source("base.onnx", "ONNX", ("aimi_LCEFX2rJSsMhEjsyeMEcWn", "aimi_WALJ4SHoZWaaPoXDEWmEmP_stg")),
    Source("two-inputs.onnx", "ONNX", ("aimi_K2YT5FpnggJPmabbxNwFt1", "aimi_KXC47tfvHpjE5dkfsfkS97_stg")),
    Source("yolo.pt", "PYTORCH", ("aimi_8UbzZGbgSuG75P1iemzHJD", "aimi_7yxPWbwNp5ziKYLGm2X34v_stg")),
)
"""What the suite of hubai-sdk 0.3.4 has written into it: those of HubAI, then those of its stage."""


@click.command()
@click.option("--team", help="Slug of the team that is to own it.  [default: the first]")
def main(team: str | None) -> None:
    """Make the models that hubai-sdk's own tests expect on the server. Asked again, it does nothing."""
    from oakmill.hub.state import Hub

    at = Hub.open(current())
    try:
        with tempfile.TemporaryDirectory(prefix="oakmill-seed-") as folder:
            _seed(at, team, _files(Path(folder)))
    finally:
        at.close()
    click.echo(f"The hub has the models of hubai-sdk's tests: {', '.join(MODELS)}")


def _files(folder: Path) -> dict[str, Path]:
    from tests.compat import seed_models

    makers: tuple[Callable[[Path], Path], ...] = (seed_models.one_picture, seed_models.two_pictures, seed_models.yolo)
    return {source.file: make(folder / source.file) for source, make in zip(SOURCES, makers, strict=True)}


def _seed(at: Hub, team: str | None, files: dict[str, Path]) -> None:
    """Make what is not there. The files are taken in as uploads are, each looked at once."""
    from oakmill.jobs import ingest
    from oakmill.registry import instances
    from oakmill.registry.tables import Model, Role
    from oakmill.untrusted.folder import link_or_copy

    with at.db.reading() as session:
        stages = [stage for stage, model_id in enumerate(MODELS) if session.get(Model, model_id) is None]
    known = [
        (at.blobs.put_file(path), ingest.inspect(at.isolated, {name: partial(link_or_copy, path)}))
        for name, path in files.items()
        if stages
    ]
    with at.db.session() as session:
        caller = _owner(session, team)
        for stage in stages:
            version = _version(session, caller, stage)
            for source, (stored, facts) in zip(SOURCES, known, strict=True):
                row = _instance(session, caller, version, source, stage)
                at.blobs.record(session, stored)
                instances.add_file(
                    session, row, name=source.file, sha256=stored.sha256, size=stored.size, role=Role.PART
                )
                ingest.accept(session, row, facts)


def _owner(session: Session, team: str | None) -> Caller:
    """The operator, acting for the team; a hub that was never started gets its first one."""
    from oakmill.registry import callers, teams

    row = teams.named(session, team) if team else next(iter(teams.listed(session)), None)
    row = row or teams.create(session, name="Default")
    return callers.of_team(row.id, row.slug)


def _version(session: Session, caller: Caller, stage: int) -> Version:
    from oakmill.registry import models, variants

    model = models.create(session, caller, name=NAMES[stage], summary="What hubai-sdk's tests expect on the server.")
    model.id = MODELS[stage]
    session.flush()
    version = variants.add_version(session, caller, model.id, name=f"{NAMES[stage]} 96x160")
    version.id = VERSIONS[stage]
    session.flush()
    return version


def _instance(session: Session, caller: Caller, version: Version, source: Source, stage: int) -> Instance:
    from oakmill.registry import instances

    name = f"{NAMES[stage]} {Path(source.file).stem}"
    row = instances.create(session, caller, version.id, name=name, model_type=source.model_type)
    row.id = source.ids[stage]
    session.flush()
    return row


if __name__ == "__main__":
    main()

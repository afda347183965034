"""Imports at a user's word, where the hub's operator allows it: a process fetches, and takes in what comes.

The user's key goes to that process by its input, is handed on to the place that it is for, and is kept nowhere.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill import files
from oakmill.errors import Forbidden, Unavailable
from oakmill.hub import background
from oakmill.hub.background import Standing, Teller
from oakmill.hub.state import Hub
from oakmill.hub.upload_completion import require_room
from oakmill.importing import run
from oakmill.importing.address import Address, HuggingFaceAddress, parse
from oakmill.importing.places import Asking, require_key
from oakmill.jobs import ingest
from oakmill.processes.events import Watcher
from oakmill.registry import access, audit, instances, models, places, rows, variants
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Instance, InstanceStatus
from oakmill.registry.words import License, ModelType
from oakmill.settings import Settings, current
from oakmill.spec.imported import TITLES, Kind

PROGRAM = "oakmill.hub.imports"
AT_ONCE = 4
"""Imports of one machine; others wait, and say so."""
_REMEMBERED = 7 * 86400.0
_LONG_AGO = 86400.0


@dataclass(frozen=True)
class Asked:
    """What is to be imported, and to where: a new model's name or an existing one, or a source that waits already."""

    address: str
    key: str = ""
    name: str = ""
    variant: str = ""
    version: str = ""
    model_id: str = ""
    instance_id: str = ""


def offered(settings: Settings) -> dict[Kind, str]:
    """The places that this hub imports from, with what people call them."""
    return {kind: title for kind, title in TITLES.items() if kind in settings.import_from}


def begin(at: Hub, caller: Caller, asked: Asked) -> str:
    """Make the place for it and start to fetch; the identifier of the source that waits for it.

    Raises:
        SpecError: the address is none.
        Forbidden: this hub does not import from there.
        ImportNotAllowed: it takes a key, and none was given.
        Conflict: there is such a model, or the source has come, or is on its way.
        Unavailable: enough others are on their way.
    """
    address = parse(asked.address)
    _require_allowed(at.settings, address, asked)
    background.forget(at, "import", older_than=_REMEMBERED)
    if background.under_way(at, "import") >= AT_ONCE:
        raise Unavailable(f"{AT_ONCE} imports are under way.", remedy="Begin this one when one of them has ended.")
    with at.db.session() as session:
        row = _place(session, caller, asked, address)
        audit.record(session, caller, "import", row.id, of_team=row.team_id, address=str(address)[:255])
        instance_id = row.id
    told = json.dumps({"address": str(address), "key": asked.key.strip()})
    background.begin(at, "import", instance_id, told=told, program=PROGRAM)
    return instance_id


def standing(at: Hub, instance_id: str) -> Standing | None:
    """How far it is; nothing where the source was not imported here."""
    return background.standing(at, "import", instance_id)


def _require_allowed(settings: Settings, address: Address, asked: Asked) -> None:
    kind: Kind = "hf" if isinstance(address, HuggingFaceAddress) else "hubai"
    if kind not in settings.import_from:
        raise Forbidden(
            f"This hub does not import from {TITLES[kind]}.",
            subject=asked.address,
            remedy="Its operator allows it by the setting OAKMILL_IMPORT_FROM; `oakmill import` fetches a model on "
            "your own machine, and brings it here with --hub.",
        )
    require_key(address, asked.key.strip())


def _place(session: Session, caller: Caller, asked: Asked, address: Address) -> Instance:
    """The source that waits for what comes."""
    if asked.instance_id:
        row = access.changeable(session, caller, Instance, asked.instance_id)
        instances.require_open(row)
        return row
    name, variant = (given or own for given, own in zip((asked.name, asked.variant), address.names, strict=True))
    if not asked.model_id:
        if waiting := places.waiting(session, caller, name, variant):
            return waiting
        caller.require_whole_team()
    model_id = asked.model_id or models.create(session, caller, name=name).id
    place = variants.add_version(session, caller, model_id, name=variant, version=asked.version.strip() or None)
    return instances.create(session, caller, place.id, name=name, model_type=ModelType.ONNX)


def _followed(instance_id: str, told: str, teller: Teller) -> None:
    teller.state.seen = {"address": json.loads(told)["address"]}  # for who tries it again
    carry_out(instance_id, told, current(), teller.hear)


def carry_out(instance_id: str, told: str, settings: Settings, watch: Watcher) -> None:
    """Fetch what was asked for, and take it in as an upload is; for the process that does it.

    Raises:
        OakmillError: why not; the source waits on, and can be tried again.
    """
    asked = json.loads(told)
    with closing(Hub.open(settings)) as at:
        folder = settings.hub.absolute() / "work"
        files.sweep(folder, ".oakmill-import-", older_than=_LONG_AGO)
        with files.aside(folder, ".oakmill-import-") as site:
            asking = Asking(settings, asked["key"], watch)
            taker = _Taker(at, instance_id, site)
            imported = run.run(parse(asked["address"]), site, asking, taker.take)
        with at.db.session() as session:
            row = session.get_one(Instance, instance_id)
            row.imported = imported.model_copy(update={"by": "hub"}).model_dump(mode="json")
            model = rows.held_model(session, row.model_id)
            if model.license == License.UNDEFINED and len(list(_of_model(session, model.id))) == 1:
                model.license = License.called(imported.licence)


def _of_model(session: Session, model_id: str) -> Iterable[str]:
    return session.scalars(select(Instance.id).where(Instance.model_id == model_id).limit(2))


@dataclass(frozen=True)
class _Taker:
    """Takes files into a source as uploads are taken in: stored, looked at behind a wall, within the team's quota."""

    at: Hub
    instance_id: str
    site: Path

    def take(self, come: Sequence[Path]) -> Sequence[str]:
        """What is still missing of the model."""
        missing: Sequence[str] = ()
        for path in come:
            missing = self._taken(path.relative_to(self.site).as_posix(), path)
        return missing

    def _taken(self, name: str, path: Path) -> Sequence[str]:
        at = self.at
        stored = at.blobs.put_file(path)
        with at.db.reading() as session:
            row = session.get_one(Instance, self.instance_id)
            there = {file.name: file.sha256 for file in instances.files_of(session, row)}
            team_id, missing = row.team_id, row.facts.get("missing") or ()
            is_whole = row.status == InstanceStatus.AVAILABLE
        if there.get(name) == stored.sha256:  # of a try that broke
            return () if is_whole else tuple(missing)
        require_room(at, name, team_id, stored)
        found = ingest.receive(
            at.db, at.blobs, at.isolated, self.instance_id, name=name, stored=stored, settings=at.settings
        )
        return found.missing


if __name__ == "__main__":
    background.carry_out(
        Path(sys.argv[3]),
        int(sys.argv[4]),
        lambda teller: _followed(sys.argv[2], sys.stdin.readline(), teller),
    )

"""Takes bundles in: bytes first, each seen to be what its name says; then each model in one transaction, or not at all.

A crash before a model's transaction leaves bytes that no row names, which the store's sweep frees; after it, all of the
model is there. Identifiers are new ones; addresses stay what they were, and who was made from whom.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy.orm import Session

from oakmill.errors import Conflict, NotFound, TooLarge
from oakmill.hub import sets
from oakmill.hub.model_bundles.looking import look
from oakmill.hub.model_bundles.planning import Plan, again, card_of, place_of, plans, state_of_set
from oakmill.hub.state import Hub
from oakmill.hub.wire_bundle import BundlePreview, BundleSet, BundleTaken
from oakmill.registry import aliases, audit, faces, instances, models, rows, teams, variants
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import slugify
from oakmill.registry.instances import Facts
from oakmill.registry.tables import Alias, Instance, Model, Team
from oakmill.spec.bundle import (
    BundledFile,
    BundledInstance,
    BundledModel,
    BundledSet,
    BundledVariant,
    BundledVersion,
    FromBundle,
)
from oakmill.spec.bundle_file import Bundle
from oakmill.spec.imported import told
from oakmill.storage.blobs import Stored
from oakmill.storage.database import now
from oakmill.storage.spool import check_room, full
from oakmill.storage.uploads import SPOOL

Names = Mapping[str, str]


@contextmanager
def lying(at: Hub, sha256: str) -> Iterator[Path]:
    """A bundle that lies in the store, as a file to read.

    Raises:
        NotFound, BlobDamaged, StoreUnreachable: as `BlobStore.fetch`.
    """
    if local := at.blobs.local(sha256):
        yield local
        return
    with TemporaryDirectory(prefix="oakmill-bundle-") as folder:
        path = Path(folder) / "bundle"
        at.blobs.fetch(sha256, path)
        yield path


def preview(session: Session, caller: Caller, bundle: Bundle, names: Names | None = None) -> BundlePreview:
    """What the bundle would bring the caller's team.

    Raises:
        NoKey, Forbidden: the caller may not add models.
        SpecError, BadBundle: as `plans`.
    """
    team = _team(session, caller)
    said = bundle.manifest
    found = plans(session, caller, team.id, said, names)
    return BundlePreview(
        sha256=bundle.sha256,
        made=said.made,
        by=said.by,
        hub=said.hub.url,
        oakmill=said.hub.oakmill,
        size=sum(said.files.values()),
        models=tuple(plan.told(team.slug) for plan in found),
        datasets=tuple(_set(session, team.id, item) for item in said.datasets),
    )


def take(
    at: Hub, caller: Caller, bundle: Bundle, *, names: Names | None = None, only: Sequence[str] = ()
) -> BundleTaken:
    """Take in what is not here yet, under the names that the bundle has or `names` give; `only` some of the models.

    Raises:
        NoKey, Forbidden: the caller may not add models.
        Conflict: a name is another model's; nothing has come in.
        TooLarge: the quota or the disk has no room for it.
        HashMismatch, BadBundle, NotAModel, SourceError, UnsupportedModel: a file is not what it is to be; of its model
            nothing has come in.
    """
    with at.db.reading() as session:
        team = _team(session, caller)
        found = _chosen(plans(session, caller, team.id, bundle.manifest, names), only)
        _require_free(found)
        sets_told = tuple(_set(session, team.id, item) for item in bundle.manifest.datasets)
        wanted = _wanted(found, [item for item in bundle.manifest.datasets if not only], sets_told)
        _require_room(session, at, team, wanted)
        team_id, slug = team.id, team.slug
    for sha256, size in wanted.items():
        _store(at, bundle, sha256, size)
    looks = {plan.slug: {instance.id: look(at, instance, team_id) for _, _, instance in plan.new()} for plan in found}
    known = {} if only else _take_sets(at, caller, bundle, team_id)
    writing = _Taking(at, caller, team_id, bundle, known)
    taken = []
    for plan in found:
        model_id = writing.write(plan, looks[plan.slug])
        taken.append(plan.told(slug).model_copy(update={"model_id": model_id}))
    return BundleTaken(sha256=bundle.sha256, models=tuple(taken), datasets=() if only else sets_told)


def _team(session: Session, caller: Caller) -> Team:
    caller.require("convert")
    caller.require_whole_team()
    return session.get_one(Team, caller.own_team())


def _chosen(found: list[Plan], only: Sequence[str]) -> list[Plan]:
    slugs = {plan.model.slug for plan in found}
    if strange := [slug for slug in only if slug not in slugs]:
        raise NotFound(
            f"The bundle has no model {strange[0]!r}.",
            subject=strange[0],
            remedy=f"It has {', '.join(sorted(slugs))}.",
        )
    return [plan for plan in found if not only or plan.model.slug in only]


def _require_free(found: list[Plan]) -> None:
    taken = [plan for plan in found if plan.taken]
    if taken:
        first = taken[0].model.slug
        raise Conflict(
            " ".join(plan.taken for plan in taken),
            subject=first,
            remedy=f"Nothing has come in. Give it another name: --as {first}=NAME; or leave it out, with --only.",
        )


def _set(session: Session, team_id: str, item: BundledSet) -> BundleSet:
    state = state_of_set(session, team_id, item)
    return BundleSet(name=item.name, slug=slugify(item.name), state=state, size=item.size, count=item.count)


def _wanted(found: list[Plan], datasets: list[BundledSet], told: tuple[BundleSet, ...]) -> dict[str, int]:
    """The sizes of files that are to come in, by their sha256."""
    new = {item.slug for item in told if item.state == "new"}
    files = {file.sha256: file.size for plan in found for _, _, instance in plan.new() for file in instance.files}
    return files | {item.sha256: item.size for item in datasets if slugify(item.name) in new}


def _require_room(session: Session, at: Hub, team: Team, wanted: Mapping[str, int]) -> None:
    own = teams.own_files(session, team.id, wanted)
    size = sum(size for sha256, size in wanted.items() if sha256 not in own)
    left = teams.quota_left(session, team.id)
    if left is not None and size > left:
        raise TooLarge(
            f"What the bundle brings has {size} bytes; the team's quota leaves {left}.",
            remedy="Delete what the team does not need, or ask the operator for more; or take in less, with --only.",
        )
    check_room(at.uploads.folder, size, "What the bundle brings")


def _store(at: Hub, bundle: Bundle, sha256: str, size: int) -> None:
    """Bring a file into the store, where it is not there."""
    if at.blobs.has(sha256):
        return
    path = at.uploads.folder / f"{SPOOL}{secrets.token_hex(16)}"
    try:
        with path.open("xb") as file:
            for piece in bundle.stream(sha256):
                file.write(piece)
        at.blobs.put_file(path, sha256=sha256, move=True)
    except OSError as error:
        raise full(error, f"the file {sha256[:12]} with {size} bytes") from error
    finally:
        path.unlink(missing_ok=True)


def _take_sets(at: Hub, caller: Caller, bundle: Bundle, team_id: str) -> dict[str, str]:
    """The identifiers of the bundle's calibration sets here, by their slugs there; another's of a name stays."""
    known = {}
    for item in bundle.manifest.datasets:
        with at.db.reading() as session:
            if state_of_set(session, team_id, item) == "taken":
                continue
        kept = Stored(item.sha256, item.size)
        known[item.slug] = sets.receive(at, caller, item.name, kept, team_id, file=f"{item.name}.zip")
    return known


@dataclass(frozen=True)
class _Taking:
    """A bundle on its way in, whose files were looked at; `known` are identifiers of its calibration sets here."""

    at: Hub
    caller: Caller
    team_id: str
    bundle: Bundle
    known: Mapping[str, str]

    def write(self, plan: Plan, looks: Mapping[str, Facts]) -> str:
        """Write a model in one transaction, as it has to be by then. Its identifier.

        Another request may have brought the same meanwhile: then what that one left out is added.
        """
        try:
            return self._write(plan, looks)
        except Conflict:
            with self.at.db.reading() as session:
                here = again(session, self.caller, self.team_id, plan)
            if plan.existing is not None or here.existing is None:
                raise
            return self._write(here, looks)

    def _write(self, plan: Plan, looks: Mapping[str, Facts]) -> str:
        with self.at.db.session() as session:
            if plan.existing is not None:
                rows.held_model(session, plan.existing.id, alone=True)
            fresh = again(session, self.caller, self.team_id, plan)
            _require_free([fresh])
            new = {instance.id for _, _, instance in fresh.new()}
            if fresh.existing is not None and not new:
                return fresh.existing.id
            if not new <= looks.keys():
                raise Conflict(
                    f"The model {plan.slug!r} has changed meanwhile.", subject=plan.slug, remedy="Take it in again."
                )
            return _Writing(session, self, fresh, looks, _origin(self.bundle)).model()


def _origin(bundle: Bundle) -> FromBundle:
    said = bundle.manifest
    return FromBundle(hub=said.hub.url, hub_key=said.hub.public_key, sha256=bundle.sha256, made=said.made, by=said.by)


class _Writing:
    """One model on its way into the registry, in one transaction."""

    def __init__(
        self, session: Session, taking: _Taking, plan: Plan, looks: Mapping[str, Facts], origin: FromBundle
    ) -> None:
        self._session, self._at, self._caller = session, taking.at, taking.caller
        self._plan, self._looks, self._known, self._origin = plan, looks, taking.known, origin
        self._ids: dict[str, str] = {}

    def model(self) -> str:
        """Write it; its identifier."""
        row = self._plan.existing or self._new_model(self._plan.model)
        versions = dict(self._plan.versions)
        for variant, version in self._plan.model.versions():
            if (variant.slug, version.version) not in versions:
                versions[variant.slug, version.version] = self._new_version(row, variant, version)
        self._instances(versions)
        self._aliases(versions)
        size = sum(self._plan.model.files().values())
        teams.require_within(self._session, row.team_id, size)
        faces.choose(self._session, row.id)
        audit.record(
            self._session, self._caller, "model.unbundle", row.id, of_team=row.team_id, name=row.name,
            bundle=self._origin.sha256, hub=self._origin.hub,
        )  # fmt: skip
        return row.id

    def _new_model(self, said: BundledModel) -> Model:
        """Under the bundle's own slug, whatever its name is by now."""
        row = models.create(self._session, self._caller, name=self._plan.slug, **card_of(said))
        models.update_card(self._session, self._caller, row.id, name=self._plan.name)
        return row

    def _new_version(self, row: Model, variant: BundledVariant, said: BundledVersion) -> str:
        made = variants.add_version(
            self._session, self._caller, row.id,
            name=variant.name if slugify(variant.name) == variant.slug else variant.slug,
            version=said.version, changelog=said.changelog, repository_url=said.repository_url,
            commit_hash=said.commit_hash, domain=said.domain, tags=said.tags,
        )  # fmt: skip
        made.created = min(said.created, now())
        return made.id

    def _instances(self, versions: Mapping[tuple[str, str], str]) -> None:
        """Parents before what was made from them, whichever version each is of."""
        waiting = []
        for variant, version in self._plan.model.versions():
            for item in version.instances:
                here = self._plan.instances.get(place_of(variant, version, item))
                if here is not None:
                    self._ids[item.id] = here
                else:
                    waiting.append((versions[variant.slug, version.version], item))
        while waiting:
            ready = [(place, item) for place, item in waiting if item.parent is None or item.parent in self._ids]
            for place, item in ready:
                self._ids[item.id] = self._instance(place, item)
            waiting = [(place, item) for place, item in waiting if item.id not in self._ids]

    def _instance(self, version_id: str, said: BundledInstance) -> str:
        """As what it is: a source, or a result with all that was measured of it."""
        row = instances.create(
            self._session, self._caller, version_id, name=said.name, model_type=said.model_type,
            parent_id=self._ids[said.parent] if said.parent else None, description=said.description, tags=said.tags,
            yolo_version=said.yolo_version,
            quantization_data=self._known.get(said.quantization_data or "", said.quantization_data),
        )  # fmt: skip
        row.origin = said.origin
        row.created = min(said.created, now())
        row.imported = told(said.imported) if said.imported else None
        row.from_bundle = self._origin.model_copy(update={"instance": said.id}).model_dump(mode="json")
        for number, file in enumerate(said.files):
            self._file(row, file, number)
        instances.set_available(self._session, row, **self._looks[said.id])
        return row.id

    def _file(self, row: Instance, said: BundledFile, number: int) -> None:
        """In the order that the bundle has, from when the instance was made."""
        self._at.blobs.record(self._session, Stored(said.sha256, said.size))
        file = instances.add_file(
            self._session, row, name=said.name, sha256=said.sha256, size=said.size, role=said.role
        )
        file.created = row.created + timedelta(microseconds=number)

    def _aliases(self, versions: Mapping[tuple[str, str], str]) -> None:
        """Those that are not here; one that is here points where this hub's people have pointed it."""
        why = f"as in the bundle of {self._origin.hub or 'another hub'}"[:255]
        for variant, version in self._plan.model.versions():
            version_id = versions[variant.slug, version.version]
            if not version.aliases:
                continue
            variant_id = variants.version(self._session, self._caller, version_id).variant_id
            for name in version.aliases:
                if self._session.get(Alias, (variant_id, name)) is None:
                    aliases.move(self._session, self._caller, version_id, name, why=why)

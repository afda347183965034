"""Makes bundles: what rows say of models becomes a manifest, and their files follow it, streamed from the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from oakmill import __version__
from oakmill.errors import BlobDamaged, NotFound, SpecError, TooLarge
from oakmill.hub import bundles, evidence
from oakmill.hub.state import Hub
from oakmill.registry import audit, datasets, resolve, variants
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import Address
from oakmill.registry.tables import (
    Alias,
    Dataset,
    Instance,
    InstanceStatus,
    Model,
    Role,
    Version,
)
from oakmill.spec.bundle import (
    ENDING,
    FILES,
    MANIFEST,
    BundledFile,
    BundledFrom,
    BundledInstance,
    BundledModel,
    BundledProof,
    BundledSet,
    BundledSpeed,
    BundledVariant,
    BundledVersion,
    Manifest,
)
from oakmill.storage.database import now

Measurement = TypeVar("Measurement", BundledSpeed, BundledProof)
LEFT_OUT = frozenset({Role.DEBUG_BUNDLE})
_OF_MODEL = ("name", "slug", "summary", "card", "license", "architecture", "links", "is_yolo", "created")
_OF_VERSION = ("version", "changelog", "repository_url", "commit_hash", "domain", "created")
_OF_INSTANCE = (
    "id", "name", "description", "origin", "model_type", "precision", "tool_version", "yolo_version", "imported",
    "created",
)  # fmt: skip


def manifest(
    session: Session, caller: Caller, at: Hub, addresses: Sequence[str], *, with_datasets: bool = False, url: str = ""
) -> Manifest:
    """What a bundle of these models holds, each as `[team/]model`: all that is complete below them.

    `with_datasets` adds the team's own calibration sets that they were quantized with; `url` is this hub's address.

    Raises:
        NotFound: there is no such model that the caller sees, or nothing of it is complete.
        SpecError: an address is none of a whole model, or two models have one name.
        NoKey: no key was given.
        TooLarge: no hub would take in so much.
    """
    caller.require("read")
    rows = {row.id: row for row in (_model(session, caller, address) for address in addresses)}
    _require_names(rows.values())
    sets = _Sets(session, caller, wanted=with_datasets)
    models = tuple(_bundled(session, caller, row, sets) for row in rows.values())
    for row in rows.values():
        _note(at, caller, row)
    own = BundledFrom(url=at.settings.public_url or url, oakmill=__version__, public_key=evidence.public_key(at.secret))
    made = Manifest(
        made=now(), by=(caller.user_name or caller.key_name)[:255], hub=own, models=models, datasets=sets.bundled,
        files={},
    )  # fmt: skip
    if excess := made.excess():
        raise TooLarge(
            f"There would be too much in the bundle: {excess}.", remedy="Make several, or delete old versions."
        )
    return made.model_copy(update={"files": dict(sorted(made.named().items()))})


def pieces(at: Hub, made: Manifest) -> Iterator[bytes]:
    """The bundle itself, as it is sent.

    Raises:
        BlobDamaged: the store's bytes have changed, or are gone; the bundle has no end then.
        StoreUnreachable: the bucket does not answer.
    """
    files = ((FILES + sha256, sha256, size) for sha256, size in made.files.items())
    try:
        yield from bundles.zipped(at.blobs, files, {MANIFEST: made.as_bytes()})
    except NotFound as error:
        raise BlobDamaged(
            f"The store has no bytes {error.subject[:12]}, which the models named.",
            subject=error.subject,
            remedy="Was one deleted meanwhile? Else restore them from a backup.",
        ) from error


def file_name(made: Manifest) -> str:
    """What a bundle is called where nobody says it."""
    first = made.models[0].slug
    return f"{first if len(made.models) == 1 else f'{first}-and-{len(made.models) - 1}-more'}{ENDING}"


def _model(session: Session, caller: Caller, text: str) -> Model:
    at = Address.parse(text)
    if at.variant is not None or at.alias is not None:
        raise SpecError(
            f"{text!r} names a part of a model, and a bundle holds whole ones.", subject=text, remedy="Name the model."
        )
    return resolve.model(session, caller, at)


def _require_names(rows: Iterable[Model]) -> None:
    """On the hub that takes them in, all are one team's."""
    seen: set[str] = set()
    for row in rows:
        if row.slug in seen:
            raise SpecError(f"Two models are called {row.slug!r}.", subject=row.slug, remedy="Make a bundle of each.")
        seen.add(row.slug)


def _note(at: Hub, caller: Caller, row: Model) -> None:
    model_id, team_id, name = row.id, row.team_id, row.name
    at.later.note(lambda writing: audit.record(writing, caller, "model.bundle", model_id, of_team=team_id, name=name))


class _Sets:
    """The calibration sets that instances name: by identifier in the rows, by name in a bundle."""

    def __init__(self, session: Session, caller: Caller, *, wanted: bool) -> None:
        self._wanted = wanted
        named = datasets.listed(session, caller) if caller.may_for_whole_team("read") else []
        self._rows: dict[str, Dataset] = {row.id: row for row in named}
        self._found: dict[str, BundledSet] = {}

    @property
    def bundled(self) -> tuple[BundledSet, ...]:
        """Those that come along."""
        return tuple(self._found[slug] for slug in sorted(self._found))

    def name(self, said: str | None) -> str | None:
        """What the set is called; it comes along where that is wanted."""
        row = self._rows.get((said or "").removeprefix("dataset:"))
        if row is None:
            return said
        if self._wanted:
            self._found[row.slug] = BundledSet(
                name=row.name, slug=row.slug, sha256=row.sha256, size=row.size, count=row.count
            )
        return row.slug


def _bundled(session: Session, caller: Caller, row: Model, sets: _Sets) -> BundledModel:
    versions = variants.versions_of(session, caller, row.id)
    files = _instances(session, row)
    aliases = _aliases(session, row)
    by_variant: dict[str, list[Version]] = defaultdict(list)
    for version in reversed(versions):  # the lowest first, as they were made
        if files[version.id]:
            by_variant[version.variant_id].append(version)
    if not by_variant:
        raise NotFound(
            f"Nothing of the model {row.name!r} is complete.", subject=row.slug, remedy="Finish its upload first."
        )
    there = {instance.id for below in files.values() for instance in below}
    return BundledModel(
        **{name: getattr(row, name) for name in _OF_MODEL},
        team=row.team.slug,
        tasks=tuple(row.tasks),
        tags=tuple(row.tags),
        variants=tuple(
            BundledVariant(
                name=below[0].variant.name,
                slug=below[0].variant.slug,
                versions=tuple(
                    BundledVersion(
                        **{name: getattr(version, name) for name in _OF_VERSION},
                        tags=tuple(version.tags),
                        aliases=tuple(aliases[version.id]),
                        instances=tuple(_instance(item, there, sets) for item in files[version.id]),
                    )
                    for version in below
                ),
            )
            for below in by_variant.values()
        ),
    )


def _instances(session: Session, row: Model) -> dict[str, list[Instance]]:
    """The complete instances of the model by their versions, as they were made."""
    query = select(Instance).where(
        Instance.model_id == row.id, Instance.status == InstanceStatus.AVAILABLE, Instance.trash_id.is_(None)
    )
    found: dict[str, list[Instance]] = defaultdict(list)
    ordered = query.order_by(Instance.created, Instance.id).options(selectinload(Instance.files))
    for item in session.scalars(ordered.execution_options(populate_existing=True)):
        found[item.version_id].append(item)
    return found


def _aliases(session: Session, row: Model) -> dict[str, list[str]]:
    query = select(Alias).join(Alias.version).where(Version.model_id == row.id).options(joinedload(Alias.version))
    found: dict[str, list[str]] = defaultdict(list)
    for alias in session.scalars(query.order_by(Alias.name)):
        found[alias.version_id].append(alias.name)
    return found


def _instance(row: Instance, there: set[str], sets: _Sets) -> BundledInstance:
    files = tuple(
        BundledFile(name=file.name, role=file.role, sha256=file.sha256, size=file.size)
        for file in row.files
        if file.role not in LEFT_OUT
    )
    return BundledInstance(
        **{name: getattr(row, name) for name in _OF_INSTANCE},
        parent=row.parent_id if row.parent_id in there else None,
        quantization_data=sets.name(row.quantization_data),
        heads=_heads(row),
        speed=_measured(row, "speed", BundledSpeed),
        proof=_measured(row, "proof", BundledProof),
        tags=tuple(row.tags),
        files=files,
    )


def _measured(row: Instance, what: str, kind: type[Measurement]) -> Measurement | None:
    """The newest that a camera has measured; not by which job, which stays where it ran."""
    said = (row.facts.get("measured") or {}).get(what)
    return kind.model_validate({name: said[name] for name in kind.model_fields if name in said}) if said else None


def _heads(row: Instance) -> tuple[dict[str, object], ...]:
    """Of what a conversion has written; a source's are found again by looking at it."""
    said = row.facts.get("heads") if row.parent_id else None
    return tuple(head for head in said if isinstance(head, dict)) if isinstance(said, list) else ()

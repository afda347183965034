"""From an address to what stands there: what is left out means the latest instance of the latest version."""

from __future__ import annotations

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from oakmill.errors import Conflict, NoKey, NotFound
from oakmill.registry import access
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import Address, is_id
from oakmill.registry.search import begins_with
from oakmill.registry.semver import Semver
from oakmill.registry.tables import Alias, Instance, InstanceStatus, Model, Team, Variant, Version

_SHOWN = 12


def model(session: Session, caller: Caller, address: Address | str) -> Model:
    """The model of an address or an identifier, with its team; one's own team's goes before others'.

    Raises:
        SpecError: It is no address.
        NotFound: There is none that the caller sees.
        NoKey: The caller gave no key, and without one nothing is to be seen here.
        Conflict: Several teams have a public one of that name.
    """
    at = Address.parse(address) if isinstance(address, str) else address
    named: ColumnElement[bool] = (
        Model.slug.in_([at.model, f"m-{at.model}"]) if is_id(at.model) else Model.slug == at.model
    )
    query = select(Model).join(Model.team).where(or_(named, Model.id == at.model), access.visible(caller))
    if at.team is not None:
        query = query.where(Team.slug == at.team)
    found = list(session.scalars(query.options(joinedload(Model.team)).execution_options(populate_existing=True)))
    own = [row for row in found if row.team_id == caller.team_id] or found
    if not own:
        raise access.unseen(caller, "model", str(at))
    if len(own) > 1:
        teams = ", ".join(sorted(f"{row.team.slug}/{row.slug}" for row in own))
        raise Conflict(
            f"{at.model!r} is several models: {teams}.", subject=str(at), remedy="Name the team: team/model."
        )
    return own[0]


def version(session: Session, caller: Caller, address: Address | str) -> Version:
    """The version of an address, with its variant; the latest where it names none.

    Raises:
        SpecError: It is no address.
        NotFound: There is none that the caller sees.
        NoKey: The caller gave no key, and without one nothing is to be seen here.
        Conflict: Several teams have a public model of that name.
    """
    at = Address.parse(address) if isinstance(address, str) else address
    return _latest(session, caller, at, None)


def resolve(
    session: Session,
    caller: Caller,
    address: Address | str,
    platform: str | None = None,
    *,
    precision: str | None = None,
    tool_version: str | None = None,
) -> Instance:
    """The latest available instance of the latest version that has one, with its files.

    Raises:
        SpecError: It is no address.
        NotFound: There is none that the caller sees.
        NoKey: The caller gave no key, and without one nothing is to be seen here.
        Conflict: Several teams have a public model of that name.
    """
    at = Address.parse(address) if isinstance(address, str) else address
    wanted = [_usable()]
    for column, value in (
        (Instance.model_type, platform),
        (Instance.precision, precision),
        (Instance.tool_version, tool_version),
    ):
        if value is not None:
            wanted.append(column == value)
    place = _latest(session, caller, at, wanted)
    if at.hash is not None and not _is_version(at, place):
        wanted.append(begins_with(at.hash))
    return session.scalars(
        select(Instance)
        .where(Instance.version_id == place.id, *wanted)
        .order_by(Instance.created.desc(), Instance.id.desc())
        .limit(1)
        .options(selectinload(Instance.files))
        .execution_options(populate_existing=True)
    ).one()


def _latest(session: Session, caller: Caller, at: Address, wanted: list[ColumnElement[bool]] | None) -> Version:
    """The highest version that the address means and that has an instance as wanted; None asks for no instance."""
    among = _among(session, caller, at)
    query = (
        select(Version)
        .join(Version.variant)
        .where(*among)
        .options(joinedload(Version.variant))
        .execution_options(populate_existing=True)
    )
    if wanted is not None:
        query = query.where(exists().where(Instance.version_id == Version.id, *wanted))
    found = [row for row in session.scalars(query) if at.version is None or _is_version(at, row)]
    if at.hash is not None and not (found and at.version):
        hashed = exists().where(Instance.version_id == Version.id, begins_with(at.hash), *(wanted or [_there()]))
        found = list(session.scalars(query.where(hashed)))
    if not found:
        raise _nothing(session, caller, at, among, wanted)
    return max(found, key=lambda row: (Semver.parse(row.version), row.created))


def _among(session: Session, caller: Caller, at: Address) -> list[ColumnElement[bool]]:
    """The versions below what the address names: the model, the variant, the alias."""
    among = [Version.model_id == model(session, caller, at).id, Version.trash_id.is_(None)]
    if at.variant is not None:
        among.append(Variant.slug == at.variant)
    if at.alias is None:
        return among
    query = select(Alias.version_id, Variant.slug).join(Alias.version).join(Alias.variant)
    found = session.execute(query.where(Alias.name == at.alias, *among).order_by(Variant.slug)).all()
    if not found:
        raise access.unseen(caller, "alias", str(at))
    if len(found) > 1:
        raise Conflict(
            f"Several variants have the alias {at.alias!r}: {', '.join(slug for _, slug in found)}.",
            subject=str(at),
            remedy=f"Name the variant: {at.model}:{found[0].slug}@{at.alias}",
        )
    return [Version.id == found[0].version_id]


def _there() -> ColumnElement[bool]:
    return Instance.trash_id.is_(None)


def _usable() -> ColumnElement[bool]:
    return (Instance.status == InstanceStatus.AVAILABLE) & _there()


def _nothing(
    session: Session,
    caller: Caller,
    at: Address,
    among: list[ColumnElement[bool]],
    wanted: list[ColumnElement[bool]] | None,
) -> NoKey | NotFound:
    """That there is no such version, or no such instance; what there is instead is said, for the model is seen."""
    if wanted is None:
        return access.unseen(caller, "version", str(at))
    seen = select(Instance.model_type, Instance.precision, Instance.tool_version).distinct()
    below = seen.join(Version, Version.id == Instance.version_id).join(Variant, Variant.id == Instance.variant_id)
    there = sorted({" ".join(filter(None, row)) for row in session.execute(below.where(*among, wanted[0]))})
    if not there:
        return access.unseen(caller, "available instance", str(at))
    return NotFound(
        f"{str(at)!r} has no available instance of this kind; it has {', '.join(there[:_SHOWN])}.",
        subject=str(at),
        remedy="Ask for one of these, or convert the model.",
    )


def _is_version(at: Address, row: Version) -> bool:
    return at.version is not None and Semver.parse(at.version) == Semver.parse(row.version)

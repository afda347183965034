"""What of a bundle would come in: new models, what those that are here lack, and names that are taken.

A model here is the bundle's own where it has the same name and one of its files in the same place; then what it lacks
is added, and what it has is left. Any other of that name is another model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.errors import BadBundle, SpecError
from oakmill.hub.wire_bundle import BundleModel, BundleState
from oakmill.registry import access, aliases, models
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import checked_file_name, checked_name, slugify
from oakmill.registry.semver import Semver
from oakmill.registry.tables import Dataset, Instance, InstanceFile, InstanceStatus, Model, Variant, Version
from oakmill.registry.words import model_types
from oakmill.spec.bundle import BundledInstance, BundledModel, BundledSet, BundledVariant, BundledVersion, Manifest

Place = tuple[str, str, str, str]
"""Where an instance is within its model: variant's slug, version, model type, sha256."""


@dataclass(frozen=True)
class Plan:
    """A model of a bundle, what it is to be called here, and what is here of it: instances and versions by place.

    `taken` says why it cannot come in under that name; empty where it can.
    """

    model: BundledModel
    slug: str
    name: str
    existing: Model | None = None
    taken: str = ""
    instances: Mapping[Place, str] = field(default_factory=dict)
    versions: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def new(self) -> list[tuple[BundledVariant, BundledVersion, BundledInstance]]:
        """What is not here yet."""
        return [
            (variant, version, instance)
            for variant, version in self.model.versions()
            for instance in version.instances
            if place_of(variant, version, instance) not in self.instances
        ]

    @property
    def state(self) -> BundleState:
        """What would happen to it."""
        if self.taken:
            return "taken"
        if self.existing is None:
            return "new"
        return "adds" if self.new() else "there"

    def told(self, team: str) -> BundleModel:
        """The same for clients."""
        new = self.new() if not self.taken else []
        files = {file.sha256: file.size for _, _, instance in new for file in instance.files}
        return BundleModel(
            slug=self.model.slug,
            address=f"{team}/{self.slug}",
            name=self.name,
            state=self.state,
            why=self.taken,
            variants=len(self.model.variants),
            versions=sum(1 for _ in self.model.versions()),
            instances=sum(1 for _ in self.model.instances()),
            coming=len(new),
            size=sum(files.values()),
            model_id=self.existing.id if self.existing is not None and not self.taken else None,
        )


def card_of(model: BundledModel) -> models.Card:
    """What the model says about itself."""
    return {
        "summary": model.summary, "card": model.card, "license": model.license, "architecture": model.architecture,
        "tasks": model.tasks, "tags": model.tags, "links": model.links, "is_yolo": model.is_yolo,
    }  # fmt: skip


def place_of(variant: BundledVariant, version: BundledVersion, instance: BundledInstance) -> Place:
    """Where an instance is within its model."""
    return variant.slug, version.version, instance.model_type, instance.model.sha256


def plans(
    session: Session, caller: Caller, team_id: str, manifest: Manifest, names: Mapping[str, str] | None = None
) -> list[Plan]:
    """A plan for each of the bundle's models; `names` are others to take them in under, by the slugs they have.

    Raises:
        SpecError: a name is none, is for no model of the bundle, or is given twice.
        BadBundle: what the manifest calls something is no name.
    """
    names = dict(names or {})
    slugs = {model.slug for model in manifest.models}
    if strange := sorted(names.keys() - slugs):
        raise SpecError(
            f"The bundle has no model {strange[0]!r}.", subject=strange[0], remedy=f"It has {', '.join(sorted(slugs))}."
        )
    found = []
    for model in manifest.models:
        _require_words(model)
        name = names.get(model.slug)
        slug = slugify(name) if name else model.slug
        found.append(_plan(session, caller, team_id, model, slug, checked_name(name) if name else model.name))
    if len({plan.slug for plan in found}) != len(found):
        raise SpecError("Two models of the bundle would have one name.", remedy="Give one another: --as SLUG=NAME")
    return found


def again(session: Session, caller: Caller, team_id: str, plan: Plan) -> Plan:
    """The same plan as of now: others may have changed the model meanwhile."""
    return _plan(session, caller, team_id, plan.model, plan.slug, plan.name)


def state_of_set(session: Session, team_id: str, item: BundledSet) -> BundleState:
    """What would happen to a calibration set: the team has none of that name, has it, or has another."""
    named = (Dataset.team_id == team_id, Dataset.slug == slugify(item.name), Dataset.trash_id.is_(None))
    here = session.scalar(select(Dataset.sha256).where(*named))
    if here is None:
        return "new"
    return "there" if here == item.sha256 else "taken"


def _require_words(model: BundledModel) -> None:
    """That names are such as a hub gives, so that addresses mean the same here.

    Raises:
        BadBundle: they are not.
    """
    try:
        slugs = [model.slug, *(variant.slug for variant in model.variants)]
        for text in (model.name, *(variant.name for variant in model.variants)):
            checked_name(text)
        for slug in slugs:
            if slugify(slug) != slug:
                raise SpecError(f"{slug!r} is no name in an address.")
        models.checked_card(card_of(model))
        for _, version in model.versions():
            Semver.parse(version.version)
            for alias in version.aliases:
                aliases.check(alias)
        for instance in model.instances():
            checked_name(instance.name)
            _require_file_names(instance)
            if instance.model_type not in model_types():
                raise SpecError(f"{instance.model_type!r} is no type of an instance.")
    except SpecError as error:
        raise BadBundle(
            f"The model {model.slug[:80]!r} of the bundle cannot be taken in: {error.message}",
            subject=model.slug[:80],
            remedy="Make the bundle anew.",
        ) from error
    _require_once(model)


def _require_file_names(instance: BundledInstance) -> None:
    names = [checked_file_name(file.name) for file in instance.files]
    for above, below in pairwise(sorted(name.split("/") for name in names)):
        if below[: len(above)] == above:
            raise SpecError(f"{'/'.join(above)!r} is a file and a folder.")


def _require_once(model: BundledModel) -> None:
    """That no variant and no version comes twice."""
    variants = [variant.slug for variant in model.variants]
    versions = [(variant.slug, version.version) for variant, version in model.versions()]
    aliases = [(variant.slug, alias) for variant, version in model.versions() for alias in version.aliases]
    for several in (variants, versions, aliases):
        if len(set(several)) != len(several):
            raise BadBundle(
                f"A variant, version or alias of the model {model.slug!r} comes twice in the bundle.",
                subject=model.slug,
                remedy="Make the bundle anew.",
            )


def _plan(session: Session, caller: Caller, team_id: str, model: BundledModel, slug: str, name: str) -> Plan:
    here = session.scalars(
        select(Model).where(Model.team_id == team_id, Model.slug == slug, Model.trash_id.is_(None))
    ).first()
    if here is None:
        return Plan(model, slug, name)
    seen = session.scalars(select(Model.id).where(Model.id == here.id, access.visible(caller))).first()
    if seen is None:
        return Plan(model, slug, name, here, _taken(slug))
    found = Plan(model, slug, here.name, here, "", _instances(session, here), _versions(session, here))
    why = _why_not(session, found)
    return Plan(model, slug, name, here, why) if why else found


def _instances(session: Session, here: Model) -> dict[Place, str]:
    columns = (Variant.slug, Version.version, Instance.model_type, Instance.sha256, Instance.id)
    query = select(*columns).join(Version, Version.id == Instance.version_id).join(Variant)
    complete = query.where(
        Instance.model_id == here.id, Instance.status == InstanceStatus.AVAILABLE, Instance.trash_id.is_(None)
    )
    rows = session.execute(complete.order_by(Instance.created.desc()))
    return {(variant, version, kind, str(sha256)): id_ for variant, version, kind, sha256, id_ in rows}


def _versions(session: Session, here: Model) -> dict[tuple[str, str], str]:
    query = select(Variant.slug, Version.version, Version.id).join(Variant, Variant.id == Version.variant_id)
    rows = session.execute(query.where(Version.model_id == here.id, Version.trash_id.is_(None)))
    return {(variant, version): id_ for variant, version, id_ in rows}


def _why_not(session: Session, found: Plan) -> str:
    """Why the model here is another one than the bundle's; empty where it is the same."""
    placed = {
        place_of(variant, version, instance)
        for variant, version in found.model.versions()
        for instance in version.instances
    }
    if not placed & found.instances.keys():
        return _taken(found.slug)
    for variant, version in found.model.versions():
        theirs = {instance.model.sha256 for instance in version.instances if instance.origin == "source"}
        ours = _sources(session, found.versions.get((variant.slug, version.version)))
        if theirs and ours and not theirs & ours:
            return (
                f"Version {version.version} of {found.slug}:{variant.slug} was uploaded here with other bytes than the "
                "bundle's."
            )
    return ""


def _sources(session: Session, version_id: str | None) -> set[str]:
    query = select(InstanceFile.sha256).join(Instance, Instance.id == InstanceFile.instance_id)
    query = query.where(
        Instance.version_id == version_id,
        Instance.origin == "source",
        Instance.trash_id.is_(None),
        InstanceFile.role == "model",
    )
    return set(session.scalars(query)) if version_id else set()


def _taken(slug: str) -> str:
    return f"There is another model {slug!r} here, with none of the bundle's files."

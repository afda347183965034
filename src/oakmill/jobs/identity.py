"""Says what decides the result of a job: two requests of the same key get the same bytes.

Names count beside contents, for results carry them: whoever asks is never told what another key calls its files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.conversion.cache import identity
from oakmill.conversion.cache.store import key_of
from oakmill.errors import NotFound
from oakmill.registry.tables import Dataset, Instance, InstanceFile, Role
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec
from oakmill.spec.platforms import PLATFORMS

DATASET = "dataset"
_FORM = 2


def identity_of(
    session: Session, source: Instance, spec: ConversionSpec, files: Mapping[str, str], settings: Settings
) -> str | None:
    """sha256 over the source's files, every parameter, names and contents of what it means, and the tools.

    None where that cannot be told: with a vendor's tools of the operator's own, or a toolchain that is not whole.

    Raises:
        NotFound: a calibration set is not the team's.
    """
    if identity.uses_own_tools(spec, settings):
        return None
    named = {field: named_file(session, source.team_id, value) for field, value in files.items()}
    tools = identity.toolchains(_toolchains(spec, settings), settings)
    parameters = identity.spec_of(_without_files(spec, named), settings)
    if tools is None or parameters is None:
        return None
    rows = select(InstanceFile.name, InstanceFile.role, InstanceFile.sha256).where(
        InstanceFile.instance_id == source.id, InstanceFile.role.in_((Role.MODEL, Role.PART))
    )
    read = sorted(list(row) for row in session.execute(rows))
    return key_of(_FORM, identity.maker(), read, parameters, named, tools)


def named_file(session: Session, team_id: str, value: str) -> tuple[str, str]:
    """The sha256 and the name of what a value of a job's `files` means: "<sha256>:<name>", or "dataset:<id>".

    Raises:
        NotFound: the team has no such calibration set.
    """
    before, _, after = value.partition(":")
    if before != DATASET:
        return before, after
    found = session.get(Dataset, after)
    if found is None or found.team_id != team_id or found.trash_id is not None:
        raise NotFound(f"There is no calibration set {after}.", subject=value)
    return found.sha256, f"{found.slug}.zip"


def _without_files(spec: ConversionSpec, named: Mapping[str, Any]) -> ConversionSpec:
    """Files of the hub lie at no place of this machine."""
    return spec.model_copy(update=dict.fromkeys(named))


def _toolchains(spec: ConversionSpec, settings: Settings) -> list[str]:
    """All installed ones that may take part: those of the platform, and those that belong to none."""
    folders = settings.toolchains.glob("*/*")
    names = (path.relative_to(settings.toolchains).as_posix() for path in folders if not path.name.startswith("."))
    others = set(PLATFORMS) - {spec.platform}
    return sorted(name for name in names if name.partition("/")[0] not in others)

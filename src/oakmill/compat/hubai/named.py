"""What a list is narrowed to: the client's users give it slugs and addresses where it sends on identifiers."""

from __future__ import annotations

from sqlalchemy.orm import Session

from oakmill.registry import resolve
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import is_id


def below(session: Session, caller: Caller, *, model: str | None = None, version: str | None = None) -> dict[str, str]:
    """The filters of a list by a model and a version, each given by its identifier, slug or address.

    Raises:
        SpecError: it is no address.
        NotFound, NoKey, Conflict: there is none that the caller sees, or several.
    """
    found = {}
    if model is not None:
        found["model_id"] = model if is_id(model) else resolve.model(session, caller, model).id
    if version is not None:
        found["version_id"] = version if is_id(version) else resolve.version(session, caller, version).id
    return found

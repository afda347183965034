"""What a source's outputs are taken for, asked of a worker once for each question, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oakmill.conversion.cache import identity
from oakmill.heads import families
from oakmill.hub import looks
from oakmill.hub.state import Hub
from oakmill.registry.tables import Instance
from oakmill.spec import InputSpec
from oakmill.untrusted.questions import HeadFacts
from oakmill.web import cache

MARKS = {"certain": "ok", "likely": "warning", "guess": "warning"}
"""The colours of how sure it is."""


def of(
    at: Hub, row: Instance, inputs: Sequence[InputSpec], platform: str, family: str = "", named: int = 0
) -> HeadFacts:
    """What the outputs are, from the cache where the same was asked of the same code.

    Raises:
        OakmillError: as `IsolatedWorkers.asking`.
    """
    said = [item.model_dump(mode="json") for item in inputs]
    question = [row.sha256, platform, family, named, said, identity.code()]
    made = cache.answer(
        _folder(at),
        question,
        lambda: looks.head(at, row, inputs, platform, family, named).model_dump(mode="json"),
    )
    return HeadFacts.model_validate(made)


def family_of(word: str) -> str:
    """The family that a form or an address names; empty where there is none of that name."""
    return word if any(row.name == word for row in families.ROWS) else ""


def needs(family: str) -> str:
    """What a network of a family has, for who chose it for another one."""
    return next((row.needs or row.words for row in families.ROWS if row.name == family), "")


def _folder(at: Hub) -> Path:
    return at.settings.hub.absolute() / "heads"

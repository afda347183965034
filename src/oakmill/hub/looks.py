"""What the hub asks about files of its store that nobody vouches for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from oakmill.hub.state import Hub
from oakmill.preflight.findings import Report
from oakmill.registry.tables import Instance, Role
from oakmill.spec import InputSpec
from oakmill.untrusted.ask import Lay
from oakmill.untrusted.questions import CheckModel, HeadFacts, RecogniseHead


def files_of(at: Hub, row: Instance) -> dict[str, Lay]:
    """A source's files, as a worker is given them."""
    return {
        file.name: partial(at.blobs.fetch, file.sha256) for file in row.files if file.role in (Role.MODEL, Role.PART)
    }


def preflight(at: Hub, row: Instance, inputs: Sequence[InputSpec], platforms: Sequence[str]) -> dict[str, Report]:
    """What preflight says of a source on each platform, with what is asked of its inputs.

    Raises:
        OakmillError: as `IsolatedWorkers.asking`.
    """
    model = next(file.name for file in row.files if file.role == Role.MODEL)
    asked = CheckModel(model=model, inputs=tuple(inputs), platforms=tuple(platforms))
    return at.isolated.ask(asked, files_of(at, row), row.team_id).reports


def recognised_input(row: Instance) -> Mapping[str, Any] | None:
    """What is known of the one input of a source, as fields of an `InputSpec`, by what its network is recognised as."""
    found = row.facts.get("recognised") or {}
    return found.get("input") or None


def head(
    at: Hub, row: Instance, inputs: Sequence[InputSpec], platform: str, family: str = "", named: int = 0
) -> HeadFacts:
    """What a source's outputs are taken for by a conversion to a platform, with a family and so many classes named.

    Raises:
        OakmillError: as `IsolatedWorkers.asking`.
    """
    model = next(file.name for file in row.files if file.role == Role.MODEL)
    asked = RecogniseHead(model=model, platform=platform, family=family, named=named, inputs=tuple(inputs))
    return at.isolated.ask(asked, files_of(at, row), row.team_id)

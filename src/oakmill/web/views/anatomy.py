"""What models' graphs are made of, counted once by a worker and cached, with what preflight says of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from oakmill.errors import NotFound
from oakmill.findings import Finding, Severity
from oakmill.hub import looks
from oakmill.hub.state import Hub
from oakmill.preflight.findings import Report
from oakmill.registry.tables import Instance, InstanceFile, Role
from oakmill.untrusted.questions import VIEW, DescribeGraph, GraphFacts
from oakmill.web import cache
from oakmill.web.views.job import file_of

_INDEX = "anatomy.json"


@dataclass(frozen=True)
class Anatomy:
    """What is known of a graph, and what preflight says of its operations."""

    found: GraphFacts
    preflight: Mapping[str, Report]

    @cached_property
    def nodes(self) -> int:
        """All nodes."""
        return sum(item.count for item in self.found.operations)

    @cached_property
    def parameters(self) -> int:
        """All parameters."""
        return sum(item.parameters for item in self.found.operations)

    @cached_property
    def products(self) -> int:
        """All multiplications of one image."""
        return sum(item.products for item in self.found.operations)

    @cached_property
    def most(self) -> int:
        """Parameters of the operation that has most."""
        return max((item.parameters for item in self.found.operations), default=0)

    @cached_property
    def marks(self) -> dict[tuple[str, str], Finding]:
        """The worst that is said of an operation on a platform."""
        found: dict[tuple[str, str], Finding] = {}
        for platform, item in self._findings():
            key = platform, item.evidence["op"]
            if key not in found or item.severity.rank > found[key].severity.rank:
                found[key] = item
        return found

    @property
    def bad(self) -> list[tuple[str, Finding]]:
        """What stands in the way, platform by platform."""
        return [(platform, item) for platform, item in self._findings() if item.severity is Severity.ERROR]

    def _findings(self) -> Iterable[tuple[str, Finding]]:
        """What is said of nodes."""
        for platform, report in self.preflight.items():
            for item in report.findings:
                if item.evidence.get("op"):
                    yield platform, item


def known(at: Hub, row: Instance) -> GraphFacts | None:
    """What is known of the instance's graph, where it is cached."""
    try:
        return GraphFacts.model_validate_json((folder_of(at, row) / _INDEX).read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def made(at: Hub, row: Instance, owner: str) -> GraphFacts:
    """What is known of the instance's graph, cached or, for a team, looked at now.

    Raises:
        OakmillError: as `IsolatedWorkers.asking`.
    """
    if found := known(at, row):
        return found
    folder, asked = folder_of(at, row), DescribeGraph(model=model_file(row).name)
    shutil.rmtree(folder, ignore_errors=True)  # what an older Oakmill left, which cannot be read
    look = at.isolated.asking(asked, looks.files_of(at, row), owner)
    with look as (facts, made_there), cache.making(folder) as place:
        view = made_there / VIEW
        if view.is_file() and not view.is_symlink():
            shutil.move(view, place / VIEW)
        (place / _INDEX).write_text(facts.model_dump_json())
    return facts


def folder_of(at: Hub, row: Instance) -> Path:
    """Where what is known of the instance's graph is cached."""
    return at.settings.hub.absolute() / "graphs" / str(row.sha256)


def model_file(row: Instance) -> InstanceFile:
    """The file that is the model.

    Raises:
        NotFound: it has not come yet.
    """
    found = file_of(row.files, Role.MODEL)
    if found is None:
        raise NotFound(f"The instance {row.name!r} has no file yet.", subject=row.id, remedy="Wait until it is there.")
    return found

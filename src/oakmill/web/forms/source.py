"""What the convert pages know of a source: where it stands, its inputs, and what its archive says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from oakmill.errors import Conflict
from oakmill.findings import Finding, Severity
from oakmill.hub import looks
from oakmill.model import merge_inputs, prefill
from oakmill.model.source import Tensor
from oakmill.preflight.findings import Code, Report, reports_of
from oakmill.registry import instances, resolve, variants
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import Address
from oakmill.registry.tables import Instance, InstanceStatus, Model, Role, Version
from oakmill.spec.platforms import PLATFORMS

_HASH = 12
_ORIGINS = {"archive": "from the archive", "recognised": "as such networks take it"}
_UNKNOWN = Finding(
    Code.NOT_MEASURED,
    Severity.WARNING,
    "this source was not compared with what the platform takes",
    remedy="try the conversion: its compiler decides",
)


@dataclass(frozen=True)
class Source:
    """A source instance with what stands above it. `archive` holds what is said of each input without the user."""

    row: Instance
    model: Model
    version: Version
    tensors: list[dict[str, Any]]
    archive: list[dict[str, Any]]
    origins: Mapping[str, str]

    @property
    def address(self) -> str:
        """The address that means this source and no other."""
        place = f"{self.model.team.slug}/{self.model.slug}:{self.version.variant.slug}"
        return f"{place}:{(self.row.sha256 or '')[:_HASH]}"

    @property
    def names(self) -> list[str]:
        """The names of its inputs, in order."""
        return [item["name"] for item in self.tensors]

    @property
    def file(self) -> str:
        """The name of the file that was uploaded."""
        return next((file.name for file in self.row.files if file.role == Role.MODEL), self.row.name)

    def report(self, platform: str) -> Report:
        """What preflight said of a platform when the file came."""
        return reports_of(self.row.facts).get(platform) or Report(platform, "", "", (_UNKNOWN,))

    @property
    def reports(self) -> dict[str, Report]:
        """The same of every platform."""
        return {name: self.report(name) for name in PLATFORMS}

    def prefilled(self) -> dict[str, str]:
        """Which fields of the form come from the archive, or are known of such a network."""
        names = self.names
        said = ((*key.rpartition("."), _ORIGINS[origin]) for key, origin in self.origins.items() if origin in _ORIGINS)
        return {f"inputs.{names.index(name)}.{field}": words for name, _, field, words in said}


def source_of(session: Session, caller: Caller, instance_id: str) -> Source:
    """The source of that identifier.

    Raises:
        NotFound: the caller does not see it.
        Conflict: it is a result, or not complete.
    """
    row = instances.instance(session, caller, instance_id)
    if row.parent_id is not None or row.status != InstanceStatus.AVAILABLE:
        raise Conflict(
            f"The instance {row.name!r} is no complete source.",
            subject=row.id,
            remedy="Convert the file that was uploaded, once its upload is through.",
        )
    tensors = list(row.facts.get("inputs") or ())
    merged = merge_inputs(
        (), prefill(row.facts.get("archive"), tuple(map(_tensor, tensors))), looks.recognised_input(row)
    )
    return Source(
        row,
        resolve.model(session, caller, Address(row.model_id)),
        variants.version(session, caller, row.version_id),
        tensors,
        [item.model_dump(mode="json") for item in merged.inputs],
        merged.origins,
    )


def _tensor(item: Mapping[str, Any]) -> Tensor:
    return Tensor(item["name"], tuple(item["shape"]), item["dtype"])

"""What is said of a failed conversion: where it failed, what went wrong, on which node, why, and what to change."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

Edit = dict[str, Any]
"""A change of a spec as data: what is to stand where; see `oakmill.conversion.failures.edits`."""


class Kind(StrEnum):
    """What a name names."""

    NODE = "node"
    TENSOR = "tensor"
    INPUT = "input"
    OUTPUT = "output"


class Origin(StrEnum):
    """Whose name it is: the source model's, or that of the graph which was prepared from it."""

    SOURCE = "source"
    PREPARED = "prepared"


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Place(_Plain):
    """Where in the model it failed, in the source's names.

    With the origin `prepared` there is no such name in the source. `made` is what the preparation made of the source's
    node, where the tool spoke of that.
    """

    kind: Kind
    name: str
    op: str = ""
    origin: Origin = Origin.SOURCE
    made: str = ""

    def in_words(self) -> str:
        """The place for people."""
        words = f"{self.kind} {self.name!r}" + (f" ({self.op})" if self.op else "")
        if self.origin is Origin.PREPARED:
            return f"{words}, of the prepared graph: the source has none of that name"
        return f"{words}, of which the preparation made {self.made!r}" if self.made else words


class Remedy(_Plain):
    """One way out.

    `edit` changes the spec, `options` says the same on the command line, and `without` what to omit there;
    `command` is to be run before, `settings` are environment variables to set. Any may be empty.
    """

    text: str
    edit: Edit = {}
    options: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    command: str = ""
    settings: dict[str, str] = {}


class Failure(_Plain):
    """Why a conversion failed; `rule` is empty where no rule of the book fits, and the failure is unknown."""

    stage: str
    code: str
    exit_code: int
    rule: str
    title: str
    sentence: str
    details: str = ""
    subject: str = ""
    place: Place | None = None
    cause: str = ""
    remedies: tuple[Remedy, ...] = ()
    log: tuple[str, ...] = ()
    platform: str = ""
    spec: dict[str, Any] = {}
    bundle: str = ""

    @property
    def known(self) -> bool:
        """Whether a rule explains it."""
        return bool(self.rule)

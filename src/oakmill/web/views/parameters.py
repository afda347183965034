"""The parameters that made an instance, beside the defaults and what each is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticUndefined

from oakmill.registry.tables import Instance
from oakmill.spec.class_names import in_words
from oakmill.spec.flags import flag_of
from oakmill.spec.platforms import PLATFORMS
from oakmill.web.views.filters import plain
from oakmill.web.views.labels import label_of

_ELSEWHERE = ("inputs", "platform")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a conversion: its label in the form, its option, its value in effect, and the default."""

    name: str
    label: str
    flag: str
    value: str
    default: str
    about: str

    @property
    def differs(self) -> bool:
        """Whether somebody asked for it."""
        return self.value != self.default


def parameters_of(row: Instance) -> list[Parameter]:
    """All but the inputs, those that differ from the defaults first."""
    facts = PLATFORMS.get(row.model_type.lower())
    if facts is None:
        return []
    found = []
    for name, about in facts.spec.model_fields.items():
        if name in _ELSEWHERE or name not in row.parameters:
            continue
        default = None if about.default is PydanticUndefined else about.get_default(call_default_factory=False)
        value, usual = _shown(name, row.parameters[name]), _shown(name, default)
        found.append(Parameter(name, label_of(name), flag_of(name, about), value, usual, about.description or ""))
    return sorted(found, key=lambda item: not item.differs)


def _shown(name: str, value: Any) -> str:
    return in_words(value or ()) if name == "class_names" else plain(value)

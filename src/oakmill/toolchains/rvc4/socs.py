"""The chips that a graph can be prepared for, by our own table: the library takes an unknown one for another chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oakmill.errors import SpecError


@dataclass(frozen=True)
class Soc:
    """A chip: its name, QNN's number for it, and the version of its Hexagon processor (73 is v73)."""

    name: str
    model: int
    arch: int


SOCS = (Soc("qcs8550", 66, 73), Soc("sm8550", 43, 73), Soc("sm8650", 57, 75), Soc("sm8750", 69, 79))
"""OAK4 has the first. Numbers as the records of QAIRT 2.51 state them: `socModel` and `dspArch`."""

OAK4 = SOCS[0]


def find(names: Sequence[str]) -> tuple[Soc, ...]:
    """The chips of these names, each once, in the order given.

    Raises:
        SpecError: one is not in the table.
    """
    known = {soc.name: soc for soc in SOCS}
    for name in names:
        if name.lower() not in known:
            raise SpecError(f"no chip {name!r} is known; known are: {', '.join(known)}", subject=name)
    return tuple(dict.fromkeys(known[name.lower()] for name in names))


def name_of(model: int) -> str:
    """The name of the chip of that number, or "soc N" where the table has none."""
    return next((soc.name for soc in SOCS if soc.model == model), f"soc {model}")

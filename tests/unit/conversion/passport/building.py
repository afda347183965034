"""Small parts that tests of the passport share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Out:
    """An output's name and shape."""

    name: str
    shape: tuple[Any, ...]

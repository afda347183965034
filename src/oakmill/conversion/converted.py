"""What a finished conversion is: its files, and all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oakmill.conversion.events import Progress
from oakmill.conversion.passport.report import Passport
from oakmill.spec.recipe import Recipe


@dataclass(frozen=True)
class Converted:
    """A finished conversion: its files, the result first, and what is known of it."""

    files: tuple[Path, ...]
    passport: Passport
    recipe: Recipe
    progress: Progress
    beside: tuple[Path, ...] = ()
    """Files that were read besides the one given: external data, weights of an IR."""
    heads: tuple[Mapping[str, Any], ...] = ()
    """What the outputs mean, as the archive says it."""

    @property
    def file(self) -> Path:
        """The converted model: an NN Archive or the bare file."""
        return self.files[0]

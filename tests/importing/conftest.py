"""The libraries that models are imported by, in the user's own folder, and what tests of them share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oakmill.importing import run
from oakmill.importing.address import parse
from oakmill.importing.places import Asking
from oakmill.processes.events import ToolEvent
from oakmill.settings import Settings, current
from oakmill.spec.imported import Imported
from oakmill.toolchains.importers import libraries
from tests.tools import installed


@pytest.fixture(scope="session", autouse=True)
def both() -> None:
    """They are fetched once."""
    for library in libraries.every(current()):
        installed(library)


@dataclass
class Importer:
    """Imports into a folder, as a command does, and remembers what it was told."""

    folder: Path
    settings: Settings
    key: str = ""
    told: list[ToolEvent] = field(default_factory=list)
    come: list[str] = field(default_factory=list)
    needs: Callable[[Sequence[str]], Sequence[str]] = lambda come: ()

    def __call__(self, address: str) -> Imported:
        asking = Asking(self.settings, self.key, self.told.append)
        return run.run(parse(address), self.folder, asking, self._accept)

    def _accept(self, files: Sequence[Path]) -> Sequence[str]:
        self.come += [path.relative_to(self.folder).as_posix() for path in files]
        return self.needs(self.come)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def importer(tmp_path: Path) -> Callable[..., Importer]:
    def make(key: str = "", **settings: Any) -> Importer:
        folder = tmp_path / "here"
        folder.mkdir(exist_ok=True)
        return Importer(folder, Settings(**settings), key)

    return make

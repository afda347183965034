"""Results of finished stages by content: whoever asks the same again, or goes on after a crash, gets them at once."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oakmill.settings import Settings


def key_of(*parts: bytes | str | object) -> str:
    """sha256 over the parts, each with its length; what is neither bytes nor text counts as its JSON."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else _text(part).encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _text(part: object) -> str:
    return part if isinstance(part, str) else json.dumps(part, sort_keys=True)


@dataclass(frozen=True)
class StageCache:
    """Small JSON documents in `<home>/cache/<stage>`, each complete or not there; a damaged one counts as none."""

    folder: Path

    @classmethod
    def of(cls, settings: Settings, stage: str) -> StageCache:
        """The cache of a stage."""
        return cls(settings.home / "cache" / stage)

    def load(self, key: str) -> dict[str, Any] | None:
        """What was stored under the key, or None."""
        try:
            found = json.loads((self.folder / f"{key}.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def store(self, key: str, document: Mapping[str, Any]) -> None:
        """Store under the key; a cache that cannot be written is a cache without the entry."""
        part = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".part")
            part = Path(name)
            with os.fdopen(handle, "w") as file:
                json.dump(document, file)
            part.replace(self.folder / f"{key}.json")
        except OSError:
            if part is not None:
                part.unlink(missing_ok=True)

    def beside(self, key: str) -> Path | None:
        """Where a stage may keep what it has so far, or None where nothing can be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return None
        return self.folder / f"{key}.partial"

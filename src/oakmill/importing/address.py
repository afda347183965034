"""How a model elsewhere is named: hf:OWNER/REPO/FILE[@REVISION], hubai:[TEAM/]MODEL:VARIANT[:VERSION or HASH]."""

from __future__ import annotations

import re
from dataclasses import dataclass

from oakmill.errors import SpecError

FORMS = "hf:OWNER/REPO/FILE[@REVISION], hubai:TEAM/MODEL:VARIANT[:VERSION or HASH]"

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_HF = re.compile(
    rf"(?P<repo>{_PART}/{_PART})(/(?P<file>[^@\x00-\x1f\\?#%]{{1,500}}))?(@(?P<revision>[\w./-]{{1,200}}))?"
)
_HUBAI = re.compile(
    r"(?P<model>([\w.-]{1,100}/)?[\w.-]{1,255}):(?P<variant>[\w.-]{1,255})(:(?P<last>[\w.+-]{1,64}))?", re.ASCII
)
_VERSION = re.compile(r"v?\d+(\.\d+)+([-+].*)?")


@dataclass(frozen=True)
class HuggingFaceAddress:
    """A file in a repository of Hugging Face; `file` is empty where the repository's only model is meant."""

    repo: str
    file: str = ""
    revision: str = ""

    def __str__(self) -> str:
        file = f"/{self.file}" if self.file else ""
        return f"hf:{self.repo}{file}" + (f"@{self.revision}" if self.revision else "")

    @property
    def names(self) -> tuple[str, str]:
        """The model and the variant that it becomes, where nobody says others."""
        return self.repo.rpartition("/")[2], "default"


@dataclass(frozen=True)
class HubAiAddress:
    """A source in HubAI: the only one of a variant, or of its `version`, or the one with that `short` hash."""

    model: str
    variant: str
    version: str = ""
    short: str = ""

    def __str__(self) -> str:
        last = self.version or self.short
        return f"hubai:{self.model}:{self.variant}" + (f":{last}" if last else "")

    @property
    def names(self) -> tuple[str, str]:
        """As of the other kind."""
        return self.model.rpartition("/")[2], self.variant


Address = HuggingFaceAddress | HubAiAddress


def parse(text: str) -> Address:
    """What an address means.

    Raises:
        SpecError: it is none.
    """
    kind, _, rest = text.strip().partition(":")
    if kind == "hf" and (found := _HF.fullmatch(rest)) and (not found["file"] or is_plain(found["file"])):
        return HuggingFaceAddress(found["repo"], found["file"] or "", found["revision"] or "")
    if kind == "hubai" and (found := _HUBAI.fullmatch(rest)):
        last = found["last"] or ""
        is_version = bool(_VERSION.fullmatch(last))
        return HubAiAddress(found["model"], found["variant"], last if is_version else "", "" if is_version else last)
    raise SpecError(
        f"{text[:200]!r} does not name a model that can be imported.", subject=text[:200], remedy=f"Write it as {FORMS}"
    )


def is_plain(file: str) -> bool:
    """Whether a path leads down and nowhere else, in names that a file can have."""
    parts = file.split("/")
    return file.isprintable() and all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts)

"""Where a source was fetched from: what is kept of it on an instance, and said by whoever asks for it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from oakmill.moments import Moment

Kind = Literal["hf", "hubai"]
TITLES: dict[Kind, str] = {"hf": "Hugging Face", "hubai": "HubAI"}
"""What people call each place that models are imported from."""

Checked = Literal["sha256", "git", "size"]
Line = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f]*$")]


class ImportedFile(BaseModel):
    """A file as it came. `checked` is what the server had said of it and was found to be so."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[Line, Field(min_length=1)]
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    checked: Checked


class Imported(BaseModel):
    """Where a source comes from, at which revision, when it came, and as which bytes."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    address: Line = Field(description="What it is imported again by: hf:OWNER/REPO/FILE@COMMIT.")
    name: Line = Field(description="What it is called there.")
    url: Line = Field(description="Its page there.", pattern=r"^https?://")
    revision: Line = Field("", description="The commit, or the version.")
    licence: Line = Field("", description="As its source tells it; empty where it does not.")
    fetched: Moment
    files: tuple[ImportedFile, ...] = Field(max_length=100)
    by: Literal["hub", "client"] = Field("client", description="Who fetched it: the hub itself, or whoever sent it.")

    @property
    def title(self) -> str:
        """What people call the place."""
        return TITLES[self.kind]


def told(found: Imported) -> dict[str, Any]:
    """What a hub keeps of it that was told it, and has fetched nothing itself."""
    return found.model_copy(update={"by": "client"}).model_dump(mode="json")

"""The recipe: the lock file of a conversion, with all that is needed to make the same bytes again."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from oakmill.spec.conversion import ConversionSpec
from oakmill.spec.platforms import PLATFORMS


def _own_kind(value: Any) -> Any:
    """A spec of the platform that plain data names."""
    if not isinstance(value, dict):
        return value
    facts = PLATFORMS.get(str(value.get("platform")))
    if facts is None:
        raise ValueError(f"there is no platform {value.get('platform')!r}; known are {', '.join(PLATFORMS)}")
    return facts.spec.model_validate(value)


class SourceRecord(BaseModel):
    """The source model, by content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="File name of the source.")
    format: str = Field(description="Its format.")
    sha256: str = Field(description="Over the contents of its files, the graph first.")
    given: str = Field("", description="Name of the file that was given: the source itself, or what held it.")
    given_sha256: str = Field("", description="Its sha256.")


class ToolchainRecord(BaseModel):
    """A toolchain that took part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Its full name.")
    digest: str = Field(description="sha256 over its pinned and installed packages.")
    isolation: str = Field(description="How its tools were kept apart: bubblewrap, landlock or none.")


class Recipe(BaseModel):
    """Everything that decides the bytes of the result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe_version: int = Field(1, description="Version of this document's form.")
    oakmill: str = Field(description="Oakmill's version.")
    code: str = Field("", description="sha256 over Oakmill's own code.")
    source: SourceRecord
    spec: Annotated[SerializeAsAny[ConversionSpec], BeforeValidator(_own_kind)] = Field(
        description="The parameters as they were asked for; `inputs` says what came of them.",
    )
    inputs: list[dict[str, Any]] = Field(description="Each input as it was decided.")
    toolchains: list[ToolchainRecord]
    packages: dict[str, str] = Field(description="Versions of the packages that change the graph.")
    commands: list[str] = Field(description="The vendor tools' command lines, or the equal ones.")
    images: list[str] = Field(description="sha256 of each picture that the result was measured on, in order.")
    calibration: dict[str, Any] = Field(
        default_factory=dict, description="What taught the quantization: the set, the method, each file's sha256."
    )
    files: dict[str, str] = Field(
        default_factory=dict, description="sha256 of the other files that parameters name, by the parameter."
    )
    artefact: dict[str, str] = Field(description="The result: file name and sha256.")

    def as_yaml(self) -> str:
        """The recipe as YAML."""
        import yaml

        return str(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110))

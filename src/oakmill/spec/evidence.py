"""What a hub signs of a result: the digests of its files, so that who holds the hub's public key knows them again."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

ENDING = ".evidence.json"

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SignedFile(BaseModel):
    """A file of a result: its name, what it is (model, part, recipe, passport, passport_page), and its digest."""

    model_config = ConfigDict(frozen=True)

    name: str
    role: str
    sha256: _Sha256


class Statement(BaseModel):
    """What is signed: that the hub made these files in one job, or took them in, of which instance."""

    model_config = ConfigDict(frozen=True)

    evidence_version: Literal[1] = 1
    instance: str
    job: str | None = None
    platform: str
    made: str = Field(description="When the files were complete, in UTC (ISO 8601).")
    oakmill: str = Field(description="The version that signs.")
    files: tuple[SignedFile, ...]

    def signed_bytes(self) -> bytes:
        """The bytes that the signature is over: JSON with sorted keys and no spaces."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


class Evidence(BaseModel):
    """A statement, its Ed25519 signature, and the public key that the signer claims; trust a key that you know."""

    model_config = ConfigDict(frozen=True)

    statement: Statement
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
    public_key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="Ed25519, 32 bytes, in hexadecimal.")]


def name_of(model: str) -> str:
    """The name of the file of evidence beside a model's: small.rvc4.evidence.json beside small.rvc4.tar.xz."""
    stem = model.removesuffix(".tar.xz") if model.endswith(".tar.xz") else model.rpartition(".")[0] or model
    return f"{stem}{ENDING}"

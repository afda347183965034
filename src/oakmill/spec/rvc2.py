"""What can be asked of a conversion to RVC2 (Intel MyriadX: OAK-1, OAK-D and their family)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from oakmill.spec.conversion import ConversionSpec

ToolArgument = Annotated[str, Field(min_length=1, max_length=2000)]


class Rvc2Spec(ConversionSpec):
    """All parameters of a conversion to RVC2."""

    platform: Literal["rvc2"] = "rvc2"
    ir_version: Annotated[str, Field(pattern=r"^\d{4}\.\d+(\.\d+)?$")] = Field(
        "2022.2.0",
        description="OpenVINO version that compiles; see `oakmill toolchains list` for what is installed.",
    )
    mo_args: Annotated[tuple[ToolArgument, ...], Field(max_length=64)] = Field(
        (),
        description="Arguments for OpenVINO's Model Optimizer; it runs only when some are given, and they win over "
        "the defaults.",
    )
    compile_tool_args: Annotated[tuple[ToolArgument, ...], Field(max_length=64)] = Field(
        (),
        description="Arguments as OpenVINO's compile_tool takes them (-ip, -op, -iop, -il, -ol, -iol); they win.",
    )
    blob: bool = Field(
        False,
        description="Convert to a .blob for a fixed number of SHAVEs (DepthAI v2) instead of a .superblob.",
    )
    number_of_shaves: Annotated[int, Field(ge=1, le=16)] = Field(
        8,
        description="SHAVE cores that a .blob is compiled for; a .superblob holds all of 1 to 16.",
        json_schema_extra={"flag": "--shaves"},
    )

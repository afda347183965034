"""Reads arguments as OpenVINO's compile_tool takes them; they are carried out through the C API.

Source: https://docs.openvino.ai/2022.3/openvino_inference_engine_tools_compile_tool_README.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oakmill.errors import ArgumentRefused
from oakmill.toolchains.arguments import Option, flag, option, parse, refused

_PRECISION = "FP32|FP16|I16|U8|I8|U16|I32|U32"
_LAYOUT = "NCHW|NHWC|NCDHW|NDHWC|NC|CN|CHW|HW|C"
_PORT = r"[^:,\s]{1,200}"

CONFIG_KEYS = {
    "MYRIAD_NUMBER_OF_SHAVES": "1 to 16; for a .blob only",
    "MYRIAD_NUMBER_OF_CMX_SLICES": "1 to 19; for a .blob only",
    "MYRIAD_THROUGHPUT_STREAMS": "1 to 3",
    "MYRIAD_ENABLE_HW_ACCELERATION": "YES or NO",
    "MYRIAD_TILING_CMX_LIMIT_KB": "a number of kB",
    "MYRIAD_ENABLE_WEIGHTS_ANALYSIS": "YES or NO",
    "PERF_COUNT": "YES or NO",
}
"""The keys of a compile_tool configuration file that can be set, as `-c KEY=VALUE`."""

_OURS = "the conversion sets it"
_OPTIONS: dict[str, Option] = {
    "ip": option(_PRECISION, f"precision of all inputs: {_PRECISION}"),
    "op": option(_PRECISION, f"precision of all outputs: {_PRECISION}"),
    "iop": option(f"{_PORT}:({_PRECISION})(,{_PORT}:({_PRECISION}))*", "precisions by name: image:U8,logits:FP16"),
    "il": option(_LAYOUT, f"layout of all inputs: {_LAYOUT}"),
    "ol": option(_LAYOUT, f"layout of all outputs: {_LAYOUT}"),
    "iol": option(f"{_PORT}:({_LAYOUT})(,{_PORT}:({_LAYOUT}))*", "layouts by name: image:NHWC"),
    "c": option(r"[A-Z_]+[= ]\w+", "one KEY=VALUE of " + ", ".join(CONFIG_KEYS), repeats=True),
    "ov_api_1_0": flag("the API that is used anyway"),
    "m": refused(_OURS),
    "o": refused(_OURS),
    "d": refused(f"{_OURS}: MYRIAD"),
    "h": refused("it prints help and compiles nothing"),
    "iml": refused("RVC2's compiler works with layouts, not model layouts; use -il"),
    "oml": refused("RVC2's compiler works with layouts, not model layouts; use -ol"),
    "ioml": refused("RVC2's compiler works with layouts, not model layouts; use -iol"),
    "log_level": refused("logs are shown with -v"),
    "flagfile": refused("it reads options from any file"),
    "fromenv": refused("it reads options from the environment"),
    "tryfromenv": refused("it reads options from the environment"),
    "undefok": refused("it hides misspelt options"),
}


@dataclass(frozen=True)
class CompileOptions:
    """What a user's compile_tool arguments ask for; empty where they are silent."""

    input_precision: str = ""
    output_precision: str = ""
    precisions: Mapping[str, str] = field(default_factory=dict)
    input_layout: str = ""
    output_layout: str = ""
    layouts: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def shaves(self) -> int | None:
        """The number of SHAVEs that `-c MYRIAD_NUMBER_OF_SHAVES=` asks for."""
        value = self.config.get("MYRIAD_NUMBER_OF_SHAVES")
        return int(value) if value else None


def read(arguments: Sequence[str]) -> CompileOptions:
    """Check compile_tool arguments and say what they ask for.

    Raises:
        ArgumentRefused: an argument is unknown, unsafe, set by the conversion itself, or malformed.
    """
    given: dict[str, str] = {}
    config: dict[str, str] = {}
    dashes = {f"{dash}{name}": described for name, described in _OPTIONS.items() for dash in ("-", "--")}
    for name, value in parse("compile_tool", arguments, dashes):
        if name.lstrip("-") == "c":
            config.update([_config_entry(value or "")])
        elif name.lstrip("-") in given:
            raise ArgumentRefused(f"compile_tool argument {name!r} is given twice", remedy="give it once")
        else:
            given[name.lstrip("-")] = value or ""
    return CompileOptions(
        given.get("ip", ""),
        given.get("op", ""),
        _pairs(given.get("iop", "")),
        given.get("il", ""),
        given.get("ol", ""),
        _pairs(given.get("iol", "")),
        config,
    )


def _pairs(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (part.rpartition(":") for part in text.split(",") if part)}


_VALUES = {
    "MYRIAD_NUMBER_OF_SHAVES": {str(n) for n in range(1, 17)},
    "MYRIAD_NUMBER_OF_CMX_SLICES": {str(n) for n in range(1, 20)},
    "MYRIAD_THROUGHPUT_STREAMS": {"1", "2", "3"},
    "MYRIAD_ENABLE_HW_ACCELERATION": {"YES", "NO"},
    "MYRIAD_ENABLE_WEIGHTS_ANALYSIS": {"YES", "NO"},
    "PERF_COUNT": {"YES", "NO"},
}


def _config_entry(text: str) -> tuple[str, str]:
    key, _, value = text.replace(" ", "=").partition("=")
    if key not in CONFIG_KEYS:
        raise ArgumentRefused(
            f"compile_tool configuration key {key!r} is not one that can be set",
            remedy=f"known are: {', '.join(CONFIG_KEYS)}",
        )
    fits = value in _VALUES[key] if key in _VALUES else value.isdecimal() and int(value) <= 1 << 20
    if not fits:
        raise ArgumentRefused(f"{key} cannot be {value!r}", remedy=f"it takes {CONFIG_KEYS[key]}")
    return key, value

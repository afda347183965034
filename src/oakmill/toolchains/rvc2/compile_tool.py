"""Reads arguments as OpenVINO's compile_tool takes them; they are carried out through the C API.

Source: https://docs.openvino.ai/2022.3/openvino_inference_engine_tools_compile_tool_README.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oakmill.toolchains.arguments import OURS, Key, Option, flag, one_of, option, read_compile_tool, refused

_PRECISION = "FP32|FP16|I16|U8|I8|U16|I32|U32"
_LAYOUT = "NCHW|NHWC|NCDHW|NDHWC|NC|CN|CHW|HW|C"
_PORT = r"[^:,\s]{1,200}"

_YES_OR_NO = one_of("YES or NO", ("YES", "NO"))
CONFIG_KEYS = {
    "MYRIAD_NUMBER_OF_SHAVES": one_of("1 to 16; for a .blob only", map(str, range(1, 17))),
    "MYRIAD_NUMBER_OF_CMX_SLICES": one_of("1 to 19; for a .blob only", map(str, range(1, 20))),
    "MYRIAD_THROUGHPUT_STREAMS": one_of("1 to 3", ("1", "2", "3")),
    "MYRIAD_ENABLE_HW_ACCELERATION": _YES_OR_NO,
    "MYRIAD_TILING_CMX_LIMIT_KB": Key("a number of kB", lambda value: value.isdecimal() and int(value) <= 1 << 20),
    "MYRIAD_ENABLE_WEIGHTS_ANALYSIS": _YES_OR_NO,
    "MYRIAD_DETECT_NETWORK_BATCH": _YES_OR_NO,
    "PERF_COUNT": _YES_OR_NO,
}
"""The keys of a compile_tool configuration file that can be set, as `-c KEY=VALUE`."""

_OPTIONS: dict[str, Option] = {
    "ip": option(_PRECISION, f"precision of all inputs: {_PRECISION}"),
    "op": option(_PRECISION, f"precision of all outputs: {_PRECISION}"),
    "iop": option(f"{_PORT}:({_PRECISION})(,{_PORT}:({_PRECISION}))*", "precisions by name: image:U8,logits:FP16"),
    "il": option(_LAYOUT, f"layout of all inputs: {_LAYOUT}"),
    "ol": option(_LAYOUT, f"layout of all outputs: {_LAYOUT}"),
    "iol": option(f"{_PORT}:({_LAYOUT})(,{_PORT}:({_LAYOUT}))*", "layouts by name: image:NHWC"),
    "ov_api_1_0": flag("the API that is used anyway"),
    "d": refused(f"{OURS}: MYRIAD"),
    "iml": refused("RVC2's compiler works with layouts, not model layouts; use -il"),
    "oml": refused("RVC2's compiler works with layouts, not model layouts; use -ol"),
    "ioml": refused("RVC2's compiler works with layouts, not model layouts; use -iol"),
    "log_level": refused("logs are shown with -v"),
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
    given = read_compile_tool(arguments, _OPTIONS, CONFIG_KEYS)
    return CompileOptions(
        given.values.get("ip", ""),
        given.values.get("op", ""),
        given.by_port("iop"),
        given.values.get("il", ""),
        given.values.get("ol", ""),
        given.by_port("iol"),
        given.config,
    )

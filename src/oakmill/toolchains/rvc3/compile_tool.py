"""Reads arguments as the vendor's compile_tool takes them; only what is known to be safe is passed on.

The tool reads options from files (-flagfile) and from the environment (-fromenv), and takes several devices in one
word (-d HETERO:...). So an option is passed on under its own name alone, with a value of the known form.
Source: compile_tool's main.cpp of OpenVINO 2022.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oakmill.toolchains.arguments import OURS, Option, flag, one_of, option, read_compile_tool, refused

DEVICE = "VPUX.3400"
_PRECISION = "FP32|FP16|I32|U32|I16|U16|I8|U8"
_LAYOUT = r"[A-Z?]{1,6}|\[[A-Z?](?:,[A-Z?]){0,5}\]"
_PORT = r"[^:,\s]{1,200}"
_PRECISIONS = f"{_PORT}:(?:{_PRECISION})(?:,{_PORT}:(?:{_PRECISION}))*"
_LAYOUTS = f"{_PORT}:(?:{_LAYOUT})(?:,{_PORT}:(?:{_LAYOUT}))*"

CONFIG_KEYS = {
    "PERFORMANCE_HINT": one_of("THROUGHPUT or LATENCY", ("THROUGHPUT", "LATENCY")),
    "PERF_COUNT": one_of("YES or NO", ("YES", "NO")),
    "VPUX_INFERENCE_SHAVES": one_of("a number", map(str, range(1, 17))),
    "LOG_LEVEL": one_of(
        "LOG_NONE, LOG_ERROR, LOG_WARNING or LOG_INFO", ("LOG_NONE", "LOG_ERROR", "LOG_WARNING", "LOG_INFO")
    ),
}
"""The keys of compile_tool's configuration file that can be set, as `-c KEY=VALUE`."""

_OPTIONS: dict[str, Option] = {
    "ip": option(_PRECISION, f"precision of all inputs: {_PRECISION}"),
    "op": option(_PRECISION, f"precision of all outputs: {_PRECISION}"),
    "iop": option(_PRECISIONS, "precisions by name: image:U8,logits:FP16"),
    "il": option(_LAYOUT, "layout of all inputs: NCHW"),
    "ol": option(_LAYOUT, "layout of all outputs: NCHW"),
    "iol": option(_LAYOUTS, "layouts by name: image:NHWC"),
    "iml": option(_LAYOUT, "layout of all inputs in the model: NCHW"),
    "oml": option(_LAYOUT, "layout of all outputs in the model: NCHW"),
    "ioml": option(_LAYOUTS, "layouts in the model by name: image:NCHW"),
    "ov_api_1_0": flag("OpenVINO's older API"),
    "d": refused(f"{OURS}: {DEVICE}"),
    "log_level": refused("logs are shown with -v; -c LOG_LEVEL=LOG_INFO makes the compiler tell more"),
}
_PASSED_ON = ("il", "ol", "iol", "iml", "oml", "ioml")


@dataclass(frozen=True)
class CompileOptions:
    """What a user's compile_tool arguments ask for; `others` are passed on as they are."""

    input_precision: str = ""
    output_precision: str = ""
    precisions: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    config: Mapping[str, str] = field(default_factory=dict)


def read(arguments: Sequence[str]) -> CompileOptions:
    """Check compile_tool arguments and say what they ask for.

    Raises:
        ArgumentRefused: an argument is unknown, unsafe, set by the conversion itself, or malformed.
    """
    given = read_compile_tool(arguments, _OPTIONS, CONFIG_KEYS)
    others = [word for name in _PASSED_ON if name in given.values for word in (f"-{name}", given.values[name])]
    return CompileOptions(
        given.values.get("ip", ""),
        given.values.get("op", ""),
        given.by_port("iop"),
        (*others, *(["-ov_api_1_0"] if "ov_api_1_0" in given.values else [])),
        given.config,
    )

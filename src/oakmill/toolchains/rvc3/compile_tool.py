"""Reads arguments as the vendor's compile_tool takes them; only what is known to be safe is passed on.

The tool reads options from files (-flagfile) and from the environment (-fromenv), and takes several devices in one
word (-d HETERO:...). So an option is passed on under its own name alone, with a value of the known form.
Source: compile_tool's main.cpp of OpenVINO 2022.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oakmill.errors import ArgumentRefused
from oakmill.toolchains.arguments import Option, flag, option, parse, refused

DEVICE = "VPUX.3400"
_PRECISION = "FP32|FP16|I32|U32|I16|U16|I8|U8"
_LAYOUT = r"[A-Z?]{1,6}|\[[A-Z?](?:,[A-Z?]){0,5}\]"
_PORT = r"[^:,\s]{1,200}"
_PRECISIONS = f"{_PORT}:(?:{_PRECISION})(?:,{_PORT}:(?:{_PRECISION}))*"
_LAYOUTS = f"{_PORT}:(?:{_LAYOUT})(?:,{_PORT}:(?:{_LAYOUT}))*"

CONFIG_KEYS = {
    "PERFORMANCE_HINT": "THROUGHPUT or LATENCY",
    "PERF_COUNT": "YES or NO",
    "VPUX_INFERENCE_SHAVES": "a number",
    "LOG_LEVEL": "LOG_NONE, LOG_ERROR, LOG_WARNING or LOG_INFO",
}
"""The keys of compile_tool's configuration file that can be set, as `-c KEY=VALUE`."""

_VALUES = {
    "PERFORMANCE_HINT": {"THROUGHPUT", "LATENCY"},
    "PERF_COUNT": {"YES", "NO"},
    "VPUX_INFERENCE_SHAVES": {str(count) for count in range(1, 17)},
    "LOG_LEVEL": {"LOG_NONE", "LOG_ERROR", "LOG_WARNING", "LOG_INFO"},
}
_OURS = "the conversion sets it"
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
    "c": option(r"[A-Z_]+[= ]\w+", "one KEY=VALUE of " + ", ".join(CONFIG_KEYS), repeats=True),
    "m": refused(_OURS),
    "o": refused(_OURS),
    "d": refused(f"{_OURS}: {DEVICE}"),
    "h": refused("it prints help and compiles nothing"),
    "log_level": refused("logs are shown with -v; -c LOG_LEVEL=LOG_INFO makes the compiler tell more"),
    "flagfile": refused("it reads options from any file"),
    "fromenv": refused("it reads options from the environment"),
    "tryfromenv": refused("it reads options from the environment"),
    "undefok": refused("it hides misspelt options"),
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
    others = [word for name in _PASSED_ON if name in given for word in (f"-{name}", given[name])]
    return CompileOptions(
        given.get("ip", ""),
        given.get("op", ""),
        {name: value for name, _, value in (part.rpartition(":") for part in given.get("iop", "").split(",") if part)},
        (*others, *(["-ov_api_1_0"] if "ov_api_1_0" in given else [])),
        config,
    )


def _config_entry(text: str) -> tuple[str, str]:
    key, _, value = text.replace(" ", "=").partition("=")
    if key not in CONFIG_KEYS:
        raise ArgumentRefused(
            f"compile_tool configuration key {key!r} is not one that can be set",
            remedy=f"known are: {', '.join(CONFIG_KEYS)}",
        )
    if value not in _VALUES[key]:
        raise ArgumentRefused(f"{key} cannot be {value!r}", remedy=f"it takes {CONFIG_KEYS[key]}")
    return key, value

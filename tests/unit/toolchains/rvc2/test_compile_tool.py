"""compile_tool's documented options are understood in all their spellings; the others are refused."""

from __future__ import annotations

import pytest

from oakmill.errors import ArgumentRefused
from oakmill.toolchains.rvc2 import compile_tool


def test_precisions_and_layouts_for_all_ports_and_by_name() -> None:
    options = compile_tool.read(["-ip", "U8", "--op=FP32", "-iop", "a:FP16,b:U8", "-il", "NHWC", "-iol", "b:NCHW"])
    assert options.input_precision == "U8"
    assert options.output_precision == "FP32"
    assert options.precisions == {"a": "FP16", "b": "U8"}
    assert options.input_layout == "NHWC"
    assert options.layouts == {"b": "NCHW"}


def test_configuration_keys_are_given_one_by_one() -> None:
    options = compile_tool.read(["-c", "MYRIAD_NUMBER_OF_SHAVES=6", "-c", "PERF_COUNT YES"])
    assert options.config == {"MYRIAD_NUMBER_OF_SHAVES": "6", "PERF_COUNT": "YES"}
    assert options.shaves == 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-d", "CPU"], "the conversion sets it"),
        (["-m", "x.xml"], "the conversion sets it"),
        (["-o=/etc/x"], "the conversion sets it"),
        (["-flagfile=x"], "reads options from any file"),
        (["-fromenv", "x"], "from the environment"),
        (["-c", "/etc/passwd"], "cannot have the value"),
        (["-c", "MYRIAD_CUSTOM_LAYERS=x"], "not one that can be set"),
        (["-c", "MYRIAD_NUMBER_OF_SHAVES=17"], "1 to 16"),
        (["-ip", "U7"], "cannot have the value"),
        (["-ip", "U8", "--ip", "FP16"], "given twice"),
        (["-iop", "a:U8;b:U8"], "cannot have the value"),
    ],
)
def test_what_is_unsafe_or_malformed_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(ArgumentRefused) as refusal:
        compile_tool.read(arguments)
    assert words in f"{refusal.value.message} {refusal.value.remedy}"

"""compile_tool's options for RVC3 are understood in all their spellings; what reads or writes elsewhere is refused."""

from __future__ import annotations

import pytest

from oakmill.errors import ArgumentRefused
from oakmill.toolchains.rvc3 import compile_tool


def test_precisions_for_all_ports_and_by_name() -> None:
    options = compile_tool.read(["-ip", "FP16", "--op=FP32", "-iop", "a:FP16,b:U8"])
    assert options.input_precision == "FP16"
    assert options.output_precision == "FP32"
    assert options.precisions == {"a": "FP16", "b": "U8"}
    assert options.others == ()


def test_layouts_are_passed_on_under_one_spelling() -> None:
    options = compile_tool.read(["--iml=NCHW", "-il", "NHWC", "-ioml", "a:NCHW,b:[N,C,H,W]", "-ov_api_1_0"])
    assert options.others == ("-il", "NHWC", "-iml", "NCHW", "-ioml", "a:NCHW,b:[N,C,H,W]", "-ov_api_1_0")


def test_configuration_keys_are_given_one_by_one() -> None:
    options = compile_tool.read(["-c", "PERFORMANCE_HINT=LATENCY", "-c", "PERF_COUNT YES"])
    assert options.config == {"PERFORMANCE_HINT": "LATENCY", "PERF_COUNT": "YES"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-d", "HETERO:CPU"], "the conversion sets it: VPUX.3400"),
        (["-m", "x.xml"], "the conversion sets it"),
        (["-o=/etc/x"], "the conversion sets it"),
        (["-flagfile=x"], "reads options from any file"),
        (["-fromenv", "x"], "from the environment"),
        (["-tryfromenv", "x"], "from the environment"),
        (["-undefok=x"], "misspelt"),
        (["-c", "/etc/passwd"], "cannot have the value"),
        (["-c", "CACHE_DIR=x"], "not one that can be set"),
        (["-c", "VPUX_INFERENCE_SHAVES=99"], "a number"),
        (["-ip", "U7"], "cannot have the value"),
        (["-ip", "U8", "--ip", "FP16"], "given twice"),
        (["-iol", "a:/etc/passwd"], "cannot have the value"),
    ],
)
def test_what_is_unsafe_or_malformed_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(ArgumentRefused) as refusal:
        compile_tool.read(arguments)
    assert words in f"{refusal.value.message} {refusal.value.remedy}"

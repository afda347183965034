"""The terminal shows the verdict with its reasons, each task's numbers, and each output by each method."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rich.console import Console

from oakmill.cli.passport_table import passport_table
from oakmill.conversion.passport import HeldOut, Measurement, Overflow, Passport
from oakmill.conversion.passport.cost import Cost, ExpectedTime, Unit
from oakmill.conversion.passport.ladder import Rung
from oakmill.conversion.passport.parsers import ParserAgreement
from oakmill.conversion.passport.report import MeasuredOn
from oakmill.devices.camera import Identity
from oakmill.findings import Finding, Severity
from tests.unit.conversion.passport.building import Out


def shown(passport: Passport, width: int = 100) -> str:
    console = Console(width=width, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as capture:
        console.print(passport_table(passport))
    return capture.get()


def passport(name: str = "scores", wrong: int = 1, held_out: str = "", **more: object) -> Passport:
    measurement = Measurement([Out(name, (1, 4)), Out("map", (1, 2, 4, 4))])
    for index in range(10):
        scores, maps = np.eye(4)[0][None], np.full((1, 2, 4, 4), 1.0 + index)
        moved = np.eye(4)[1][None] if index < wrong else scores
        measurement.add(f"image {index}", {name: scores, "map": maps}, {name: moved, "map": maps * 1.1})
    check = measurement.check("QDQ", "the quantized model in onnxruntime")
    return Passport("rvc4", HeldOut("photos", ("a",) * 10, held_out), (check,), **more)  # type: ignore[arg-type]


def test_verdict_tasks_outputs_and_methods() -> None:
    text = shown(passport(wrong=3, held_out="drawn with seed 0", not_proven=("speed",)))
    assert text.startswith("Accuracy passport: error on 10 images (photos); drawn with seed 0")
    assert "70.0 %  top-1 agreement (error below 80 %)" in text
    assert "output 'map' has an SNR of 20.0 dB, but of 13.3 dB beside what changes in it" in text
    assert "20.0 (13.3)" in text
    assert "QDQ: the quantized model in onnxruntime." in text
    assert "Not proven: speed." in text


def test_findings_stand_with_what_helps() -> None:
    finding = Finding("code", Severity.ERROR, "scores vanish", title="One scale", remedy="take 16 bits")
    text = shown(passport(findings=(finding,), fp16_overflows=(Overflow("conv", 7e4, "image 1"),)))
    assert "✗ One scale: scores vanish" in text
    assert "what helps: take 16 bits" in text
    assert "tensor 'conv' reaches 7e+04" in text


def test_what_an_app_sees_is_told() -> None:
    row = ParserAgreement(
        0, "YOLO", "depthai's DetectionParser", "detection", images=4, boxes=9, found=8, mean_iou=0.97
    )
    text = " ".join(shown(passport(parsers=(row,))).split())
    assert "the vendor's parser finds 8 of the float model's 9 boxes on 4 images" in text


def test_a_parser_that_measured_nothing_is_named_once() -> None:
    row = ParserAgreement(0, "YOLO", "depthai's DetectionParser", images=4, note="it proves nothing")
    text = " ".join(shown(passport(parsers=(row,))).split())
    assert text.count("DetectionParser") == 1


def test_names_with_brackets_are_no_markup() -> None:
    """An output named [red] vanished, and one named [/] ended the program."""
    text = shown(passport("[/]", findings=(Finding("c", Severity.WARNING, "[/]", title="[red]", remedy="[/]"),)))
    assert "[/]" in text and "[red]" in text


def test_many_outputs_and_a_narrow_terminal() -> None:
    measurement = Measurement([Out(f"output{index}", (1, 2, 3, 3)) for index in range(40)])
    values = {f"output{index}": np.ones((1, 2, 3, 3)) for index in range(40)}
    measurement.add("image", values, values)
    text = shown(Passport("rvc4", HeldOut("photos", ("a",)), (measurement.check("QDQ", "how"),)), width=50)
    assert "and 16 more" in text
    assert "equal" in text


def test_a_camera_beside_two_methods_leaves_the_outputs_their_names() -> None:
    """With three methods on 80 columns, the first column had no room: rows of numbers of nobody knows what."""
    one = passport()
    three = tuple(replace(one.checks[0], name=name) for name in ("FP16 estimate", "HTP", "camera"))
    device = Identity("OAK4-S", "RVC4", "1844", "OS 1.20.5")
    text = shown(replace(one, checks=three, measured_on=MeasuredOn(device, "2026-11-30T12:00:00+00:00", "camera")), 80)
    assert "On a camera: measured on OAK4-S (RVC4, 1844) with OS 1.20.5, 2026-11-30" in text
    assert any(line.split()[0] == "map" and len(line.split()) > 3 for line in text.splitlines() if line.strip())
    assert "…" not in text


def test_a_passport_without_checks() -> None:
    assert "ok on 0 images" in shown(Passport("rvc2", HeldOut("nothing", ()), ()))


def test_what_a_run_costs_is_told_and_an_expected_time_is_no_measurement() -> None:
    units = (Unit("the hardware engine", 12, {}), Unit("SHAVEs", 1, {"Swish": 1}), Unit("DMA", 0, {}))
    expected = ExpectedTime("QCS8550", 1.234, 0.8, 1.9, 0.21, 40)
    cost = Cost(4_090_000_000, 25_560_000, 51 << 20, 99_000_000, 1_600_000, units=units, expected=expected)
    text = " ".join(shown(passport(cost=cost)).split())
    assert "4.09 G multiply-adds, 25.6 M parameters, at most 99 MB moved, at most 1.6 MB of activations" in text
    assert "12 stages on the hardware engine, 1 stage on SHAVEs" in text
    assert "DMA" not in text
    assert "1.2 ms on QCS8550" in text
    assert "not measured" in text
    assert "21% at the median" in text


def test_a_format_that_may_be_slower_than_the_next_is_said() -> None:
    """AUTO took SiLU in 16 bits as the faster one, where Qualcomm's own nets of that kind take twice as long."""
    why = "no time is expected: layers of 16 bits among 8 can take longer than 16 bits throughout"
    rungs = (
        Rung("INT8_STANDARD", Severity.WARNING, "AP 0.36", 1 << 20, milliseconds=1.4),
        Rung("INT8_STANDARD, SiLU in 16 bits", Severity.OK, "AP 0.39", 1 << 20, fit=True, untimed=why),
    )
    text = " ".join(shown(passport(ladder=rungs)).split())
    assert f"INT8_STANDARD, SiLU in 16 bits: {why}" in text
    assert "no time is expected" not in shown(passport(ladder=rungs[:1]))

"""What RVC3's quantizers are told: who teaches and who controls, calibration images as files, refusals as remedies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.inputs import ResolvedInput
from oakmill.conversion.platform import Network
from oakmill.conversion.rvc3.quantize import Quantization, Shares, write_samples
from oakmill.errors import CompileFailed, OakmillError, SpecError
from oakmill.settings import Settings
from oakmill.spec import Encoding, Rvc3Spec
from oakmill.toolchains.base import State, Status
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.rvc3 import tiny
from oakmill.toolchains.rvc3.quantizers import Done, Order, Quantizer

INPUTS = (
    ResolvedInput("image", (1, 3, 8, 8), "float32", "NCHW", Encoding.RGB, Encoding.BGR, None, None),
    ResolvedInput("state", (1, 4), "float32", "NC", Encoding.NONE, Encoding.NONE, None, None),
)


class FakeQuantizer(Quantizer):
    """Copies the IR, and keeps what it was asked."""

    orders: list[Order]
    refusal: RunnerError | None = None

    def status(self) -> Status:
        return Status(self.name, State.INSTALLED, "", digest="digest")

    def quantize(self, ir: Path, job: Path, order: Order, **_: Any) -> Done:
        self.orders = [*getattr(self, "orders", []), order]
        if self.refusal:
            raise self.refusal
        for path in order.samples.values():
            assert np.load(path).shape[0] >= order.calibrate
        job.mkdir(parents=True)
        for ending in (".xml", ".bin"):
            (job / f"int8{ending}").write_bytes(ir.with_suffix(ending).read_bytes())
        control = {"images": 4, "agreement_before": 0.5, "agreement": 0.9, "reached": False, "out_of_time": False}
        report = {"quantizers": 2, "ignored": [], "seconds": 1.0, **({"control": control} if order.control else {})}
        return Done(job / "int8.xml", report)


def network(folder: Path) -> Network:
    folder.mkdir(parents=True, exist_ok=True)
    return Network(tiny.write_ir(folder / "prepared.xml"), onnx.ModelProto())


def quantize(folder: Path, quantizer: Quantizer, spec: Rvc3Spec, count: int = 8, job: str = "job") -> tuple[Any, ...]:
    step = Quantization(spec, Settings(home=folder / "home"), quantizer)
    samples, progress = SampleSet.generated(INPUTS, count, 0), Progress()
    return step.run(network(folder), samples, "mine", folder / job, progress), progress


@pytest.mark.parametrize(
    ("count", "shares"), [(8, Shares(6, 2)), (100, Shares(75, 25)), (1024, Shares(960, 64))], ids=str
)
def test_a_quarter_controls_and_at_most_64(count: int, shares: Shares) -> None:
    assert Shares.of(Rvc3Spec(accuracy_control=True), count) == shares
    assert Shares.of(Rvc3Spec(), count) == Shares(count)


def test_too_few_images_cannot_control() -> None:
    with pytest.raises(SpecError, match="and there are 7"):
        Shares.of(Rvc3Spec(accuracy_control=True), 7)


def test_samples_become_files_pixels_as_bytes(tmp_path: Path) -> None:
    samples = SampleSet.generated(INPUTS, 3, 0)
    files = write_samples(samples, tmp_path / "calibration", Progress())
    image, state = (np.load(files[name]) for name in ("image", "state"))
    assert (image.dtype.name, image.shape) == ("uint8", (3, 1, 3, 8, 8))
    assert (state.dtype.name, state.shape) == ("float32", (3, 1, 4))
    assert (image[2] == samples[2]["image"]).all()


def test_the_tool_is_told_what_was_asked(tmp_path: Path) -> None:
    quantizer = FakeQuantizer(Settings(), "pot")
    spec = Rvc3Spec(quantizer="pot", pot_target_device="ANY", ignored_names=("a",), ignored_types=("Add",))
    made, _ = quantize(tmp_path, quantizer, spec)
    (order,) = quantizer.orders
    assert (order.calibrate, order.device, order.control) == (8, "ANY", None)
    assert (order.ignored_names, order.ignored_types) == (("a",), ("Add",))
    assert made.calibration.quantizer == "pot 2022.3.2, target ANY, preset performance"
    assert made.calibration.images == 8
    assert "seconds" not in str(made.calibration)
    assert not (tmp_path / "job" / "calibration").exists()


def test_the_same_question_is_answered_from_the_cache(tmp_path: Path) -> None:
    quantizer = FakeQuantizer(Settings())
    first, _ = quantize(tmp_path, quantizer, Rvc3Spec())
    second, progress = quantize(tmp_path, quantizer, Rvc3Spec(max_verification_images=3), job="again")
    assert len(quantizer.orders) == 1
    assert any("reused from the cache" in note for note in progress.notes)
    assert second.file.read_bytes() == first.file.read_bytes()
    assert second.file.with_suffix(".bin").is_file()
    assert second.calibration == first.calibration
    for place, spec in enumerate((Rvc3Spec(pot_target_device="ANY"), Rvc3Spec(ignored_types=("Add",)))):
        quantize(tmp_path, quantizer, spec, job=f"other{place}")
    quantize(tmp_path, quantizer, Rvc3Spec(), count=9, job="more")
    assert len(quantizer.orders) == 4


def test_an_agreement_that_was_not_reached_is_a_warning(tmp_path: Path) -> None:
    made, progress = quantize(tmp_path, FakeQuantizer(Settings()), Rvc3Spec(accuracy_control=True))
    assert any("0.5000 fully quantized, 0.9000 as it is now" in note for note in progress.notes)
    assert progress.warnings == ["--accuracy-control did not reach an agreement of 0.99 by any layer put back"]
    assert made.calibration.control is not None
    assert made.calibration.control.agreement == 0.9


@pytest.mark.parametrize(
    ("spec", "kind", "error", "words"),
    [
        (Rvc3Spec(), "model", CompileFailed, "--pot-target-device ANY, --quantizer pot"),
        (Rvc3Spec(pot_target_device="ANY"), "model", CompileFailed, "try --quantizer pot"),
        (Rvc3Spec(), "layers", SpecError, "types as OpenVINO calls them"),
    ],
)
def test_a_refusal_says_what_to_try_and_tries_nothing_itself(
    spec: Rvc3Spec, kind: str, error: type[OakmillError], words: str, tmp_path: Path
) -> None:
    quantizer = FakeQuantizer(Settings())
    quantizer.refusal = RunnerError("no", kind=kind, details={}, log="log")
    with pytest.raises(error) as raised:
        quantize(tmp_path, quantizer, spec)
    assert words in raised.value.remedy
    assert len(quantizer.orders) == 1

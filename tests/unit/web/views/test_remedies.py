"""What helps a result that is not as it should be, as edits of what was asked."""

from __future__ import annotations

from typing import Any

import pytest

from oakmill.conversion.passport import Passport
from oakmill.conversion.passport.report import HeldOut
from oakmill.errors import SpecError
from oakmill.findings import Finding, Severity
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry.tables import Instance
from oakmill.web.pages.job_actions import edited
from oakmill.web.views import remedies
from oakmill.web.views.job import steps_of

POOR = Finding("lost", Severity.ERROR, "most is lost", "Lost", "convert with --target-precision INT8_INT16_MIXED")
TURNED = Finding(
    "other_convention", Severity.WARNING, "BGR fits better", "Colours", "convert with --encoding-from BGR", "image",
    evidence={"convention": "as given, in BGR", "corrected": {"encoding_from": "BGR"}},
)  # fmt: skip


def job(*findings: Finding, platform: str = "rvc4", status: JobStatus = JobStatus.SUCCEEDED, **spec: Any) -> Job:
    passport = Passport(platform, HeldOut("set", ("a.png",), ""), findings=findings)
    return Job(
        id="aij_1", number=1, name="job", status=status, platform=platform, spec={"platform": platform, **spec},
        files={}, result={"passport": passport.as_dict()}, failure=None,
    )  # fmt: skip


def texts(row: Job) -> list[str]:
    return [item.text.removeprefix("Convert again with ") for item in remedies.remedies_of(row)]


def test_a_red_result_leads_on() -> None:
    """Its page said what was wrong, and left it to the reader to find the form and the field."""
    assert texts(job(POOR)) == ["AUTO", "16 bits where they matter", "FP16"]
    assert texts(job(POOR, target_precision="AUTO")) == ["16 bits where they matter", "FP16"]


def test_an_edit_is_what_the_finding_says() -> None:
    row = job(TURNED)
    assert edited(row, "0").inputs[0].encoding_from == "BGR"
    assert edited(row, "1").model_dump()["target_precision"] == "AUTO"


@pytest.mark.parametrize("row", [job(), job(POOR, target_precision="FP16_STANDARD"), job(POOR, platform="rvc2")])
def test_where_nothing_is_to_be_changed_nothing_is_offered(row: Job) -> None:
    assert remedies.remedies_of(row) == ()


def test_random_pixels_are_changed_for_photos_first() -> None:
    assert texts(job(POOR, quantization_data="random"))[0] == "the starter set"


@pytest.mark.parametrize("number", ["7", "-1", "x"])
def test_a_number_that_there_is_none_of_is_refused(number: str) -> None:
    with pytest.raises(SpecError, match="no remedy"):
        edited(job(POOR), number)


def test_a_job_of_an_older_version_offers_nothing() -> None:
    assert remedies.remedies_of(job(POOR, gone_since=1)) == ()


def test_a_step_says_what_changes() -> None:
    steps = steps_of(job(POOR), None)
    assert steps[0].changes == (("target_precision", "INT8_STANDARD", "AUTO"),)


def test_colours_are_asked_of_images_only() -> None:
    image = Instance(model_type="ONNX", facts={"inputs": [{"name": "x", "shape": [1, 3, 8, 8]}]})
    numbers = Instance(model_type="ONNX", facts={"inputs": [{"name": "x", "shape": [1, 8]}]})
    assert remedies.asks_colours(job(POOR), image)
    assert not remedies.asks_colours(job(POOR), numbers)
    assert not remedies.asks_colours(job(), image)
    assert not remedies.asks_colours(job(POOR), None)

"""Results side by side: the latest of each platform and format, the fastest first, and which to take."""

from __future__ import annotations

from typing import Any

from oakmill.conversion.passport import Check, Passport
from oakmill.conversion.passport.report import HeldOut
from oakmill.findings import Finding, Severity
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry.tables import InstanceFile, Role
from oakmill.web.views import matrix


def job(number: int, platform: str, status: str = JobStatus.SUCCEEDED, result: Any = None, **spec: Any) -> Job:
    return Job(id=f"aij_{number}", number=number, platform=platform, status=status, spec=spec, result=result)


def passport(*findings: Finding) -> dict[str, Any]:
    check = Check("QDQ", "as it is", (), 25.0, 15.0)
    return {"passport": Passport("rvc4", HeldOut("photos", ("a", "b")), (check,), findings=findings).as_dict()}


def file(size: int) -> InstanceFile:
    return InstanceFile(name="net.tar.xz", role=Role.MODEL, size=size, sha256="0" * 64)


def test_the_latest_of_each_is_shown_by_platform_and_the_fastest_first() -> None:
    jobs = [
        job(6, "rvc2"),
        job(5, "rvc4", target_precision="FP16_STANDARD"),
        job(4, "rvc4"),
        job(3, "rvc4", target_precision="INT8_STANDARD"),
        job(2, "rvc2"),
        job(1, "gone"),
    ]
    assert [(item.number, matrix.precision_of(item)) for item in matrix.latest(jobs)] == [
        (6, "FP16"),
        (4, "INT8"),
        (5, "FP16"),
    ]


def test_a_line_that_has_ended_says_its_verdict_and_why_and_one_is_advised() -> None:
    warned = Finding("few", Severity.WARNING, "20 images are few", "Few images calibrated it")
    int8 = matrix.line(job(1, "rvc4", result=passport(warned)), [file(3_100_000)])
    fp16 = matrix.line(job(2, "rvc4", result=passport(), target_precision="FP16_STANDARD"), [file(6_000_000)])
    live = matrix.line(job(3, "rvc4", JobStatus.RUNNING, target_precision="AUTO"), [])
    assert int8.why == "Few images calibrated it: 20 images are few"
    assert (fp16.why, live.rung, live.precision) == ("", None, "AUTO")
    (choice,) = matrix.choices([int8, fp16, live])
    assert (choice.job_id, choice.live) == ("aij_2", 1)
    assert choice.words.startswith("Take FP16")


def test_a_result_that_was_deleted_has_no_file() -> None:
    found = matrix.line(job(1, "rvc4", result=passport()), [])
    assert (found.rung, found.file) == (None, None)
    assert list(matrix.choices([found])) == []

"""What asks the vendor's parser keeps a conversion whole, whatever goes wrong: the parser's process is a stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from oakmill.conversion import camera_app
from oakmill.conversion.camera_app import CameraApp
from oakmill.conversion.passport import HeldOut, Passport
from oakmill.conversion.prepare import Prepared
from oakmill.errors import LimitExceeded, OakmillError, ToolchainBroken, VerificationFailed
from oakmill.findings import Severity
from oakmill.heads.boxes import Boxes
from oakmill.heads.values import Candidates
from oakmill.processes.sandbox import IsolationMissing
from oakmill.settings import current

SCORES: dict[str, Any] = {"parser": "ClassificationParser", "outputs": ["file"], "metadata": {"classes": ["a", "b"]}}
IMAGE = SimpleNamespace(is_image=True, layout="NCHW", shape=(1, 3, 8, 8))


class Asked:
    """In the place of the parser's process: keeps the request, and answers or raises."""

    request: Mapping[str, Any]
    error: OakmillError | None = None

    def __init__(self, *_: object) -> None:
        self.start = self.stop = lambda: None

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        Asked.request = request
        if Asked.error:
            raise Asked.error
        images = [{"classes": ["b", "a"]} for _ in request["outputs"]]
        return {"depthai": "3", "heads": [{"parser": "ClassificationParser", "node": "Node", "images": images}]}


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> type[Asked]:
    monkeypatch.setattr(camera_app, "Parsing", Asked)
    monkeypatch.setattr(Asked, "error", None)
    return Asked


def told(folder: Path, head: Mapping[str, Any], name: str, images: int = 3) -> Passport:
    prepared = SimpleNamespace(heads=(head,), names={}, boundary=(IMAGE,))
    outputs = {name: np.array([[0.1, 0.9]], np.float32), "allow_pickle": np.ones((1, 2), np.float32)}
    app = CameraApp(folder / "m.tar.xz", cast(Prepared, prepared), frozenset(), folder / "app", current())
    with app:
        for place in range(images):
            app.add(f"image {place}", {}, outputs, outputs)
        return app.told(Passport("rvc4", HeldOut("images")))


def test_outputs_may_have_any_name(tmp_path: Path, asked: type[Asked]) -> None:
    """numpy took outputs called `file` or `allow_pickle` for its own arguments: a conversion ended, or one was lost."""
    passport = told(tmp_path, SCORES, "file")
    assert passport.findings == ()
    assert asked.request["names"] == ["file", "allow_pickle"]
    with np.load(asked.request["outputs"][0]) as kept:
        assert [kept[f"arr_{place}"].max() for place in range(2)] == [np.float32(0.9), 1]


def test_outputs_that_are_compared_with_nothing_are_kept_of_one_image(tmp_path: Path, asked: type[Asked]) -> None:
    """Sixteen images' maps of pixels were written for a parser of which only its answer is told."""
    passport = told(tmp_path, {"parser": "NobodysParser", "metadata": {}}, "map")
    assert len(asked.request["outputs"]) == 1
    assert passport.parsers[0].note == "it answers; what it says is compared with nothing"


def test_a_full_disk_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    (finding,) = told(tmp_path, SCORES, "file").findings
    assert (finding.code, finding.severity) == ("parser_not_tried", Severity.NOTE)
    assert "was not tried: [Errno 28] No space left on device" in finding.message


def test_a_folder_that_cannot_be_made_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "app").touch()
    assert [finding.code for finding in told(tmp_path, SCORES, "file").findings] == ["parser_not_tried"]


def test_a_threshold_that_is_no_number_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive's head may hold any text there, and one converted until the parser was asked."""
    seen = Candidates(Boxes(np.ones((1, 4)), np.ones(1), np.zeros(1, np.int64)))
    monkeypatch.setattr(CameraApp, "_seen", lambda *_: seen)
    head = {**SCORES, "metadata": {"conf_threshold": "half"}}
    assert [finding.code for finding in told(tmp_path, head, "file").findings] == ["parser_not_tried"]


@pytest.mark.parametrize(
    ("error", "code", "severity"),
    [
        (VerificationFailed("it ended"), "parser_crashes", Severity.ERROR),
        (LimitExceeded("it hangs"), "parser_hangs", Severity.NOTE),
        (IsolationMissing("no sandbox"), "parser_not_tried", Severity.NOTE),
        (ToolchainBroken("no process"), "parser_not_tried", Severity.NOTE),
    ],
)
def test_only_what_the_parser_does_is_its_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OakmillError, code: str, severity: Severity
) -> None:
    """Where no sandbox worked, a passport said in red that an app would fail."""
    monkeypatch.setattr(Asked, "error", error)
    (finding,) = told(tmp_path, SCORES, "file").findings
    assert (finding.code, finding.severity) == (code, severity)
    assert error.message in finding.message

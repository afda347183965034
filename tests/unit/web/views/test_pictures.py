"""Images of passports are taken out with care: a job may have written anything."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from oakmill.web.views import pictures

JPEG = b"\xff\xd8\xff\xe0 and so on"
GOOD = f"data:image/jpeg;base64,{base64.b64encode(JPEG).decode()}"


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/a.jpg",
        "data:image/png;base64,A",
        "data:text/html;base64,PGI+",
        "data:image/svg+xml;base64,AA==",
        5,
    ],
)
def test_what_is_no_image_of_ours_is_left_out(tmp_path: Path, url: Any) -> None:
    pictures._unpack(tmp_path / "kept", {"bad": url, "good": GOOD})
    assert {path.name: path.read_bytes() for path in (tmp_path / "kept").iterdir()} == {"1": JPEG}


def test_so_many_images_and_no_more_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "IMAGES", 3)
    pictures._unpack(tmp_path / "kept", {str(number): GOOD for number in range(9)})
    assert len(list((tmp_path / "kept").iterdir())) == 3


def test_bytes_that_are_no_image_are_served_as_nothing_that_runs() -> None:
    assert pictures.kind_of(b"<script>") == "application/octet-stream"
    assert pictures.kind_of(JPEG) == "image/jpeg"

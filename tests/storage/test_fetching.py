"""What a configuration names in a bucket is fetched by the operator's word: a file, or a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from oakmill.cli.fetching import FetchFailed, FetchRefused, fetch
from oakmill.settings import Settings


def test_a_file_and_a_folder_come_from_a_bucket(s3_server: str, s3_store: dict[str, Any], tmp_path: Path) -> None:
    bucket = s3_store["store"].split("/")[2]
    for name in ("models/net.onnx", "photos/a.png", "photos/more/b.png"):
        httpx.put(f"{s3_server}/{bucket}/{name}", content=name.encode()).raise_for_status()
    plain = {"home": tmp_path, "store_options": s3_store["store_options"]}
    settings = Settings(**plain, fetch_from=(f"s3://{bucket}",))
    assert fetch("input_model", f"s3://{bucket}/models/net.onnx", settings).read_bytes() == b"models/net.onnx"
    folder = fetch("calibration.path", f"s3://{bucket}/photos/", settings)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png")) == ["a.png", "more/b.png"]
    with pytest.raises(FetchFailed):
        fetch("input_model", f"s3://{bucket}/none.onnx", settings)
    with pytest.raises(FetchRefused):
        fetch("input_model", f"s3://{bucket}/models/net.onnx", Settings(**plain, fetch_from=("*",)))

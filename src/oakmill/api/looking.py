"""Looks at what nobody vouches for, in a process of its own with limits: calibration sets, models with a wish,
and graphs whose operators are counted.

Started as `python -m oakmill.api.looking FOLDER`: reads FOLDER/request.json and FOLDER/files, writes
FOLDER/answer.json.
"""

from __future__ import annotations

import base64
import io
import json
import resource
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from oakmill import errors
from oakmill.errors import OakmillError, ToolFailed
from oakmill.hub.state import Hub
from oakmill.jobs.kinds import inside
from oakmill.processes import run
from oakmill.processes.run import Limits

SECONDS = 120
THUMBNAILS = 24
SIDE = 96
_FILES = "files"
"""The sub-folder of a request with the files that are looked at, under their own names."""
_SECRETS = ("OAKMILL_DATABASE", "OAKMILL_STORE", "OAKMILL_STORE_OPTIONS", "PGPASSWORD")


def look(at: Hub, kind: str, files: Mapping[str, str], *, owner: str = "", **asked: Any) -> dict[str, Any]:
    """What the process of that kind says of files of the store, given by name and sha256, for a team.

    Raises:
        OakmillError: what it met, under its own name.
        LimitExceeded: it needed more time or memory than a look may.
        Unavailable: too many others are being looked at.
    """
    folder = at.settings.hub.absolute() / "work" / f"look-{secrets.token_hex(8)}"
    folder.mkdir(parents=True)
    if "model" in asked:
        asked["model"] = f"{_FILES}/{asked['model']}"
    try:
        for name, sha256 in files.items():
            at.blobs.fetch(sha256, inside(folder / _FILES, name))
        request = {"kind": kind, "files": [f"{_FILES}/{name}" for name in files], **asked}
        (folder / "request.json").write_text(json.dumps(request))
        with at.inspector.semaphore.slot(owner):
            return _answer(at, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answer(at: Hub, folder: Path) -> dict[str, Any]:
    without = [word for name in _SECRETS for word in ("-u", name)]
    command = ["env", *without, sys.executable, "-m", "oakmill.api.looking", str(folder)]
    limits = Limits(SECONDS, at.settings.tool_memory_mb, 1024)
    done = run.run(command, cwd=folder, limits=limits, name="The look at the file")
    try:
        answer: dict[str, Any] = json.loads((folder / "answer.json").read_text())
    except FileNotFoundError:
        raise ToolFailed("Looking at the file ended the process that did it.", log=done.log_tail) from None
    if "error" in answer:
        told = answer["error"]
        raise getattr(errors, told["code"], errors.SourceError)(
            told["message"].replace(f"{folder}/", ""), remedy=told["remedy"], subject=Path(told["subject"]).name
        )
    return answer


def main(folder: Path) -> None:
    """Answer the request of a folder."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    request = json.loads((folder / "request.json").read_text())
    try:
        answer = _KINDS[request["kind"]](folder, request)
    except OakmillError as error:
        answer = {"error": error.as_dict()}
    partial = folder / "answer.part"
    partial.write_text(json.dumps(answer))
    partial.rename(folder / "answer.json")


def _look_at_set(folder: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """What the calibration doctor says of a zip, and small pictures of what is in it."""
    from oakmill.calibration.datasets.files import find_files
    from oakmill.calibration.datasets.zips import unpack
    from oakmill.calibration.doctor import examine

    left_out = unpack(folder / request["files"][0], folder / "set", request["max_mb"])
    files = find_files(folder / "set")
    diagnosis = examine(files)
    found = asdict(diagnosis) | {"verdict": diagnosis.verdict}
    step = max(1, len(files) // THUMBNAILS)
    small = [text for path in files[::step][:THUMBNAILS] if (text := _thumbnail(path))]
    return {"count": len(files), "left_out": len(left_out), "doctor": found, "thumbnails": small}


def _thumbnail(path: Path) -> str:
    """A JPEG as base64; nothing for what is no picture."""
    from oakmill.calibration.datasets.files import is_picture
    from oakmill.calibration.images import read_image
    from oakmill.spec import Encoding

    if not is_picture(path):
        return ""
    from PIL import Image

    try:
        pixels = read_image(path, (1, SIDE, SIDE, 3), "NHWC", Encoding.RGB, dtype="uint8")
    except OakmillError:
        return ""
    buffer = io.BytesIO()
    Image.fromarray(pixels.reshape(SIDE, SIDE, 3)).save(buffer, "JPEG", quality=75)
    return base64.b64encode(buffer.getvalue()).decode()


def _look_at_model(folder: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """What preflight says of a model, with what is asked of its inputs: as `oakmill check` says it."""
    import onnx

    from oakmill.model import merge_inputs, open_source, prefill
    from oakmill.model.source import SourceFormat
    from oakmill.preflight.check import Preflight, unread
    from oakmill.settings import Settings
    from oakmill.spec import InputSpec

    asked = tuple(InputSpec.model_validate(item) for item in request["inputs"])
    source = open_source(folder / request["model"], folder / "source", Settings())
    if source.format is not SourceFormat.ONNX:
        return {name: unread(source, name).as_dict() for name in request["platforms"]}
    inputs = merge_inputs(asked, prefill(source.archive, source.inputs)).inputs
    preflight = Preflight(onnx.load(source.graph, load_external_data=False), inputs)
    return {name: preflight.report(name).as_dict() for name in request["platforms"]}


def _count_operators(folder: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """How often each operator stands in an ONNX model's graphs, or an IR's; nothing is known of other formats."""
    from collections import Counter

    from oakmill.conversion.failures.facts import graph_of
    from oakmill.model.tensors import nodes
    from oakmill.settings import Settings

    with graph_of(folder / request["model"], Settings()) as graph:
        if graph.onnx is not None:
            found = Counter(node.op_type for node in nodes(graph.onnx))
        else:
            layers = graph.ir.iter("layer") if graph.ir is not None else ()
            found = Counter(layer.get("type", "") for layer in layers)
    return {"counts": dict(found.most_common())}


_KINDS = {"set": _look_at_set, "model": _look_at_model, "operators": _count_operators}


if __name__ == "__main__":
    main(Path(sys.argv[1]))

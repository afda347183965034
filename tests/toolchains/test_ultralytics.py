"""The real Ultralytics toolchain: a checkpoint comes out as ONNX with its names, and a hostile one does nothing."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import onnx
import pytest

from oakmill.conversion.events import Progress, unobserved
from oakmill.conversion.sources import checkpoint
from oakmill.errors import UnsupportedModel
from oakmill.heads.families import ultralytics
from oakmill.model import open_source
from oakmill.settings import current
from oakmill.spec import InputSpec
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.installing import accepting
from oakmill.toolchains.ultralytics.toolchain import OPSET, UltralyticsToolchain
from tests.tools import installed

SETTINGS = accepting(current(), "AGPL-3.0")


@pytest.fixture(scope="session")
def toolchain() -> UltralyticsToolchain:
    return installed(UltralyticsToolchain(SETTINGS))


@pytest.fixture(scope="session")
def made(toolchain: UltralyticsToolchain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a detector of acorns and oaks."""
    return toolchain.make_tiny(tmp_path_factory.mktemp("made") / "job")


def test_it_is_exported_with_its_names_and_the_same_bytes_each_time(made: Path, tmp_path: Path) -> None:
    """The first has the size of the training, and so has the second by its shape; the exporter writes the date in."""
    written = []
    for name, shape in (("first", None), ("second", (1, 3, 64, 96))):
        source = open_source(made, tmp_path / "work", SETTINGS)
        progress = Progress(unobserved)
        found = checkpoint.as_onnx(source, (InputSpec(shape=shape),), tmp_path / name, 0, SETTINGS, progress)
        assert found.inputs[0].shape == (1, 3, 64, 96)
        assert found.opset == OPSET
        export = ultralytics.read(found.metadata)
        assert export is not None
        assert (export.task, export.names, export.stride) == ("detect", ("acorn", "oak"), 32)
        written.append(found.graph.read_bytes())
    assert written[0] == written[1]
    assert [item.name for item in onnx.load_from_string(written[0]).graph.output] == ["output0"]


class Calls:
    """Calls a function when its pickle is opened."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


def hostile(made: Path, path: Path, pickled: bytes) -> Path:
    """A checkpoint with another pickle in the place of its own; PyTorch needs the other members."""
    with zipfile.ZipFile(made) as good, zipfile.ZipFile(path, "w") as bad:
        for member in good.infolist():
            content = pickled if member.filename.endswith("/data.pkl") else good.read(member)
            bad.writestr(member.filename, content)
    return path


def test_what_would_run_code_runs_none_and_is_refused_by_its_name(
    toolchain: UltralyticsToolchain, made: Path, tmp_path: Path
) -> None:
    """The first look refuses these by what the pickle names; here they come past it, as if it had been outwitted."""
    target = tmp_path / "touched"
    bad = hostile(made, tmp_path / "bad.pt", pickle.dumps({"model": Calls(os.system, f"touch {target}")}, 2))
    with pytest.raises(RunnerError, match=r"names (posix|os)\.system") as caught:
        toolchain.export(bad, tmp_path / "job", None)
    assert caught.value.kind == "load"
    assert not target.exists()


def test_weights_alone_are_refused_with_what_they_are(made: Path, tmp_path: Path) -> None:
    """A dict of numbers beside a name of Ultralytics' own, so that the first look takes it for a checkpoint."""
    named = b"\x80\x02}q\x00(X\x05\x00\x00\x00modelq\x01}q\x02X\x01\x00\x00\x00wq\x03K\x01sX\x01\x00\x00\x00cq\x04"
    pickled = named + b"cultralytics.nn.tasks\nDetectionModel\nu."
    source = open_source(hostile(made, tmp_path / "weights.pt", pickled), tmp_path / "work", SETTINGS)
    with pytest.raises(UnsupportedModel, match="weights alone, without the network"):
        checkpoint.as_onnx(source, (InputSpec(),), tmp_path / "job", 0, SETTINGS, Progress(unobserved))

"""What Ultralytics notes in TFLite files and TorchScript modules is read as in its ONNX files, and as carefully."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from oakmill.conversion.sources import camera_heads
from oakmill.heads.families import ultralytics
from oakmill.model import exporter_notes, open_source
from oakmill.model.exporter_notes import LONGEST
from oakmill.settings import Settings
from oakmill.spec import Encoding, InputSpec
from tests.conversion import tflite_makers as makers

NOTED = {"author": "Ultralytics", "task": "pose", "stride": 32, "names": {"0": "a, b", "1": "ä"}, "kpt_shape": [17, 3]}
"""As JSON has it: the classes' numbers are texts."""
EXPORT = ultralytics.Export("pose", ("a, b", "ä"), 32, "", (17, 3))


@pytest.mark.parametrize(
    "text", [json.dumps(NOTED), str({**NOTED, "names": {0: "a, b", 1: "ä"}})], ids=["JSON", "a literal"]
)
def test_notes_are_those_of_an_onnx_file(text: str) -> None:
    assert ultralytics.read(exporter_notes.of_text(text)) == EXPORT


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "{", '{"author": "somebody"}', "[" * 5000, "{'a':" * 5000, "__import__('os').abort()",
        json.dumps({**NOTED, "more": "x" * LONGEST}), "\ud800",
    ],
)  # fmt: skip
def test_what_is_none_of_its_notes_says_nothing(text: str) -> None:
    assert exporter_notes.of_text(text) == {}


def test_names_with_gaps_or_words_for_numbers_are_none() -> None:
    for names in ({"0": "a", "2": "c"}, {"x": "a"}, {"0": "a", "00": "b"}, 7, "a"):
        export = ultralytics.read(exporter_notes.of_text(json.dumps({**NOTED, "names": names})))
        assert export is not None
        assert export.names in ((), ("b",))


@pytest.mark.parametrize("member", ["metadata.json", "temp_meta.txt"])
def test_a_tflite_file_tells_its_names_and_that_it_takes_rgb_by_255(
    member: str, tmp_path: Path, settings: Settings
) -> None:
    """`yolov8n_float32.tflite` was converted for pixels of 0 to 255 where it takes 0 to 1, and saw nothing at all."""
    path = makers.written(makers.convolution(), tmp_path / "yolov8n_float32.tflite")
    with zipfile.ZipFile(path, "a") as notes:
        notes.writestr(member, json.dumps(NOTED))
    source = open_source(path, tmp_path / "work", settings)
    assert ultralytics.read(source.metadata) == EXPORT
    (spec,), (told,) = camera_heads.preprocessed([InputSpec(name=makers.INPUT)], source)
    assert (spec.scale_values, spec.encoding_from, spec.encoding_to) == ((255,), Encoding.RGB, Encoding.BGR)
    assert "RGB divided by 255" in told.message


def test_a_damaged_list_of_members_is_no_notes(tmp_path: Path, settings: Settings) -> None:
    path = makers.written(makers.convolution(), tmp_path / "model.tflite")
    with path.open("ab") as file:
        file.write(b"PK\x05\x06" + b"\xff" * 18)
    assert open_source(path, tmp_path / "work", settings).metadata == {}

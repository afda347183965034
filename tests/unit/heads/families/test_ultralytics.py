from __future__ import annotations

import pytest

from oakmill.heads.families.ultralytics import read
from oakmill.model.exporter_notes import LONGEST

WRITTEN = {"author": "Ultralytics", "task": "detect", "stride": "32"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{0: 'person', 1: 'traffic light, red'}", ("person", "traffic light, red")),
        ("{1: 'b', 0: 'ä'}", ("ä", "b")),
        ("['a', 'b']", ("a", "b")),
        ("{0: 'a', 2: 'c'}", ()),
        ("{'x': 'a', 0: 'b'}", ()),
        ("__import__('os').abort()", ()),
        ("{0: 'a'", ()),
        ("(" * 5000, ()),
        ("17", ()),
        (str([f"class {number}" for number in range(10_000)]), tuple(f"class {number}" for number in range(10_000))),
        (f"['{'x' * LONGEST}']", ()),
        (f"[0x{'f' * 5000}]", ()),
        (f"{{0x{'f' * 5000}: 'a'}}", ()),
        ("['\\ud800']", ()),
        (f"['{'x' * 201}']", ()),
    ],
    ids=[
        *("dict", "unsorted", "list", "gap", "word", "program", "cut off", "nested", "number", "10,000", "too long"),
        *("long number", "long key", "half a letter", "long name"),
    ],
)
def test_names_are_literals_and_nothing_is_run(text: str, names: tuple[str, ...]) -> None:
    """A number of 5,000 digits, which Python does not write, ended the conversion, and half a letter its archive."""
    export = read({**WRITTEN, "names": text})
    assert export is not None
    assert export.names == names


def test_what_another_program_wrote_says_nothing() -> None:
    assert read({}) is None
    assert read({"author": "somebody", "task": "detect"}) is None
    assert read({"author": "Ultralytics"}) is None


@pytest.mark.parametrize(("text", "stride"), [("64", 64), ("0", 32), ("'a'", 32), ("", 32), ("1e9", 32)])
def test_a_stride_that_makes_no_sense_is_that_of_most(text: str, stride: int) -> None:
    export = read({**WRITTEN, "stride": text})
    assert export is not None
    assert export.stride == stride

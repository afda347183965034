"""The layers that are to stay in floating point are found by exact names and types, or not found with help."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from frame import Refused

from oakmill.toolchains.rvc3.runner.common import Samples, layers_to_ignore

IR = """<net name="n" version="11"><layers>
<layer id="0" name="image" type="Parameter"/><layer id="1" name="w" type="Const"/>
<layer id="2" name="conv1/WithoutBiases" type="Convolution"/><layer id="3" name="conv1" type="Add"/>
<layer id="4" name="conv10" type="Convolution"/><layer id="5" name="out" type="Result"/>
</layers></net>"""


@pytest.fixture
def ir(tmp_path: Path) -> str:
    path = tmp_path / "model.xml"
    path.write_text(IR)
    return str(path)


@pytest.mark.parametrize(
    ("names", "types", "found"),
    [
        ([], [], []),
        (["conv10"], [], ["conv10"]),
        (["conv1"], [], ["conv1", "conv1/WithoutBiases"]),
        ([], ["Convolution"], ["conv1/WithoutBiases", "conv10"]),
        (["conv10"], ["Convolution"], ["conv1/WithoutBiases", "conv10"]),
    ],
)
def test_layers_are_meant_by_their_exact_names(names: list[str], types: list[str], found: list[str], ir: str) -> None:
    assert layers_to_ignore(ir, names, types) == found


@pytest.mark.parametrize(
    ("names", "types", "words"),
    [
        (["conv.*"], [], "no layer 'conv.*'; close to it are conv1"),
        ([], ["Conv"], "no layer of type 'Conv'; there are Add, Convolution"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(names: list[str], types: list[str], words: str, ir: str) -> None:
    with pytest.raises(Refused, match=words) as raised:
        layers_to_ignore(ir, names, types)
    assert raised.value.kind == "layers"


def test_pixels_become_floats_and_other_numbers_stay(tmp_path: Path) -> None:
    for name, values in (("image", np.ones((3, 2, 2), np.uint8)), ("state", np.ones((3, 4), np.int64))):
        np.save(tmp_path / f"{name}.npy", values)
    seen: list[int] = []
    samples = Samples({name: str(tmp_path / f"{name}.npy") for name in ("image", "state")}, 2, seen.append)
    assert {name: values.dtype.name for name, values in samples[2].items()} == {"image": "float32", "state": "int64"}
    assert (len(samples), seen) == (3, [2])

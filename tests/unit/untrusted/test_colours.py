"""What a model says of a set's images, whatever lies among them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import onnx
import pytest
from PIL import Image

from oakmill.errors import SourceError
from oakmill.settings import Settings
from oakmill.untrusted.colours import react
from oakmill.untrusted.folder import Place
from oakmill.untrusted.questions import SET_ZIP, Preprocessed, Reactions, TryColours
from tests.conversion.makers import conv_model

DAMAGED = b"\xff\xd8\xff this is no image"


def asked(folder: Path, images: dict[str, bytes]) -> Reactions:
    """What the model says of a set of these files."""
    place = Place(folder, Settings(home=folder))
    place.files.mkdir(parents=True)
    place.scratch.mkdir(parents=True)
    onnx.save(conv_model(), place.files / "m.onnx")
    with zipfile.ZipFile(place.files / SET_ZIP, "w") as packed:
        for name, data in images.items():
            packed.writestr(name, data)
    variants = [Preprocessed(encoding=word) for word in ("RGB", "BGR")]
    return react(TryColours(model="m.onnx", inputs=(), variants=variants, number=0, further=8), place)


def photo(color: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (32, 32), (color, 40, 90)).save(data, "PNG")
    return data.getvalue()


def test_damaged_images_are_passed_over(tmp_path: Path) -> None:
    """One damaged image among hundreds ended the page of colours, with a path of the hub's in what it said."""
    images = {f"{number}.png": photo(number) for number in range(4)}
    assert asked(tmp_path, {"a.jpg": DAMAGED, **images, "z.jpg": DAMAGED}).images == 4


def test_where_all_are_damaged_one_is_named_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"^a\.jpg cannot be read as an image: it is of no known format") as caught:
        asked(tmp_path, {"a.jpg": DAMAGED})
    assert str(tmp_path) not in caught.value.message

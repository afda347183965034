from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from onnx import ModelProto, TensorProto

from oakmill.errors import BrokenModel, UnsafeSource
from oakmill.model.external_data import external_files

Build = Callable[..., ModelProto]


def stored(build: Build, location: str, **entries: int | str) -> ModelProto:
    """A model whose weight of 16 bytes is stored outside."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=str(value))
    return build(initializer=[weight])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder: weights inside, a secret outside."""
    (tmp_path / "secret").write_bytes(bytes(16))
    inner = tmp_path / "model"
    (inner / "sub").mkdir(parents=True)
    (inner / "weights").write_bytes(bytes(32))
    (inner / "sub" / "weights").write_bytes(bytes(16))
    return inner


@pytest.mark.parametrize("location", ["weights", "sub/weights", "./sub//weights"])
def test_files_inside_the_folder_are_found(folder: Path, build: Build, location: str) -> None:
    assert external_files(stored(build, location, length=16), folder) == (folder / location,)


@pytest.mark.parametrize(
    "location",
    [
        "../secret",
        "sub/../../secret",
        "/etc/passwd",
        "..",
        "C:\\weights",
        "\\\\host\\share",
        "..\\secret",
        "a\0b",
    ],
)
def test_locations_outside_the_folder_are_refused_even_if_they_exist(folder: Path, build: Build, location: str) -> None:
    with pytest.raises(UnsafeSource, match="outside the model's folder"):
        external_files(stored(build, location), folder)


@pytest.mark.parametrize("target", ["../secret", "weights"])
def test_links_are_refused_wherever_they_lead(folder: Path, build: Build, target: str) -> None:
    (folder / "link").symlink_to(target)
    with pytest.raises(UnsafeSource, match="behind a symbolic link"):
        external_files(stored(build, "link"), folder)


def test_a_linked_folder_on_the_way_is_refused(folder: Path, build: Build) -> None:
    (folder / "link").symlink_to("..")
    with pytest.raises(UnsafeSource, match="behind a symbolic link"):
        external_files(stored(build, "link/secret"), folder)


def test_links_in_a_circle_are_refused(folder: Path, build: Build) -> None:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    with pytest.raises(UnsafeSource):
        external_files(stored(build, "a"), folder)


def test_a_folder_reached_through_a_link_of_the_user_is_fine(folder: Path, build: Build) -> None:
    alias = folder.parent / "alias"
    alias.symlink_to(folder)
    assert external_files(stored(build, "sub/weights"), alias) == (alias / "sub" / "weights",)


@pytest.mark.parametrize("location", ["none", "sub"])
def test_a_missing_file_is_named(folder: Path, build: Build, location: str) -> None:
    with pytest.raises(BrokenModel, match=f"'{location}' is missing: tensor 'w'"):
        external_files(stored(build, location), folder)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"offset": 17, "length": 16}, "bytes 17 to 33 of 'weights', which has 32"),
        ({"length": 1 << 60}, "which has 32"),
        ({"offset": -1, "length": 16}, "bytes -1"),
        ({"offset": 40}, "which has 32"),
        ({"offset": "ten"}, "is no number"),
        ({"length": 12}, "needs 16 bytes, but 12 are stored"),
        ({}, "needs 16 bytes, but 32 are stored"),
    ],
)
def test_places_beyond_the_file_and_wrong_lengths_are_refused(
    folder: Path, build: Build, entries: dict[str, int | str], words: str
) -> None:
    with pytest.raises(BrokenModel, match=words):
        external_files(stored(build, "weights", **entries), folder)


def test_a_tensor_that_does_not_say_where_is_refused(folder: Path, build: Build) -> None:
    with pytest.raises(BrokenModel, match="does not say where"):
        external_files(stored(build, ""), folder)


def test_a_file_that_many_tensors_share_is_listed_once(folder: Path, build: Build) -> None:
    model = stored(build, "weights", offset=0, length=16)
    model.graph.initializer.append(stored(build, "weights", offset=16, length=16).graph.initializer[0])
    assert external_files(model, folder) == (folder / "weights",)

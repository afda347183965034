from __future__ import annotations

import hashlib
import subprocess
import sys
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oakmill.calibration import draw, find_images, from_files, generated, generated_samples, read_image
from oakmill.errors import SourceError
from oakmill.spec import Encoding

RGB, BGR, GRAY, NONE = Encoding.RGB, Encoding.BGR, Encoding.GRAY, Encoding.NONE
SHAPE = (1, 3, 64, 96)
PICTURES = ["b.png", "a.JPG", "sub/c.webp", "sub/deep/d.npy", "sub/deep/e.raw"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures among other things."""
    inner = tmp_path / "photos"
    for name in [*PICTURES, "readme.txt", ".hidden.png", ".cache/e.png", "sub/labels.csv"]:
        path = inner / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (inner / "folder.png").mkdir()
    return inner


def test_pictures_are_found_in_all_folders_sorted_and_hidden_ones_left_out(folder: Path) -> None:
    assert find_images(folder) == tuple(folder / name for name in sorted(PICTURES))


def test_a_folder_may_itself_lie_in_a_hidden_one(tmp_path: Path) -> None:
    inner = tmp_path / ".hidden" / "photos"
    inner.mkdir(parents=True)
    (inner / "a.png").touch()
    assert find_images(inner) == (inner / "a.png",)


def test_one_file_is_a_set_of_one(folder: Path) -> None:
    assert find_images(folder / "b.png") == (folder / "b.png",)


@pytest.mark.parametrize(
    ("name", "words"),
    [("none", "does not exist"), ("readme.txt", "is no image"), ("folder.png", "holds no image")],
)
def test_where_no_picture_is_that_is_said(folder: Path, name: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        find_images(folder / name)


def test_a_draw_depends_on_names_and_seed_alone() -> None:
    paths = [Path(f"photos/{index:03}.png") for index in range(100)]
    drawn = draw(paths, 10, 7)
    assert len(set(drawn)) == 10
    assert draw(paths[::-1], 10, 7) == drawn
    assert draw(paths, 5, 7) == drawn[:5]
    assert draw(paths, 10, 8) != drawn
    assert sorted(draw(paths, 1000, 7)) == paths


DIGESTS = (
    "7ff002e35febe0c7f382cdac6064a514121294b43e532b3f9ccf8751c27e4a34",
    "2b80062621940cbedee3d8a59107529c2be9ca45520a5254be2960fe1dadccaa",
    "f1d27dfb97db36af047e9d8cd2412ff2763bb2c5e476cbec6a9d67eb11fd308e",
)


def test_the_same_seed_gives_the_same_bytes_in_every_process_and_version() -> None:
    """The digests stand in people's recipes."""
    program = """if True:
        from pathlib import Path
        from oakmill.calibration import draw, generated_samples
        from oakmill.spec import Encoding
        pictures = generated_samples((1, 3, 32, 48), "NCHW", Encoding.BGR, 2, 5)
        numbers = generated_samples((1, 16), "NC", Encoding.NONE, 1, 5)
        names = (path.name for path in draw([Path(str(index)) for index in range(50)], 4, 3))
        print(*names, *pictures.sha256, *numbers.sha256)
    """
    for seed in ("1", "2"):
        output = subprocess.check_output([sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, text=True)
        assert output.split() == ["2", "44", "17", "7", *DIGESTS]


def test_samples_of_files_list_what_was_used_and_read_it_one_by_one(tmp_path: Path) -> None:
    for index in range(3):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / f"{index}.png")
    paths = draw(find_images(tmp_path), 2, 0)
    read = partial(read_image, shape=(8, 8, 3), layout="HWC", encoding=RGB)
    samples = from_files(paths, tmp_path, read)
    assert (samples.source, samples.names) == (tmp_path.name, tuple(path.name for path in paths))
    assert samples.sha256 == tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    assert len(samples) == 2
    for _ in range(2):  # as often as wanted
        assert [f"{tensor[0, 0, 0]:.0f}.png" for tensor in samples] == list(samples.names)


def test_a_file_that_vanishes_between_listing_and_reading_is_named(tmp_path: Path) -> None:
    for index in range(3):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{index}.png")
    paths = find_images(tmp_path)
    samples = from_files(paths, tmp_path, partial(read_image, shape=(8, 8, 3), layout="HWC", encoding=RGB))
    paths[1].unlink()
    tensors = iter(samples)
    next(tensors)
    with pytest.raises(SourceError, match=r"1\.png cannot be read"):
        next(tensors)
    with pytest.raises(SourceError, match=r"1\.png cannot be read"):
        from_files(paths, tmp_path, lambda path: np.zeros(1))


def test_names_are_relative_to_the_source(folder: Path) -> None:
    samples = from_files(find_images(folder), folder, lambda path: np.zeros(1))
    assert samples.names == tuple(sorted(PICTURES))
    alone = from_files([folder / "b.png"], folder / "b.png", lambda path: np.zeros(1))
    assert (alone.source, alone.names) == ("b.png", ("b.png",))


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.png cannot be read"):
        from_files([tmp_path / "gone.png"], tmp_path, lambda path: np.zeros(1))


def test_generated_samples_are_those_generated(tmp_path: Path) -> None:
    samples = generated_samples(SHAPE, "NCHW", RGB, 3, 1)
    tensors = list(generated(SHAPE, "NCHW", RGB, 3, 1))
    assert samples.source == "generated"
    assert samples.sha256 == tuple(hashlib.sha256(tensor.tobytes()).hexdigest() for tensor in tensors)
    for ours, theirs in zip(samples, tensors, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_generated_pictures_differ_by_index_and_seed_and_not_by_count() -> None:
    first, second = generated(SHAPE, "NCHW", RGB, 2, 1)
    (other,) = generated(SHAPE, "NCHW", RGB, 1, 2)
    (alone,) = generated(SHAPE, "NCHW", RGB, 1, 1)
    np.testing.assert_array_equal(first, alone)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_layout_and_encoding_only_rearrange_the_picture() -> None:
    (planar,) = generated(SHAPE, "NCHW", RGB, 1, 0)
    (interleaved,) = generated((1, 64, 96, 3), "NHWC", BGR, 1, 0)
    (single,) = generated((3, 96, 64), "CWH", RGB, 1, 0)
    np.testing.assert_array_equal(interleaved, planar.transpose(0, 2, 3, 1)[..., ::-1])
    np.testing.assert_array_equal(single, planar[0].transpose(0, 2, 1))


@pytest.mark.parametrize(
    ("shape", "encoding"),
    [((1, 1, 28, 28), GRAY), ((1, 3, 1, 1), RGB), ((2, 3, 5, 9), BGR), ((1, 6, 16, 16), RGB), ((1, 3, 720, 720), RGB)],
)
def test_pictures_of_any_size_have_whole_values_of_8_bits(shape: tuple[int, ...], encoding: Encoding) -> None:
    for tensor in generated(shape, "NCHW", encoding, 2, 0):
        assert tensor.shape == shape
        assert tensor.dtype == np.float32
        np.testing.assert_array_equal(tensor, tensor.astype(np.uint8))


def spectral_slope(gray: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> float:
    """The exponent with which power falls with frequency: about -2 to -3 in photos, 0 in white noise."""
    power = np.abs(np.fft.fft2(gray - gray.mean())) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(gray.shape[1]), np.fft.fftfreq(gray.shape[0])))
    band = (frequency > 0.02) & (frequency < 0.4)
    return float(np.polyfit(np.log(frequency[band]), np.log(power[band] + 1e-9), 1)[0])


def test_generated_pictures_are_like_photos_and_not_like_noise() -> None:
    tensors = [tensor[0] for tensor in generated((1, 3, 128, 128), "NCHW", RGB, 8, 0)]
    assert -3.5 < np.mean([spectral_slope(tensor.mean(axis=0)) for tensor in tensors]) < -1.5
    values = np.stack(tensors)
    assert 80 < values.mean() < 175
    assert values.std() > 40
    neighbours = np.corrcoef(values[..., :-1].ravel(), values[..., 1:].ravel())[0, 1]
    assert neighbours > 0.9


def test_inputs_that_are_no_picture_get_plausible_numbers() -> None:
    for shape, layout, encoding in (((2, 300), "NC", RGB), ((1, 3, 20, 20), "NCHW", NONE), ((64,), "", NONE)):
        (tensor,) = generated(shape, layout, encoding, 1, 0)
        assert tensor.shape == shape
        assert tensor.dtype == np.float32
        assert 0 <= tensor.min() < 0.2
        assert 0.8 < tensor.max() < 1


def test_memory_does_not_grow_with_the_number_of_samples() -> None:
    tracemalloc.start()
    try:
        for _ in generated_samples((1, 3, 224, 224), "NCHW", RGB, 12, 0):
            pass
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()

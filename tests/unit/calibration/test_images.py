from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oakmill.calibration import images as images_module
from oakmill.calibration import read_image
from oakmill.errors import SourceError, SpecError
from oakmill.spec import Encoding, Resize

RGB, BGR, GRAY, NONE = Encoding.RGB, Encoding.BGR, Encoding.GRAY, Encoding.NONE
RED = (255, 0, 0)


def save(path: Path, pixels: Any, **options: Any) -> Path:
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """4 rows of 6 pixels, each of its own colour."""
    return save(tmp_path / "small.png", np.arange(72).reshape(4, 6, 3) * 3)


PIXELS = np.arange(72).reshape(4, 6, 3) * 3


@pytest.mark.parametrize(
    ("shape", "layout", "encoding", "expected"),
    [
        ((1, 3, 4, 6), "NCHW", RGB, PIXELS.transpose(2, 0, 1)[None]),
        ((1, 3, 4, 6), "NCHW", BGR, PIXELS[..., ::-1].transpose(2, 0, 1)[None]),
        ((1, 4, 6, 3), "NHWC", BGR, PIXELS[None, ..., ::-1]),
        ((4, 6, 3), "HWC", RGB, PIXELS),
        ((3, 6, 4, 1), "CWHN", RGB, PIXELS.transpose(2, 1, 0)[..., None]),
    ],
)
def test_pixels_arrive_unchanged_in_the_layout_and_order_asked_for(
    picture: Path, shape: tuple[int, ...], layout: str, encoding: Encoding, expected: np.ndarray[Any, Any]
) -> None:
    tensor = read_image(picture, shape, layout, encoding)
    assert tensor.shape == shape
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    np.testing.assert_array_equal(tensor, expected)


@pytest.mark.parametrize(
    ("shape", "layout", "encoding"),
    [((1, 1, 4, 6), "NCHW", GRAY), ((4, 6), "HW", GRAY), ((1, 4, 6, 1), "NHWC", BGR)],
)
def test_one_channel_is_gray(picture: Path, shape: tuple[int, ...], layout: str, encoding: Encoding) -> None:
    expected = np.asarray(Image.fromarray(PIXELS.astype(np.uint8)).convert("L"))
    np.testing.assert_array_equal(read_image(picture, shape, layout, encoding).reshape(4, 6), expected)


def test_the_dtype_is_the_one_asked_for(picture: Path) -> None:
    tensor = read_image(picture, (1, 3, 4, 6), "NCHW", RGB, dtype=np.uint8)
    assert tensor.dtype == np.uint8
    np.testing.assert_array_equal(tensor[0].transpose(1, 2, 0), PIXELS)


def test_a_picture_is_turned_upright(tmp_path: Path) -> None:
    pixels = np.zeros((16, 32, 3))
    pixels[:, :16] = RED
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: left becomes top
    path = save(tmp_path / "turned.png", pixels, exif=exif)
    tensor = read_image(path, (32, 16, 3), "HWC", RGB)
    np.testing.assert_array_equal(tensor[:16], np.full((16, 16, 3), RED))
    np.testing.assert_array_equal(tensor[16:], np.zeros((16, 16, 3)))


def striped(tmp_path: Path) -> Path:
    """A wide picture: red, green and blue from left to right, 20 by 20 pixels each."""
    pixels = np.zeros((20, 60, 3))
    for place in range(3):
        pixels[:, 20 * place : 20 * place + 20, place] = 255
    return save(tmp_path / "striped.png", pixels)


def test_crop_takes_the_middle(tmp_path: Path) -> None:
    tensor = read_image(striped(tmp_path), (20, 20, 3), "HWC", RGB, resize=Resize.CROP)
    np.testing.assert_array_equal(tensor, np.full((20, 20, 3), (0, 255, 0)))


def test_crop_fits_the_shorter_side_when_it_enlarges(tmp_path: Path) -> None:
    tensor = read_image(striped(tmp_path), (40, 40, 3), "HWC", RGB, resize=Resize.CROP)
    np.testing.assert_array_equal(tensor[:, 4:-4], np.full((40, 32, 3), (0, 255, 0)))


def test_stretch_keeps_all_and_the_proportions_not(tmp_path: Path) -> None:
    tensor = read_image(striped(tmp_path), (20, 30, 3), "HWC", RGB, resize=Resize.STRETCH)
    assert [tensor[10, x].argmax() for x in (4, 15, 26)] == [0, 1, 2]


def test_pad_keeps_the_proportions_between_black_bars(tmp_path: Path) -> None:
    tensor = read_image(striped(tmp_path), (60, 60, 3), "HWC", RGB, resize=Resize.PAD)
    assert not tensor[:20].any()
    assert not tensor[40:].any()
    assert [tensor[30, x].argmax() for x in (10, 30, 50)] == [0, 1, 2]
    assert (tensor[20:40].max(axis=2) == 255).all()


@pytest.mark.parametrize("resize", Resize)
def test_a_picture_of_one_pixel_fits_anywhere(tmp_path: Path, resize: Resize) -> None:
    path = save(tmp_path / "dot.png", [[RED]])
    assert read_image(path, (1, 3, 5, 2), "NCHW", RGB, resize=resize).max() == 255
    long = save(tmp_path / "long.png", np.full((1, 500, 3), 255))
    assert read_image(long, (1, 3, 5, 5), "NCHW", RGB, resize=resize).max() == 255


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff", ".ppm"])
def test_every_format_can_be_read(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"picture{suffix}", np.full((16, 16, 3), (200, 100, 50)))
    tensor = read_image(path, (16, 16, 3), "HWC", RGB)
    np.testing.assert_allclose(tensor, np.broadcast_to((200, 100, 50), (16, 16, 3)), atol=4)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_can_be_read(tmp_path: Path, mode: str) -> None:
    suffix = ".tiff" if mode in {"CMYK", "YCbCr"} else ".png"
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(tmp_path / f"mode{suffix}")
    assert read_image(tmp_path / f"mode{suffix}", (1, 3, 8, 8), "NCHW", RGB).min() >= 250


def test_a_transparent_palette_is_read_without_a_warning(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "palette.png", transparency=b"\xff\x80")
    tensor = read_image(tmp_path / "palette.png", (8, 8, 3), "HWC", RGB)
    np.testing.assert_array_equal(tensor, np.broadcast_to((10, 20, 30), (8, 8, 3)))


def test_16_bits_are_brought_to_8(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257, 32896, 65535]], np.uint16)).save(tmp_path / "deep.png")
    tensor = read_image(tmp_path / "deep.png", (1, 4), "HW", GRAY)
    np.testing.assert_array_equal(tensor, [[0, 1, 128, 255]])


def test_a_much_larger_jpeg_reads_as_if_it_were_decoded_whole(shared_data: Path, tmp_path: Path) -> None:
    photo = sorted((shared_data / "images" / "imagenet").glob("*.JPEG"))[0]
    with Image.open(photo) as image:
        pixels = np.asarray(image.convert("RGB").resize((1600, 1200)))
    jpeg, png = save(tmp_path / "large.jpg", pixels, quality=95), save(tmp_path / "large.png", pixels)
    shape = (1, 3, 96, 96)
    difference = read_image(jpeg, shape, "NCHW", BGR) - read_image(png, shape, "NCHW", BGR)
    assert np.abs(difference).mean() < 1.5


@pytest.mark.parametrize("saved", [(1, 3, 2, 2), (3, 2, 2)])
def test_an_array_is_taken_as_it_is_with_or_without_batch(tmp_path: Path, saved: tuple[int, ...]) -> None:
    values = np.linspace(-1, 1, 12).reshape(saved)
    np.save(tmp_path / "sample.npy", values)
    tensor = read_image(tmp_path / "sample.npy", (1, 3, 2, 2), "NCHW", NONE)
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, values.reshape(1, 3, 2, 2).astype(np.float32))


def test_an_array_of_another_shape_is_refused_with_both_shapes(tmp_path: Path) -> None:
    np.save(tmp_path / "sample.npy", np.zeros((3, 4, 4)))
    with pytest.raises(SpecError, match=r"shape \(3, 4, 4\), but the input's is \(1, 3, 2, 2\)"):
        read_image(tmp_path / "sample.npy", (1, 3, 2, 2), "NCHW", RGB)


def test_arrays_that_are_damaged_or_hold_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sample.npy"
    np.save(path, np.zeros((1, 3, 2, 2)))
    whole = path.read_bytes()
    huge = whole.replace(b"(1, 3, 2, 2)", b"(9999999999)")
    for content in (b"", b"noise", whole[:40], whole[:-1], huge, whole.replace(b"{", b"(")):
        path.write_bytes(content)
        with pytest.raises(SourceError, match=r"sample\.npy cannot be read as an array"):
            read_image(path, (1, 3, 2, 2), "NCHW", RGB)
    np.save(path, np.array([print], object), allow_pickle=True)
    with pytest.raises(SourceError, match=r"sample\.npy cannot be read as an array"):
        read_image(path, (1,), "N", NONE)
    np.save(path, np.array(["text"]))
    with pytest.raises(SourceError, match="not numbers"):
        read_image(path, (1,), "N", NONE)


def test_arrays_of_other_numbers_are_taken_if_the_dtype_can_hold_them(tmp_path: Path) -> None:
    path = tmp_path / "sample.npy"
    for kind in (np.uint8, np.int64, np.float16, np.float64, bool):
        np.save(path, np.ones((1, 3, 2, 2), kind))
        assert read_image(path, (1, 3, 2, 2), "NCHW", RGB).dtype == np.float32
    np.save(path, np.full((1, 3, 2, 2), 300.5))
    with pytest.raises(SpecError, match=r"values from 300\.5 to 300\.5 that uint8 cannot hold"):
        read_image(path, (1, 3, 2, 2), "NCHW", RGB, dtype=np.uint8)
    for wrong in (np.nan, np.inf, 1e300):
        np.save(path, np.full((1, 3, 2, 2), wrong))
        with pytest.raises(SourceError, match="NaN, infinite, or too large"):
            read_image(path, (1, 3, 2, 2), "NCHW", RGB)
        with pytest.raises((SourceError, SpecError)):
            read_image(path, (1, 3, 2, 2), "NCHW", RGB, dtype=np.uint8)
    np.save(path, np.ones((1, 3, 2, 2), complex))
    with pytest.raises(SourceError, match="holds complex128, not numbers"):
        read_image(path, (1, 3, 2, 2), "NCHW", RGB)


@pytest.mark.parametrize("kind", [np.float32, np.uint8, np.float16])
def test_a_raw_file_is_what_its_size_says(tmp_path: Path, kind: type[np.generic]) -> None:
    values = np.arange(12).astype(kind)
    (tmp_path / "sample.raw").write_bytes(values.tobytes())
    tensor = read_image(tmp_path / "sample.raw", (1, 3, 2, 2), "NCHW", NONE, dtype=np.float16)
    assert tensor.dtype == np.float16
    np.testing.assert_array_equal(tensor, np.arange(12).reshape(1, 3, 2, 2))


def test_a_raw_file_of_another_size_is_refused_with_the_sizes_expected(tmp_path: Path) -> None:
    path = tmp_path / "sample.RAW"
    for size in (0, 11, 47, 49, 96):
        path.write_bytes(bytes(size))
        with pytest.raises(SpecError, match=rf"has {size} bytes.*float32 = 48 bytes or uint8 = 12 bytes"):
            read_image(path, (1, 3, 2, 2), "NCHW", RGB)
    path.write_bytes(np.full(12, np.nan, np.float32).tobytes())
    with pytest.raises(SourceError, match="NaN"):
        read_image(path, (1, 3, 2, 2), "NCHW", RGB)


@pytest.mark.parametrize("suffix", [".png", ".npy", ".raw"])
def test_a_file_that_vanished_is_named(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(SourceError, match=rf"gone\{suffix} cannot be read") as caught:
        read_image(tmp_path / f"gone{suffix}", (1, 3, 4, 4), "NCHW", RGB)
    assert caught.value.subject == str(tmp_path / f"gone{suffix}")


def test_a_jpeg_of_four_inks_is_read_as_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "inks.jpg", quality=95)
    tensor = read_image(tmp_path / "inks.jpg", (16, 16, 3), "HWC", RGB)
    np.testing.assert_allclose(tensor, np.broadcast_to(RED, (16, 16, 3)), atol=8)


@pytest.mark.parametrize("suffix", [".webp", ".png", ".tiff"])
def test_of_an_animation_the_first_picture_is_read(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    frames[0].save(tmp_path / f"moving{suffix}", save_all=True, append_images=frames[1:])
    tensor = read_image(tmp_path / f"moving{suffix}", (8, 8, 3), "HWC", RGB)
    np.testing.assert_allclose(tensor, np.broadcast_to((250, 0, 0), (8, 8, 3)), atol=10)


def test_formats_that_are_not_on_the_list_are_refused_whatever_they_are_called(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "real.gif")
    disguised = (tmp_path / "real.gif").rename(tmp_path / "disguised.png")
    with pytest.raises(SourceError, match=r"disguised\.png cannot be read as an image"):
        read_image(disguised, (1, 3, 4, 4), "NCHW", RGB)
    (tmp_path / "letter.jpg").write_text("Dear reader, this is no picture.\n" * 50)
    with pytest.raises(SourceError, match=r"letter\.jpg cannot be read as an image"):
        read_image(tmp_path / "letter.jpg", (1, 3, 4, 4), "NCHW", RGB)


def test_broken_pictures_are_refused_by_name(tmp_path: Path, picture: Path) -> None:
    path = tmp_path / "broken.jpg"
    jpeg = save(tmp_path / "whole.jpg", np.zeros((64, 64, 3))).read_bytes()
    vector = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"  # would start Ghostscript
    for content in (b"", b"noise" * 100, picture.read_bytes()[:45], jpeg[: len(jpeg) // 2], vector):
        path.write_bytes(content)
        with pytest.raises(SourceError, match=r"broken\.jpg cannot be read as an image"):
            read_image(path, (1, 3, 4, 4), "NCHW", RGB)
    with pytest.raises(SourceError, match=r"none\.png cannot be read"):
        read_image(tmp_path / "none.png", (1, 3, 4, 4), "NCHW", RGB)


def test_floating_point_pictures_are_refused_with_the_way_out(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(SourceError, match=r"floating point.*\.npy"):
        read_image(tmp_path / "float.tiff", (1, 3, 4, 4), "NCHW", RGB)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


@pytest.mark.parametrize("size", [(10_000, 10_000), (20_000, 20_000)])
def test_decompression_bombs_are_refused_before_they_are_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    """A header that promises so much, and not one row of it."""
    path = tmp_path / "bomb.png"
    header = struct.pack(">IIBBBBB", *size, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks))
    with pytest.raises(SourceError, match="bomb"):
        read_image(path, (1, 3, 4, 4), "NCHW", RGB)


def test_the_limit_of_pixels_holds_without_pillows_warning(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "MAX_PIXELS", 23)
    with pytest.raises(SourceError, match="6 x 4 pixels are more than 23"):
        read_image(picture, (1, 3, 4, 4), "NCHW", RGB)


@pytest.mark.parametrize(
    ("shape", "layout", "encoding", "words"),
    [
        ((1, 10), "NC", RGB, "is not the layout of an image"),
        ((1, 3, 4, 4), "NCH", RGB, "is not the layout of an image"),
        ((1, 3, 4, 4), "NCHH", RGB, "is not the layout of an image"),
        ((1, 3, 4, 4, 4), "NCDHW", RGB, "is not the layout of an image"),
        ((1, 3, 4, 4), "NCHW", NONE, "encoding NONE"),
        ((2, 3, 4, 4), "NCHW", RGB, "batch of more than one"),
        ((1, 4, 4, 4), "NCHW", RGB, "does not have the channels of RGB"),
        ((1, 3, 4, 4), "NCHW", GRAY, "does not have the channels of GRAY"),
    ],
)
def test_inputs_that_take_no_picture_are_named(
    picture: Path, shape: tuple[int, ...], layout: str, encoding: Encoding, words: str
) -> None:
    with pytest.raises(SpecError, match=words):
        read_image(picture, shape, layout, encoding)

"""Reads an image straight into the tensor that a model takes."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from oakmill.errors import SourceError, SpecError
from oakmill.spec import Encoding, Resize

MAX_PIXELS = 89_478_485  # as Pillow's own first limit: 256 MB of RGB
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM")  # none that runs scripts or starts programs
ARRAYS = (".npy", ".raw")

# What Pillow and numpy raise on files that are damaged; they have no errors of their own.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    LookupError,
    ArithmeticError,
    struct.error,
    TokenError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def read_image(
    path: Path,
    shape: tuple[int, ...],
    layout: str,
    encoding: Encoding,
    *,
    dtype: DTypeLike = np.float32,
    resize: Resize = Resize.CROP,
) -> NDArray[Any]:
    """Read an image, or a `.npy` or `.raw` of the input's shape, as an input tensor.

    An image is turned upright after its EXIF data, and resized bilinearly with antialiasing: STRETCH ignores
    its proportions; CROP fits the shorter side and cuts the middle out of the longer; PAD fits the longer
    side and centres the image on black.

    A `.npy` or `.raw` is taken as it is: in the model's own layout and order of channels, and in the value range of
    the converted model's input, which for images is 0 to 255, as mean and scale are inside it. The batch dimension
    may be left out. A `.raw` has no header: the values in C order and the machine's byte order, as float32, as
    `dtype` or as uint8, which its size tells.

    Args:
        path: the file.
        shape: the input's shape, of batch 1.
        layout: the meaning of its dimensions: the letters H, W, and C, N where they exist, in any order.
        encoding: order of the colour channels; an input of one channel gets gray.
        dtype: of the result; the values are 0 to 255 in each.
        resize: how it is brought to size.

    Returns:
        An array of `shape` and `dtype`, contiguous.

    Raises:
        SourceError: the file is no image, damaged, or larger than MAX_PIXELS.
        SpecError: the input is not one that takes an image, or the `.npy` or `.raw` is not of its shape, or holds
            numbers that the dtype cannot.
    """
    if path.suffix.lower() in ARRAYS:
        array = _read_raw(path, shape, dtype) if path.suffix.lower() == ".raw" else _read_array(path, shape)
        return _cast(array, dtype, path)
    sizes = _image_sizes(shape, layout, encoding)
    gray = sizes.get("C", 1) == 1
    try:
        pixels = np.asarray(_fitted(_decoded(path, sizes, gray), sizes, resize))
    except _DAMAGE as error:
        raise SourceError(f"{path.name} cannot be read as an image: {_why(error, path)}", subject=str(path)) from error
    if encoding is Encoding.BGR and not gray:
        pixels = pixels[..., ::-1]
    present = [letter for letter in layout if letter in "HWC" and (letter != "C" or not gray)]
    order = ["HWC".index(letter) for letter in present]
    return np.ascontiguousarray(pixels.transpose(order), dtype).reshape(shape)


def _why(error: Exception, path: Path) -> str:
    """What the library says, without the folders of the machine that it names."""
    if isinstance(error, UnidentifiedImageError):
        return "it is of no known format, or damaged"
    return str(error).replace(str(path), path.name)


def _read_array(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        # Mapping checks the header against the file's length, before memory is taken for what it claims.
        array = np.array(np.lib.format.open_memmap(path, mode="r"))
    except _DAMAGE as error:
        raise SourceError(f"{path.name} cannot be read as an array: {_why(error, path)}", subject=str(path)) from error
    if array.dtype.kind not in "biuf":
        raise SourceError(f"{path.name} holds {array.dtype}, not numbers", subject=str(path))
    if array.shape not in {shape, shape[1:] if shape[0] == 1 else shape}:
        message = f"{path.name} has the shape {array.shape}, but the input's is {shape}"
        raise SpecError(message, subject=str(path), remedy="Save the array as the model's input takes it.")
    return array.reshape(shape)


def _read_raw(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    count = math.prod(shape)
    dtypes = np.dtype(np.uint8), np.dtype(dtype), np.dtype(np.float32)
    kinds: dict[int, np.dtype[Any]] = {count * item.itemsize: item for item in dtypes}
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size in kinds else b""
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}", subject=str(path)) from error
    if len(content) not in kinds:
        wanted = " or ".join(f"{kinds[size]} = {size} bytes" for size in sorted(kinds, reverse=True))
        message = f"{path.name} has {size} bytes, but the input's shape {shape} takes {wanted}"
        raise SpecError(message, subject=str(path), remedy="Save the values alone, in C order, without a header.")
    return np.frombuffer(content, kinds[len(content)]).reshape(shape)


def _cast(array: NDArray[Any], dtype: DTypeLike, path: Path) -> NDArray[Any]:
    """The array in another dtype, if that can hold it."""
    with np.errstate(over="ignore", invalid="ignore"):
        result = np.ascontiguousarray(array, dtype)
    if not np.isfinite(array).all() or not np.isfinite(result).all():
        message = f"{path.name} holds values that are NaN, infinite, or too large for {result.dtype}"
        raise SourceError(message, subject=str(path))
    if result.dtype.kind in "iu" and not np.array_equal(result, array):
        message = f"{path.name} holds values from {array.min()} to {array.max()} that {result.dtype} cannot hold"
        raise SpecError(message, subject=str(path), remedy="Save the array as the model's input takes it.")
    return result


def _image_sizes(shape: tuple[int, ...], layout: str, encoding: Encoding) -> dict[str, int]:
    """The input's size along each letter of its layout, once it is certain that an image fits in."""
    sizes = dict(zip(layout, shape, strict=False))
    wrong = ""
    if len(layout) != len(shape) or len(sizes) != len(shape) or not {"H", "W"} <= sizes.keys() <= set("NCHW"):
        wrong = "is not the layout of an image"
    elif encoding is Encoding.NONE:
        wrong = "is declared not to be an image (encoding NONE)"
    elif sizes.get("N", 1) != 1:
        wrong = "has a batch of more than one"
    elif sizes.get("C", 1) not in ({1} if encoding is Encoding.GRAY else {1, 3}):
        wrong = f"does not have the channels of {encoding}"
    if wrong:
        message = f"an input of shape {shape} and layout {layout!r} takes no image: it {wrong}"
        raise SpecError(message, remedy="Give .npy files of the input's shape, or correct layout and encoding.")
    return sizes


def _decoded(path: Path, sizes: dict[str, int], gray: bool) -> Image.Image:
    """The image upright, in 8 bits, as RGB or gray."""
    with Image.open(path, formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS}")
        # JPEG can be decoded at 1/2, 1/4, 1/8 of its size; twice the size wanted keeps the resizing good.
        side = 2 * max(sizes["H"], sizes["W"])
        image.draft("L" if gray else "RGB", (side, side))
        return _to_8_bit(ImageOps.exif_transpose(image)).convert("L" if gray else "RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """The image in a mode that converts well: Pillow clips 16 bits, and warns of transparent palettes."""
    if image.mode == "F":
        raise ValueError("its pixels are floating point numbers; save it with 8 bits, or as .npy")
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8))
    return image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image


def _fitted(image: Image.Image, sizes: dict[str, int], resize: Resize) -> Image.Image:
    target = sizes["W"], sizes["H"]
    if resize is Resize.STRETCH:
        return image.resize(target, Image.Resampling.BILINEAR)
    if resize is Resize.CROP:
        return image.resize(target, Image.Resampling.BILINEAR, box=_middle(image.size, target))
    inner = _inner(image.size, target)
    canvas = Image.new(image.mode, target)
    corner = (target[0] - inner[0]) // 2, (target[1] - inner[1]) // 2
    canvas.paste(image.resize(inner, Image.Resampling.BILINEAR), corner)
    return canvas


def placed(
    size: tuple[int, int], target: tuple[int, int], resize: Resize
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where an image lies in the input that `read_image` makes of it: factor and offset, across and down.

    Args:
        size: the image's width and height, upright.
        target: the input's.
        resize: how it is brought to size.

    Returns:
        For x and for y, (a, b): what lies at a part p of the image lies at the part a * p + b of the input.
    """
    if resize is Resize.STRETCH:
        return (1.0, 0.0), (1.0, 0.0)
    if resize is Resize.CROP:
        left, top, right, bottom = _middle(size, target)
        across, down = right - left, bottom - top
        return (size[0] / across, -left / across), (size[1] / down, -top / down)
    inner = _inner(size, target)
    sides = zip(inner, target, strict=True)
    (a, b), (c, d) = ((side / whole, (whole - side) // 2 / whole) for side, whole in sides)
    return (a, b), (c, d)


def _inner(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """The size of a whole image within the target."""
    scale = min(target[0] / size[0], target[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _middle(size: tuple[int, int], target: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest middle box of an image that has the target's proportions: left, top, right, bottom."""
    scale = min(size[0] / target[0], size[1] / target[1])
    width, height = min(target[0] * scale, size[0]), min(target[1] * scale, size[1])
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return left, top, left + width, top + height

"""Chooses the samples that a model is measured on, or makes them: the same seed gives the same bytes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.calibration import label_names
from oakmill.errors import SourceError
from oakmill.files import file_sha256
from oakmill.spec import Encoding

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".npy", ".raw"})

_OCTAVES = 6
_SHAPES = 5


@dataclass(frozen=True)
class Samples:
    """Samples in their order, for the recipe; iterating reads them one by one, as often as wanted.

    `source` is the folder or file they come from, or `generated`; `sha256` is over each file's bytes, or over
    the generated tensor's bytes in C order.
    """

    source: str
    names: tuple[str, ...]
    sha256: tuple[str, ...]
    read: Callable[[int], NDArray[Any]] = field(repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.names)

    def head(self, count: int) -> Samples:
        """The first of them."""
        return replace(self, names=self.names[:count], sha256=self.sha256[:count])

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return map(self.read, range(len(self.names)))


def find_images(path: Path) -> tuple[Path, ...]:
    """The images, `.npy` and `.raw` files in a folder and its sub-folders, sorted by name; or the one file given.

    Hidden files and folders are left out, and masks that label.

    Raises:
        SourceError: there is no such path, or no image in it.
    """
    inside = (file for file in path.rglob("*") if _is_visible(file.relative_to(path)))
    files = inside if path.is_dir() else [path]
    found = [file for file in files if file.suffix.lower() in SUFFIXES and file.is_file()]
    if not found:
        what = "holds no image" if path.is_dir() else "is no image" if path.exists() else "does not exist"
        remedy = f"Give a folder of images or arrays, or one of them: {' '.join(sorted(SUFFIXES))}"
        raise SourceError(f"{path.name or path} {what}", subject=str(path), remedy=remedy)
    return tuple(sorted(found, key=Path.as_posix))


def distinct(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The paths without those whose bytes an earlier one has; only files of equal size are read.

    Raises:
        SourceError: a file cannot be read.
    """
    kept = list(paths)
    sizes = Counter(path.stat().st_size for path in kept if path.is_file())
    seen: set[str] = set()
    return tuple(path for path in kept if not path.is_file() or sizes[path.stat().st_size] < 2 or _is_new(path, seen))


def _is_new(path: Path, seen: set[str]) -> bool:
    digest = _file_digest(path)
    known = digest in seen
    seen.add(digest)
    return not known


def draw(paths: Sequence[Path], count: int, seed: int) -> tuple[Path, ...]:
    """Draw at most `count` of the paths, each once; a smaller count gives the beginning of the same order.

    The order depends on the paths' sorted order and the seed alone; numpy has frozen RandomState's stream:
    https://numpy.org/doc/stable/reference/random/legacy.html
    """
    ordered = sorted(paths, key=Path.as_posix)
    return tuple(ordered[index] for index in np.random.RandomState(seed).permutation(len(ordered))[:count])


def from_files(paths: Sequence[Path], source: Path, read: Callable[[Path], NDArray[Any]]) -> Samples:
    """The files as samples, each read when its turn comes.

    Args:
        paths: the files, as `draw` returns them.
        source: the folder or file that `find_images` was given; the names are relative to it.
        read: makes a file the input's tensor: `partial(read_image, shape=..., layout=..., encoding=...)`.

    Raises:
        SourceError: a file cannot be read.
    """

    names = tuple(path.name if path == source else path.relative_to(source).as_posix() for path in paths)
    return Samples(_called(source), names, tuple(map(_file_digest, paths)), lambda index: read(paths[index]))


def _called(source: Path) -> str:
    """A folder's name; of one in which a set keeps its images, the set's."""
    kept = source.name == "files" and any((source.parent / name).is_file() for name in ("set.json", "labels.json"))
    return source.parent.name if kept else source.name


def generated_samples(shape: tuple[int, ...], layout: str, encoding: Encoding, count: int, seed: int) -> Samples:
    """The tensors of `generated` as samples."""
    read = partial(_generate, shape, layout, encoding, seed)
    digests = tuple(hashlib.sha256(read(index).tobytes()).hexdigest() for index in range(count))
    return Samples("generated", tuple(f"generated-{index}" for index in range(count)), digests, read)


def generated(shape: tuple[int, ...], layout: str, encoding: Encoding, count: int, seed: int) -> Iterator[NDArray[Any]]:
    """Make test tensors of float32: images for inputs that take one, plausible numbers for the others.

    Images have whole values 0 to 255 and a natural image's statistics: power that falls with
    frequency, edges, and colours that go together. Other inputs get multiples of 1/256 from 0 to below 1:
    cast to integers they are 0, an index into any table. All is made of integers, so each machine makes
    the same bytes.

    Args:
        shape: of each tensor; a batch of several gets as many images.
        layout: one letter for each dimension; an image has C, H and W.
        encoding: BGR gives the tensor of RGB with its channels reversed; NONE is not an image.
        count: how many; the tensor at an index does not depend on it.
        seed: of the whole series.
    """
    return (_generate(shape, layout, encoding, seed, index) for index in range(count))


def _is_visible(relative: Path) -> bool:
    return not (label_names.is_apart(relative) or any(part.startswith(".") for part in relative.parts))


def _file_digest(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}", subject=str(path)) from error


def _generate(shape: tuple[int, ...], layout: str, encoding: Encoding, seed: int, index: int) -> NDArray[np.float32]:
    random = np.random.RandomState([seed, index])
    if encoding is Encoding.NONE or not set("CHW") <= set(layout) <= set("NCHW"):
        return (random.randint(0, 256, shape) / 256).astype(np.float32)
    sizes = dict(zip(layout, shape, strict=True))
    images = [_image(sizes["H"], sizes["W"], sizes["C"], random) for _ in range(sizes.get("N", 1))]
    batch = np.stack(images)
    if encoding is Encoding.BGR:
        batch = batch[..., ::-1]
    order = ["NHWC".index(letter) for letter in ("" if "N" in layout else "N") + layout]
    return np.ascontiguousarray(batch.transpose(order), np.float32).reshape(shape)


def _image(height: int, width: int, channels: int, random: np.random.RandomState) -> NDArray[np.int64]:
    """An image [height, width, channels] of 0 to 255: coloured shapes on a gradient, all of it textured."""
    texture = _texture(height, width, random)
    left, right, low = random.randint(0, 256, (3, channels))
    x = (np.arange(width, dtype=np.int64) * 256 // width)[None, :, None]
    y = (np.arange(height, dtype=np.int64) * 256 // height)[:, None, None]
    image: NDArray[np.int64] = (left * (256 - x) + right * x) * (512 - y) // 131072 + low * y // 512
    for _ in range(_SHAPES):
        inside = _shape_mask(height, width, random)
        image[inside] = random.randint(0, 256, channels)
    return (image + texture[..., None]).clip(0, 255)


def _texture(height: int, width: int, random: np.random.RandomState) -> NDArray[np.int64]:
    """Noise [height, width] around 0 whose amplitude halves as its frequency doubles, as natural ones do."""
    total: NDArray[np.int64] = np.zeros((height, width), np.int64)
    for octave in range(_OCTAVES):
        cells = 2 << octave
        grid = random.randint(-96 >> octave, (96 >> octave) + 1, (cells + 1, cells + 1))
        total += _enlarged(_enlarged(grid, height).T, width).T
    return total


def _enlarged(grid: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The grid brought to `size` rows, linearly, in fixed point of 8 bits."""
    positions = np.arange(size, dtype=np.int64) * ((len(grid) - 1) * 256) // size
    row, part = positions >> 8, (positions & 255)[:, None]
    rows: NDArray[np.int64] = (grid[row] * (256 - part) + grid[row + 1] * part) >> 8
    return rows


def _shape_mask(height: int, width: int, random: np.random.RandomState) -> NDArray[np.bool_]:
    """Where an ellipse or rectangle lies in [height, width]."""
    top, left = random.randint(0, height), random.randint(0, width)
    tall, wide = random.randint(1, height // 3 + 2), random.randint(1, width // 3 + 2)
    dy = np.abs(np.arange(height, dtype=np.int64) - top)[:, None]
    dx = np.abs(np.arange(width, dtype=np.int64) - left)[None, :]
    rectangle: NDArray[np.bool_] = (dy < tall) & (dx < wide)
    ellipse: NDArray[np.bool_] = (dy * wide) ** 2 + (dx * tall) ** 2 < (tall * wide) ** 2
    return rectangle if random.randint(2) else ellipse

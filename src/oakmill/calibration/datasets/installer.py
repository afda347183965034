"""Installs a named set: fetched or generated; it goes on where it was stopped, and is complete or not there."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from threading import Event

import numpy as np
from PIL import Image

from oakmill.calibration.datasets import open_images, starter, store
from oakmill.calibration.datasets.catalog import SEED, SETS, NamedSet
from oakmill.calibration.datasets.fetch import FetchFailed, Limits, NotThere, fetch
from oakmill.calibration.datasets.files import problem
from oakmill.calibration.datasets.open_images import Photo
from oakmill.calibration.datasets.store import FileRecord, Progress, SetRecord, Watcher, ignore
from oakmill.files import file_sha256, remove
from oakmill.settings import Settings

THREADS = 8
ANNOTATION_BYTES = 512 << 20  # the largest, boxes of the test split, has 74 MB
ANNOTATION_SECONDS = 3600.0
IMAGE_BYTES = 32 << 20  # they have 300 kB on average
IMAGE_SECONDS = 120.0
MAX_REPLACED = 64  # of 1,024: with more than this, it is not single images that are missing
RANDOM_SIDE = 256  # pixels

ELSEWHERE = (
    "Check the connection (HTTPS_PROXY behind a proxy), then run the same command again: what is here stays. "
    "Without a network: bring images from elsewhere and `oakmill datasets add NAME FOLDER`."
)

_JOURNAL = "journal.jsonl"
_ANNOTATIONS = ".open-images"


@dataclass(frozen=True)
class Replaced:
    """An image that could not be had, so that the next one in the order took its place."""

    name: str
    why: str


def install(name: str, settings: Settings, watch: Watcher = ignore) -> SetRecord:
    """Install a named set, or finish one that was begun; a set that is whole stays as it is.

    The set is the first `count` images that can be had, in the seeded order of all that fit. Each is decoded
    before it counts. Files of an earlier, unfinished try are kept if they still have their recorded sha256.
    The images' bytes stay as published: at most 1024 pixels wide and high, so there is nothing to gain by
    making them smaller, and their digests can be compared.

    Raises:
        UnknownSet: there is no named set of that name.
        FetchFailed: Open Images cannot be reached, or does not give what it should.
        OutputError: the set cannot be written.
    """
    if name not in SETS:
        raise store.unknown(name, settings)
    with store.alone(name, settings, watch):
        folder = store.folder_of(name, settings)
        if folder.exists():
            there = _whole(name, settings, watch)
            if there:
                return there
            _begin_again(folder, store.half_done(name, settings))
        work = _Work(SETS[name], store.half_done(name, settings), settings, watch)
        record = work.made()
        (work.folder / _JOURNAL).unlink(missing_ok=True)
        store.write(record, work.folder)
        store.place(work.folder, name, settings)
    return record


def _whole(name: str, settings: Settings, watch: Watcher) -> SetRecord | None:
    """The set that is installed, if every file has the digest that is on record."""
    try:
        record = store.load(name, settings)
    except store.SetDamaged:
        return None
    files = store.folder_of(name, settings) / store.FILES
    for done, item in enumerate(record.files if record else (), 1):
        watch(Progress("checking", done, len(record.files) if record else 0))
        if file_sha256(files / item.name) != item.sha256:
            return None
    return record


def _begin_again(folder: Path, half_done: Path) -> None:
    """Make a damaged set an unfinished one, so that only what is wrong is fetched again."""
    shutil.rmtree(half_done, ignore_errors=True)
    try:
        lines = [json.dumps(asdict(item)) for item in store.read(folder).files]
    except store.SetDamaged:
        lines = []
    (folder / _JOURNAL).write_text("".join(f"{line}\n" for line in lines))
    (folder / store.RECORD).unlink(missing_ok=True)
    folder.rename(half_done)


class _Work:
    """A set on its way: its folder, with a journal of the files that are finished."""

    def __init__(self, wanted: NamedSet, folder: Path, settings: Settings, watch: Watcher) -> None:
        self.wanted = wanted
        self.folder = folder
        self.settings = settings
        self.watch = watch
        self.files = folder / store.FILES
        self.files.mkdir(parents=True, exist_ok=True)
        self._sources: dict[str, str] = {}

    def made(self) -> SetRecord:
        """The set, by what it is drawn from."""
        makers = {"generated": self.generate, "packages": self.crop}
        return makers.get(self.wanted.origin, self.collect)()

    def crop(self) -> SetRecord:
        """The set of crops of photos that packages carry."""
        records = []
        with _remedied():
            for path, photo in starter.write(self.files, self.settings, self.watch):
                source = {**asdict(photo), "changes": "cropped, mirrored, brightened or darkened"}
                records.append(FileRecord(path.name, file_sha256(path), path.stat().st_size, source))
        self._remove_all_but(records)
        licences = "; ".join(sorted({f"{photo.name}: {photo.by}, {photo.licence}" for photo in starter.PHOTOS}))
        about: dict[str, object] = {"source": "photos in packages on PyPI", "seed": SEED, "licence": licences}
        return self._record(records, about)

    def generate(self) -> SetRecord:
        """The set of random pixels: 8-bit RGB, each value equally likely, each image with its own seed."""
        records = []
        for index in range(self.wanted.count):
            self.watch(Progress("generating", index + 1, self.wanted.count))
            path = self.files / f"{index:04}.png"
            path.write_bytes(_noise(index))
            records.append(FileRecord(path.name, file_sha256(path), path.stat().st_size))
        self._remove_all_but(records)
        return self._record(records, {"source": "generated", "seed": SEED, "pixels": RANDOM_SIDE})

    def collect(self) -> SetRecord:
        """The set of photos."""
        with _remedied():
            photos = self._candidates()
            chosen, replaced = self._take(photos)
        self._remove_all_but(chosen)
        about: dict[str, object] = {
            "source": self.settings.datasets_source,
            "pictures": self.settings.datasets_pictures,
            "annotations": self._sources,
            "seed": SEED,
            "candidates": len(photos),
            "classes": list(self.wanted.classes),
            "replaced": [asdict(item) for item in replaced],
            "licence": open_images.LICENCE_NOTE,
        }
        return self._record(chosen, about)

    def _candidates(self) -> tuple[Photo, ...]:
        try:
            return open_images.candidates(self.wanted, self._annotation)
        except open_images.AnnotationsUnusable as error:
            Path(error.subject).unlink(missing_ok=True)  # else it would be read again at the next try
            raise

    def _record(self, files: Sequence[FileRecord], about: dict[str, object]) -> SetRecord:
        made = {"installed": datetime.now(UTC).isoformat(timespec="seconds"), **about}
        wanted = self.wanted
        return SetRecord(wanted.name, "named", wanted.description, tuple(files), wanted.note, made)

    def _annotation(self, name: str) -> Path:
        """A file that Open Images published; kept for other sets."""
        path = self.settings.datasets.absolute() / _ANNOTATIONS / name
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.watch(Progress(what := f"fetching {path.name}"))
            url = f"{self.settings.datasets_source.rstrip('/')}/{name}"

            def tell(done: int, total: int) -> None:
                self.watch(Progress(what, round(done / 1e6), round(total / 1e6), "MB"))

            fetch(url, path, Limits(ANNOTATION_BYTES, ANNOTATION_SECONDS, tell=tell))
        self.watch(Progress(f"reading {path.name}"))
        self._sources[name] = file_sha256(path)
        return path

    def _take(self, photos: Sequence[Photo]) -> tuple[list[FileRecord], list[Replaced]]:
        """The first images that can be had, in order; wave by wave, each as large as what is still missing."""
        known = self._finished()
        had: dict[str, FileRecord] = {}
        replaced: list[Replaced] = []
        queue = iter(photos)
        while len(had) < self.wanted.count:
            wave = list(islice(queue, self.wanted.count - len(had)))
            if not wave:
                raise FetchFailed(f"{len(had)} of {self.wanted.count} images for {self.wanted.name} can be had")
            got, lost = self._wave(wave, known, len(had), len(replaced))
            had |= got
            replaced += lost
        return [had[photo.id] for photo in photos if photo.id in had], replaced

    def _wave(
        self, photos: Sequence[Photo], known: dict[str, FileRecord], before: int, lost_before: int
    ) -> tuple[dict[str, FileRecord], list[Replaced]]:
        had = {photo.id: known[photo.id] for photo in photos if photo.id in known}
        lost: dict[str, Replaced] = {}
        with (self.folder / _JOURNAL).open("a") as journal:
            for photo, result in self._fetched([photo for photo in photos if photo.id not in known]):
                if isinstance(result, Replaced):
                    lost[photo.id] = result
                else:
                    had[photo.id] = result
                    journal.write(json.dumps(asdict(result)) + "\n")
                    journal.flush()
                self.watch(Progress("fetching images", before + len(had), self.wanted.count))
                if lost_before + len(lost) > MAX_REPLACED:
                    message = f"more than {MAX_REPLACED} images cannot be had: {_first_why(lost)}"
                    raise FetchFailed(message, subject=self.settings.datasets_pictures)
        return had, [lost[photo.id] for photo in photos if photo.id in lost]

    def _fetched(self, photos: Sequence[Photo]) -> Iterator[tuple[Photo, FileRecord | Replaced]]:
        """Fetch side by side; each result as it comes. What has not begun is dropped when the caller stops."""
        stop = Event()
        with ThreadPoolExecutor(THREADS) as pool:
            running: dict[Future[FileRecord | Replaced], Photo] = {}
            queue = iter(photos)
            try:
                while True:
                    for photo in islice(queue, 2 * THREADS - len(running)):
                        running[pool.submit(self._fetch, photo, stop)] = photo
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        yield running.pop(future), future.result()
            finally:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)

    def _fetch(self, photo: Photo, stop: Event) -> FileRecord | Replaced:
        url = f"{self.settings.datasets_pictures.rstrip('/')}/{photo.key}"
        path = self.files / f"{photo.id}.jpg"
        try:
            sha256 = fetch(url, path, Limits(IMAGE_BYTES, IMAGE_SECONDS, stop))
        except NotThere as error:
            return Replaced(photo.key, error.message)
        why = problem(path)
        if why:
            path.unlink()
            return Replaced(photo.key, f"{url} {why}")
        source = {**{key: value for key, value in asdict(photo).items() if key != "id"}, "url": url}
        return FileRecord(path.name, sha256, path.stat().st_size, source)

    def _finished(self) -> dict[str, FileRecord]:
        """The images of an earlier try that are there and have their recorded digest, by id."""
        found = {}
        for line in self._journal_lines():
            try:
                record = FileRecord(**json.loads(line))
                path = self.files / Path(record.name).name
                if file_sha256(path) == record.sha256:
                    found[path.stem] = record
            except (ValueError, TypeError, OSError):
                continue  # cut off by the crash, or gone: it is fetched again
        return found

    def _journal_lines(self) -> list[str]:
        path = self.folder / _JOURNAL
        return path.read_text(errors="replace").splitlines() if path.is_file() else []

    def _remove_all_but(self, records: Sequence[FileRecord]) -> None:
        names = {record.name for record in records}
        for path in list(self.files.iterdir()):
            if path.name not in names:
                remove(path)  # a killed fetch left a folder


def _first_why(lost: dict[str, Replaced]) -> str:
    """The first of the images that were lost, in words."""
    return next(iter(lost.values())).why


@contextmanager
def _remedied() -> Iterator[None]:
    """Give an error of the network its next step."""
    try:
        yield
    except FetchFailed as error:
        error.remedy = error.remedy or ELSEWHERE
        raise


def _noise(index: int) -> bytes:
    """A PNG of random pixels; numpy has frozen RandomState's stream."""
    pixels = np.random.RandomState([SEED, index]).randint(0, 256, (RANDOM_SIDE, RANDOM_SIDE, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)  # noise does not shrink
    return buffer.getvalue()

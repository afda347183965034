"""Open Images on this machine: a real HTTP server with files of the same form, for tests; its pictures are drawn."""

from __future__ import annotations

import hashlib
import io
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

from oakmill.calibration.datasets.catalog import SETS

BOX_HEADER = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)
PICTURE_HEADER = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,OriginalSize,OriginalMD5,"
    "Thumbnail300KURL,Rotation"
)
OTHERS = ("Person", "Tree", "Clothing")
NAMES = sorted({name for item in SETS.values() for name in item.classes} | set(OTHERS))
LABELS = {name: f"/m/0{index:04x}" for index, name in enumerate(NAMES)}
BY = "https://creativecommons.org/licenses/by/2.0/"


def image_id(index: int, split: str = "validation") -> str:
    return hashlib.sha256(f"{split}{index}".encode()).hexdigest()[:16]


def jpeg(identifier: str) -> bytes:
    """A small picture of its own for each identifier: soft colours with some detail."""
    random = np.random.RandomState(int(identifier[:8], 16))
    small = random.randint(0, 256, (6, 8, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


@dataclass
class OpenImages:
    """What the server has, and what it was asked for.

    `faults` answers a path otherwise: `404`, `503` (once), `cut` (once), `html`, `slow`, `redirect-file`.
    """

    files: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    delay: float = 0.0
    url: str = ""

    def pictures_asked(self) -> int:
        return sum(count for path, count in self.asked.items() if path.endswith(".jpg"))


def published(validation: int, test: int = 0, **boxes: int) -> dict[str, str]:
    """The files that are published, with so many pictures; `boxes` of them, from the first on, show a class.

    Beside each such box lies one of another class. Every 50th picture lies on its side, every 51st is a drawing.
    """
    files = {"v7/oidv7-class-descriptions-boxable.csv": "LabelName,DisplayName\n" + "".join(
        f"{label},{name}\n" for name, label in LABELS.items()
    )}  # fmt: skip
    for split, count in (("validation", validation), ("test", test)):
        ids = [image_id(index, split) for index in range(count)]
        files[f"v5/{split}-annotations-bbox.csv"] = "\n".join([BOX_HEADER, *_boxes(ids, boxes)]) + "\n"
        files[f"2018_04/{split}/{split}-images-with-rotation.csv"] = "\n".join(
            [PICTURE_HEADER, *(_picture(item, index, split) for index, item in enumerate(ids))]
        ) + "\n"  # fmt: skip
    return files


def _boxes(ids: list[str], boxes: dict[str, int]) -> Iterator[str]:
    for index, identifier in enumerate(ids):
        drawing = int(index % 51 == 50)
        yield f"{identifier},xclick,{LABELS['Person']},1,0.022673031,0.9642005,0.07103825,0.80054647,0,0,0,0,0"
        for name, count in boxes.items():
            if index < count:
                label = LABELS[name.replace("_", " ")]
                yield f"{identifier},xclick,{label},1,0.45655376,0.6097202,0.20399113,0.50554323,0,0,1,{drawing},0"


def _picture(identifier: str, index: int, split: str) -> str:
    rotation = ("0.0", "", "0.0", "0.0")[index % 4] if index % 50 != 49 else "90.0"
    owner = f"https://www.flickr.com/people/{index % 7}/"
    landing = f"https://www.flickr.com/photos/{index % 7}/{index}"
    original = f"https://farm2.staticflickr.com/5612/{index}_o.jpg"
    title = '"A title, with a comma and ""quotes"""'
    author = f"Zoë N. {index % 7}"
    return f"{identifier},{split},{original},{landing},{BY},{owner},{author},{title},242145,0jBpbNION09==,,{rotation}"


class _Handler(BaseHTTPRequestHandler):
    here: OpenImages
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.lstrip("/")
        self.here.asked[path] += 1
        fault = self.here.faults.get(path, "")
        if path.endswith(".jpg"):
            time.sleep(self.here.delay)
        if fault in ("503", "cut"):
            del self.here.faults[path]
        if fault.isdigit():
            self._answer(int(fault), b"no")
        elif fault == "html":
            self._answer(200, b"<html>Please log in to this network</html>")
        elif fault.startswith("redirect "):
            self._answer(302, b"", fault.partition(" ")[2])
        else:
            self._content(path, fault == "cut")

    def _content(self, path: str, cut: bool) -> None:
        picture = re.fullmatch(r"(?:validation|test)/([0-9a-f]{16})\.jpg", path)
        data = jpeg(picture[1]) if picture else self.here.files.get(path, "").encode()
        if not data:
            self._answer(404, b"no such file")
        elif cut:
            self.close_connection = True
            self._answer(200, data[: len(data) // 2], length=len(data))
        else:
            self._answer(200, data)

    def _answer(self, code: int, data: bytes, location: str = "", length: int | None = None) -> None:
        self.send_response(code)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        try:
            self.wfile.write(data)
        except OSError:
            self.close_connection = True  # the client is gone

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(here: OpenImages) -> Iterator[OpenImages]:
    """Serve on a port of the loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"here": here}))
    here.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

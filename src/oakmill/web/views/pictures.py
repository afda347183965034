"""The images of a passport, each at an address of its own that browsers keep for good; unpacked once."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from oakmill.conversion.passport.page import Address
from oakmill.conversion.passport.report import Passport
from oakmill.errors import NotFound
from oakmill.hub.state import Hub
from oakmill.registry.tables import Instance, InstanceFile
from oakmill.web import cache
from oakmill.web.views import documents

MOST = 256
"""Passports whose images are kept unpacked; the one that was unpacked first goes first."""
IMAGES = 1000
"""Of one passport: more are no passport of ours."""
_URL = re.compile(r"data:image/(png|jpeg);base64,([A-Za-z0-9+/=]+)")
KINDS = {b"\x89P": "image/png", b"\xff\xd8": "image/jpeg"}


def addresses(at: Hub, row: Instance, file: InstanceFile, passport: Passport) -> Address:
    """Where the images of a passport are, by their names; they are unpacked on the way."""
    folder = _folder(at, file)
    if not folder.is_dir():
        _unpack(folder, passport.thumbnails)
    numbers = {name: number for number, name in enumerate(passport.thumbnails)}
    return lambda name: f"/instances/{row.id}/pictures/{file.sha256[:16]}/{numbers[name]}"


def image(at: Hub, file: InstanceFile, number: int) -> bytes:
    """The image of that number.

    Raises:
        NotFound: the passport has no such image.
    """
    folder = _folder(at, file)
    if not folder.is_dir():
        found = documents.json_of(at, file).get("thumbnails")
        _unpack(folder, found if isinstance(found, dict) else {})
    try:
        return (folder / str(number)).read_bytes()
    except FileNotFoundError:
        raise NotFound(f"The passport has no image {number}.", subject=str(number)) from None


def kind_of(data: bytes) -> str:
    """The media type of an image of a passport's."""
    return KINDS.get(data[:2], "application/octet-stream")


def _folder(at: Hub, file: InstanceFile) -> Path:
    return at.settings.hub.absolute() / "pictures" / file.sha256


def _unpack(folder: Path, thumbnails: Mapping[str, Any]) -> None:
    with cache.making(folder, MOST) as made:
        for number, url in enumerate(islice(thumbnails.values(), IMAGES)):
            if data := _bytes(url):
                (made / str(number)).write_bytes(data)


def _bytes(url: Any) -> bytes:
    """What a data URL holds; nothing of one that is none of ours."""
    found = _URL.fullmatch(url) if isinstance(url, str) else None
    try:
        return base64.b64decode(found[2], validate=True) if found else b""
    except binascii.Error:
        return b""

"""Signs what the hub hands out and gets back: download links and web sessions, which expire and cannot be forged."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from oakmill.errors import NotFound
from oakmill.files import sync

_MAC_BYTES = 32
LONGEST = 4000
SECRET_BYTES = 32


def read_secret(path: Path) -> bytes:
    """What links and sessions are signed with; made when it is not there, by whichever process comes first."""
    with suppress(FileNotFoundError):
        return path.read_bytes()
    draft = path.with_name(f".secret-{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(SECRET_BYTES))
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
    sync(path.parent)
    return path.read_bytes()


def sign(secret: bytes, purpose: str, claims: Mapping[str, Any], *, seconds: float) -> str:
    """A token that says `claims` to who knows the secret, for that purpose and that time only."""
    body = json.dumps({**claims, "until": int(time.time() + seconds)}, separators=(",", ":")).encode()
    return _encode(_mac(secret, purpose, body) + body)


def read(secret: bytes, purpose: str, token: str) -> dict[str, Any]:
    """What a token says.

    Raises:
        NotFound: it is not one of ours, is for another purpose, or has expired; which of them is not told.
    """
    raw = _decode(token)
    mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(secret, purpose, body)):
        raise expired()
    claims: dict[str, Any] = json.loads(body)  # ours: the signature fits
    if claims["until"] < time.time():
        raise expired()
    return claims


def expired() -> NotFound:
    """The error for a link that does not work."""
    return NotFound("This link does not work, or no more.", remedy="Ask the hub for a new link.")


def quoted(name: str) -> str:
    """A name as it stands in an address or a header."""
    return quote(name, safe="")


def _mac(secret: bytes, purpose: str, body: bytes) -> bytes:
    return hmac.new(secret, purpose.encode() + b"\0" + body, hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(token: str) -> bytes:
    try:
        if len(token) <= LONGEST:
            return base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
    except ValueError:  # not base64, or not ASCII
        pass
    raise expired()

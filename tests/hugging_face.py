"""Hugging Face on this machine: a real HTTP server that answers its own library as its API does; and faults."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

COMMIT = "5f2b" * 10
TOKEN = "hf_right"
_INFO = re.compile(r"/api/models/([^/]+/[^/?]+)(/revision/([^?]+))?(\?.*)?")
_FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/([^?]+)(\?.*)?")
_CDN = re.compile(r"/cdn/([^?]+)")


@dataclass
class Repository:
    """A repository: its files, and which of them are large (LFS); whom it opens itself to."""

    files: dict[str, bytes]
    large: tuple[str, ...] = ()
    licence: str = "apache-2.0"
    gated: bool = False
    private: bool = False


@dataclass
class HuggingFace:
    """What the server has, and what it was asked for.

    `faults` answers a file otherwise: `cut` (once, in the middle), `broken` (each time, at its start), `changed` (other
    bytes of that size), `short`, `huge` (its size is told as 900 GB), or a whole address that it redirects to.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)
    url: str = ""

    def file(self, name: str) -> bytes:
        return next(item.files[name] for item in self.repositories.values() if name in item.files)


def _sibling(there: HuggingFace, repository: Repository, name: str) -> dict[str, Any]:
    data = repository.files[name]
    size = 900 * 10**9 if there.faults.get(name) == "huge" else len(data)
    found: dict[str, Any] = {"rfilename": name, "size": size, "blobId": _git(data)}
    if name in repository.large:
        found["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": size, "pointerSize": 134}
    return found


def _git(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    there: HuggingFace

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(self.path)
        self.there.asked[f"{self.command} {path.partition('?')[0]}"] += 1
        if found := _CDN.fullmatch(path):
            self._bytes(found[1])
            return
        if found := _INFO.fullmatch(path):
            self._info(found[1], found[3])
            return
        if found := _FILE.fullmatch(path):
            self._resolve(found[1], found[2], found[3])
            return
        self._say(404, {"error": "Not Found"})

    def _say(self, status: int, words: Any, **headers: str) -> None:
        data = json.dumps(words).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _opened(self, name: str, *, file: bool) -> Repository | None:
        """The repository, where the token opens it."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.there.keys.add(token)
        if token and token != TOKEN:
            self._refuse(401, "Invalid credentials in Authorization header")
            return None
        found = self.there.repositories.get(name)
        if found is None or (found.private and not token):
            self._refuse(401, "Invalid username or password.", code="RepoNotFound")
            return None
        if file and found.gated and not token:
            self._refuse(401, f"Access to model {name} is restricted.", code="GatedRepo")
            return None
        return found

    def _refuse(self, status: int, message: str, code: str = "") -> None:
        headers = {"X_Error_Message": message, **({"X_Error_Code": code} if code else {})}
        self._say(status, {"error": message}, **headers)

    def _info(self, name: str, revision: str | None) -> None:
        found = self._opened(name, file=False)
        if found is None:
            return
        if revision not in (None, "main", COMMIT):
            self._refuse(404, f"Invalid rev id: {revision}", code="RevisionNotFound")
            return
        siblings = [_sibling(self.there, found, file) for file in found.files]
        card = {"license": found.licence} if found.licence else {}
        about = {"id": name, "sha": COMMIT, "private": found.private, "gated": "auto" if found.gated else False}
        self._say(200, {**about, "cardData": card, "siblings": siblings, "tags": [], "downloads": 0, "likes": 0})

    def _resolve(self, name: str, revision: str, file: str) -> None:
        found = self._opened(name, file=True)
        if found is None:
            return
        if file not in found.files:
            self._refuse(404, "Entry not found", code="EntryNotFound")
            return
        data, fault = found.files[file], self.there.faults.get(file, "")
        large = file in found.large
        etag = hashlib.sha256(data).hexdigest() if large else _git(data)
        where = fault if "://" in fault else f"{self.there.url.replace('127.0.0.1', 'localhost')}/cdn/{file}"
        more = {"X_Repo_Commit": COMMIT, "ETag": f'"{etag}"', "Location": where}
        if large:
            more |= {"X_Linked_ETag": f'"{etag}"', "X_Linked_Size": str(len(data))}
        self._say(302, {}, **more)

    def _bytes(self, file: str) -> None:
        """As the place that large files lie at: no token comes there."""
        data, fault = self.there.file(file), self.there.faults.get(file, "")
        if fault == "changed":
            data = bytes(reversed(data))
        start = int((re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0, 0])[1])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault in ("cut", "broken"):
            if fault == "cut":
                del self.there.faults[file]
            self.wfile.write(data[start : start + (len(data) // 2 if fault == "cut" else 0)])
            self.close_connection = True
            self.wfile.flush()
            self.connection.close()
            return
        self.wfile.write(data[start:])


@contextmanager
def serving(there: HuggingFace) -> Iterator[HuggingFace]:
    """The server, for the time of the block."""
    handler = type("Handler", (_Handler,), {"there": there})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    there.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield there
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

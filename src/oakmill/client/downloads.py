"""Fetches files from a hub: resumed by Range, checked by sha256, and there under their name only when complete.

What a break or a crash leaves is a file `.oakmill-<sha256>.part` beside the target, from which the next try goes on.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from oakmill.client.connection import Connection, checked
from oakmill.client.problems import unreachable
from oakmill.client.uploads import Progress, unwatched
from oakmill.errors import HashMismatch, HubUnreachable, NotFound, OutputError, OutputExists, Unavailable
from oakmill.files import file_sha256
from oakmill.hub.wire import File

PIECE = 1 << 20

FreshLink = Callable[[], str]
"""Asks for a link to the file's bytes."""


def fetch(
    connection: Connection,
    file: File,
    link: FreshLink,
    target: Path,
    *,
    overwrite: bool = False,
    progress: Progress = unwatched,
    headers: Mapping[str, str] | None = None,
) -> Path:
    """Bring a file to `target`; one that is there with these bytes already is left as it is.

    `headers` go with each request, where the link alone opens nothing.

    Raises:
        OutputExists: another file is there already, or another process is fetching this one.
        OutputError: the folder cannot be written.
        HashMismatch: what came is not what the hub says it is.
        HubUnreachable: the connection broke again and again.
        NotFound: the file is gone.
    """
    if target.exists() and file_sha256(target) == file.sha256:
        return target
    if target.exists() and not overwrite:
        raise OutputExists(
            f"{target} is there already, with other bytes.",
            subject=str(target),
            remedy="Use --overwrite, or another -o.",
        )
    part = target.with_name(f".oakmill-{file.sha256[:32]}.part")
    with _writing(part, target) as output:
        _receive(connection, file, link, output, progress, headers or {})
        output.flush()
        os.fsync(output.fileno())
        _check(file, part)
        part.replace(target)
    return target


def _receive(
    connection: Connection, file: File, link: FreshLink, output: BinaryIO, progress: Progress, own: Mapping[str, str]
) -> None:
    patience, url, fresh = connection.patient(), link(), True
    while (offset := output.seek(0, os.SEEK_END)) < file.size:
        try:
            _append(connection, url, offset, file, output, progress, own)
        except (HubUnreachable, Unavailable) as error:
            if output.tell() > offset:
                patience.renew()
            patience.rest(error)
            fresh = False
        except NotFound:
            if fresh:
                raise
            url, fresh = link(), True  # the old one has expired


def _append(
    connection: Connection, url: str, offset: int, file: File, output: BinaryIO, progress: Progress,
    own: Mapping[str, str],
) -> None:  # fmt: skip
    headers = {**own, "Range": f"bytes={offset}-", "If-Range": f'"{file.sha256}"', "Accept-Encoding": "identity"}
    with connection.reaching(), connection.http.stream("GET", url, headers=headers) as answer:
        checked(answer, url)
        if answer.status_code != 206:  # from the start after all
            offset = 0
            output.truncate(0)
            output.seek(0)
        for piece in answer.iter_bytes(PIECE):
            output.write(piece)
            offset += len(piece)
            progress(offset, file.size)
    if offset < file.size:
        raise unreachable(connection.url, f"the connection ended at byte {offset} of {file.size}")


def on_hub(connection: Connection, url: str) -> str:
    """A link as this client reaches the hub, which may be by another name than the hub's own."""
    parts = urlsplit(url)
    mark = parts.path.find("/api/v1/")
    return f"{connection.url}{parts.path[mark:]}" if mark >= 0 else url


@contextmanager
def _writing(part: Path, target: Path) -> Iterator[BinaryIO]:
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as output:
            _take(output, target)
            yield output
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror}", subject=str(target)) from error


def _take(output: BinaryIO, target: Path) -> None:
    try:
        fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputExists(f"Another process is fetching {target.name}.", subject=str(target)) from None


def _check(file: File, part: Path) -> None:
    found = file_sha256(part)
    if found != file.sha256:
        part.unlink()
        raise HashMismatch(
            f"{file.name} did not come as the hub has it: sha256 {found}, not {file.sha256}",
            subject=file.name,
            remedy="Fetch it again; it was removed.",
        )

"""Bundles of models, from a hub to a file and from a file to a hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from oakmill.client.connection import API, Connection, checked
from oakmill.client.uploads import Progress, Uploads, unwatched
from oakmill.errors import SourceError
from oakmill.hub.wire_bundle import BundlePreview, BundleTaken
from oakmill.spec import bundle_file
from oakmill.spec.bundle import Manifest
from oakmill.spec.bundle_file import Write

PIECE = 1 << 20
_TAKING = httpx.Timeout(3600, connect=10)
"""The hub looks at each model, and copies all files."""


class Bundles:
    """Bundles. Methods raise as those of `Models` do."""

    def __init__(self, connection: Connection, uploads: Uploads) -> None:
        self._connection, self._uploads = connection, uploads

    def make(
        self, models: Sequence[str], target: Path, *, with_datasets: bool = False, overwrite: bool = False,
        progress: Progress = unwatched,
    ) -> tuple[Manifest, str]:  # fmt: skip
        """Write a bundle of models, each as `[team/]model`, and read it again; its manifest and that one's sha256.

        Raises:
            OutputExists: there is a file of that name.
            OutputError: it cannot be written.
            BadBundle, HashMismatch: what came is not whole.
        """
        return bundle_file.written(
            target, lambda write: self._fetch(models, with_datasets, write, progress), overwrite=overwrite
        )

    def send(self, path: Path, *, expected: str | None = None, progress: Progress = unwatched) -> BundlePreview:
        """Upload a bundle, once it is seen to be whole; what it would bring.

        Raises:
            BadBundle, UnsafeSource, HashMismatch: it is none, or not the `expected` one.
            TooLarge: the hub, the team's quota or the disk has no room for it.
        """
        if not path.is_file():
            raise SourceError(
                f"There is no file {path}.", subject=str(path), remedy="Name what `oakmill bundle` wrote."
            )
        bundle_file.verify(path, expected)
        done = self._uploads.file(path, {"kind": "bundle"}, progress=progress)
        return BundlePreview.model_validate(self._connection.get(f"/bundles/{done.upload_id}"))

    def take(self, upload_id: str, *, names: Mapping[str, str] | None = None, only: Sequence[str] = ()) -> BundleTaken:
        """Take in an uploaded bundle, or what is missing of it.

        Raises:
            Conflict: the name of a model is another's; nothing has come in.
        """
        body = {"names": dict(names or {}), "only": list(only)}
        answer = self._connection.ask("POST", f"/bundles/{upload_id}/take", json=body, timeout=_TAKING)
        return BundleTaken.model_validate(answer)

    def _fetch(self, models: Sequence[str], with_datasets: bool, write: Write, progress: Progress) -> None:
        connection, done = self._connection, 0
        query: list[tuple[str, str | int | float | bool | None]] = [("model", model) for model in models]
        query.append(("with_datasets", with_datasets))
        url = f"{connection.url}{API}/bundle"
        headers = {**connection.authorization, "Accept-Encoding": "identity"}
        with connection.reaching(), connection.http.stream("GET", url, params=query, headers=headers) as answer:
            for piece in checked(answer, connection.url).iter_bytes(PIECE):
                write(piece)
                done += len(piece)
                progress(done, done)  # how many there are is not known

"""Holds the database's rows against the store's bytes: what rows name and the store has not, or has otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select

from oakmill.errors import BlobDamaged
from oakmill.storage import naming
from oakmill.storage.blobs import SHA256, BlobStore
from oakmill.storage.database import Database
from oakmill.storage.tables import Blob


@dataclass(frozen=True)
class Comparison:
    """Blobs by their sha256: those that are named and not there, those that are there and not as they were stored.

    `unnamed` are bytes that no row names: the sweep frees them a day after they came.
    """

    named: int
    missing: tuple[str, ...]
    damaged: tuple[str, ...]
    unnamed: int
    unnamed_size: int

    def require(self) -> None:
        """That all which rows name is there.

        Raises:
            BlobDamaged: it is not.
        """
        lost = [*self.missing, *self.damaged]
        if lost:
            raise BlobDamaged(
                f"Of {self.named} files that the hub's rows name, {len(self.missing)} are not in the store and "
                f"{len(self.damaged)} are not what was stored; the first is {lost[0]}",
                subject=lost[0],
                remedy="Check the disk. Put the files back from a backup (blobs/ab/cd/<sha256>); what cannot be had "
                "any more is to be uploaded or converted again.",
            )


def compare(db: Database, store: BlobStore, *, read: bool = False) -> Comparison:
    """Compare; with `read` each blob is read whole, and its sha256 taken anew. What comes meanwhile does no harm.

    Raises:
        StoreUnreachable: the bucket does not answer.
    """
    listed = {stored.sha256: stored.size for stored, _ in store.listed()}
    with db.reading() as session:
        named = {sha256 for sha256 in naming.named(session) if sha256 and SHA256.fullmatch(sha256)}
        sizes = dict(session.execute(select(Blob.sha256, Blob.size)).all())
    missing = [sha256 for sha256 in sorted(named) if sha256 not in listed and not store.has(sha256)]
    there = sorted(named - set(missing))
    damaged = [sha256 for sha256 in there if listed.get(sha256, sizes.get(sha256)) != sizes.get(sha256)]
    if read:
        damaged = sorted({*damaged, *_changed(store, there)})
    unnamed = listed.keys() - named
    return Comparison(
        len(named), tuple(missing), tuple(damaged), len(unnamed), sum(listed[sha256] for sha256 in unnamed)
    )


def _changed(store: BlobStore, blobs: list[str]) -> Iterator[str]:
    for sha256 in blobs:
        try:
            store.check(sha256)
        except BlobDamaged:
            yield sha256

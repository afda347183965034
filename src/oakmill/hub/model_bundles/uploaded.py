"""Bundles that were uploaded: what one would bring, and taking it in, whichever face asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from sqlalchemy.orm import Session

from oakmill.errors import Conflict, NotFound
from oakmill.hub import visibility
from oakmill.hub.model_bundles import taking
from oakmill.hub.state import Hub
from oakmill.hub.wire_bundle import BundlePreview, BundleTaken
from oakmill.registry.callers import Caller
from oakmill.spec.bundle_file import Bundle, opened
from oakmill.storage.tables import Upload, UploadStatus

WHOLE, BEGUN = "bundle", "bundle begun"
"""Purposes of an upload: a bundle that has come whole, and one that is being taken in, or was when the hub ended."""


def preview(session: Session, caller: Caller, at: Hub, upload_id: str) -> BundlePreview:
    """What it would bring.

    Raises:
        NotFound: there is no such upload of the caller's.
        Conflict: it is no bundle, or has not come whole.
        NoKey, Forbidden, SpecError, BadBundle: as `taking.preview`.
    """
    with _lying(at, _row(session, caller, upload_id)) as bundle:
        return taking.preview(session, caller, bundle).model_copy(update={"upload_id": upload_id})


def take(
    at: Hub, caller: Caller, upload_id: str, *, names: Mapping[str, str] | None = None, only: Sequence[str] = ()
) -> BundleTaken:
    """Take it in; then the upload is over, and counts no more.

    Raises:
        NotFound, Conflict: as `preview`.
        OakmillError: as `taking.take`.
    """
    row = _mark(at, caller, upload_id, BEGUN)
    try:
        with _lying(at, row) as bundle:
            found = taking.take(at, caller, bundle, names=names, only=only)
    except BaseException:
        _mark(at, caller, upload_id, WHOLE)
        raise
    with at.db.session() as session, suppress(NotFound):  # another request may have been quicker
        at.uploads.abandon(session, upload_id)
    return found


def _mark(at: Hub, caller: Caller, upload_id: str, kind: str) -> Upload:
    """One that has begun to come in counts as what comes in, and not as what lies there."""
    with at.db.session() as session:
        row = _row(session, caller, upload_id)
        row.purpose = {"kind": kind}
        return row


def _row(session: Session, caller: Caller, upload_id: str) -> Upload:
    row = visibility.upload(session, caller, upload_id)
    if row.purpose.get("kind") not in {WHOLE, BEGUN} or row.status != UploadStatus.COMPLETE:
        raise Conflict(
            f"The upload of {row.name} is no bundle that has come whole.",
            subject=row.id,
            remedy="Upload it for that, and complete the upload.",
        )
    return row


@contextmanager
def _lying(at: Hub, row: Upload) -> Iterator[Bundle]:
    with taking.lying(at, str(row.sha256)) as path, opened(path, name=row.name) as bundle:
        yield bundle

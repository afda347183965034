"""What a conversion's parameters name: calibration sets of the team's, and files that were uploaded for them."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from oakmill.calibration.datasets import SETS
from oakmill.errors import Conflict, NotFound, SpecError
from oakmill.hub import visibility
from oakmill.registry import datasets
from oakmill.registry.callers import Caller
from oakmill.storage import naming
from oakmill.storage.tables import UploadStatus

FILES = ("quantization_data", "verification_images")
"""Parameters that may name a calibration set of the team's."""
UPLOADED = (*FILES, "aimet_encodings")
"""Parameters that may name an upload with the purpose `file`."""
KIND = "file"
_UPLOAD = "aiu_"


def with_files(session: Session, caller: Caller, asked: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What is asked with the files of the hub taken out of it, and those by field.

    Raises:
        SpecError: a file is not named by a word.
        NotFound: the team has no such calibration set, the key has no such upload.
        Conflict: the upload is not complete, or is for something else.
    """
    values, files = dict(asked), {}
    for field in UPLOADED:
        name = values.get(field)
        if name is None or (field == "quantization_data" and name in SETS):
            continue
        if not isinstance(name, str) or "\0" in name or "/" in name or len(name) > 255:
            raise SpecError(f"{field} is to name what the hub has, not {str(name)[:80]!r}.", subject=field)
        if name.startswith(_UPLOAD):
            files[field] = _upload(session, caller, field, name)
        elif field in FILES:
            files[field] = f"dataset:{_set(session, caller, field, name)}"
        else:
            continue  # the spec says what is wrong with it
        del values[field]
    return values, files


def _upload(session: Session, caller: Caller, field: str, upload_id: str) -> str:
    """The bytes of an upload; from here to the commit they are not freed, and then the job names them."""
    row = visibility.upload(session, caller, upload_id)
    if row.purpose.get("kind") != KIND:
        raise Conflict(f"{field}: the upload of {row.name} is for something else.", subject=field)
    if row.status != UploadStatus.COMPLETE or row.sha256 is None:
        raise Conflict(
            f"{field}: the upload of {row.name} is not complete.",
            subject=field,
            remedy="Send the rest, and complete it.",
        )
    naming.enter(session, row.sha256, row.offset)
    return f"{row.sha256}:{row.name}"


def _set(session: Session, caller: Caller, field: str, name: str) -> str:
    try:
        return datasets.seen(session, caller, name).id
    except NotFound:
        known = ", ".join(SETS)
        raise NotFound(
            f"{field}: there is no calibration set {name!r}.", subject=field, remedy=f"Upload it, or take {known}."
        ) from None

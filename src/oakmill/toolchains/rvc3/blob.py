"""Knows a blob of the VPUX compiler by its first bytes, as depthai does."""

from __future__ import annotations

from pathlib import Path

from oakmill.errors import VerificationFailed

MARK = b"BLOB"


def require_vpux(path: Path) -> None:
    """That bytes 4 to 8 are "BLOB": what else calls itself .blob is MyriadX's, for RVC2.

    Raises:
        VerificationFailed: they are not.
    """
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:] != MARK:
        raise VerificationFailed(
            f"{path.name} begins with {head.hex(' ') or 'nothing'}, "
            "which is no blob for RVC3: its bytes 4 to 8 spell BLOB",
            subject=path.name,
            remedy="see that the setting names a compile_tool with the VPUX plugin, of the vendor's OpenVINO 2022.3",
        )

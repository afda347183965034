"""The store's tables: which bytes there are, and uploads that are on their way in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from oakmill.storage.database import Base, UtcDateTime, now
from oakmill.storage.states import UploadStatus as UploadStatus


class Blob(Base):
    """Bytes in the store, complete. A blob that no row names is freed a day after it came."""

    __tablename__ = "blobs"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[datetime] = mapped_column(UtcDateTime, default=now, index=True)


class Upload(Base):
    """An upload that resumes: `offset` bytes are on disk. `purpose` says what becomes of it: {"kind": ..., ids}.

    `max_size` is what it may have: what was announced, else what the hub and the quota allowed at the time.
    """

    __tablename__ = "uploads"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    team_id: Mapped[str] = mapped_column(String(64), index=True)
    key_id: Mapped[str | None] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(255))
    size: Mapped[int | None] = mapped_column(BigInteger)
    max_size: Mapped[int] = mapped_column(BigInteger)
    offset: Mapped[int] = mapped_column(BigInteger, default=0)
    expected_sha256: Mapped[str | None] = mapped_column(String(64))
    sha256: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16), default=UploadStatus.OPEN)
    error: Mapped[str | None] = mapped_column(String(2000))
    purpose: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    updated: Mapped[datetime] = mapped_column(UtcDateTime, default=now, onupdate=now)
    expires: Mapped[datetime] = mapped_column(UtcDateTime)

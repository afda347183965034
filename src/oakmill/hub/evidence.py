"""Signs results: the digests of an instance's files, by an Ed25519 key that is made of the hub's secret."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from oakmill import __version__
from oakmill.errors import NotFound
from oakmill.registry.tables import Instance, InstanceFile, Role
from oakmill.spec.evidence import Evidence, SignedFile, Statement

_SIGNED = (Role.MODEL, Role.PART, Role.RECIPE, Role.PASSPORT, Role.PASSPORT_PAGE)
_PURPOSE = b"oakmill evidence, Ed25519"


def public_key(secret: bytes) -> str:
    """The key that signatures are checked with, 32 bytes in hexadecimal."""
    return _key(secret).public_key().public_bytes_raw().hex()


def sign(secret: bytes, row: Instance) -> Evidence:
    """What the hub says of an instance that was read with its files.

    Raises:
        NotFound: it has no model yet.
    """
    files = sorted((file for file in row.files if file.role in _SIGNED), key=_order)
    if not files or files[0].role != Role.MODEL:
        raise NotFound(
            f"The instance {row.name!r} has no file yet.", subject=row.id, remedy="Wait for its conversion, or upload."
        )
    statement = Statement(
        instance=row.id,
        job=row.job_id,
        platform=row.model_type,
        made=files[0].created.isoformat(timespec="seconds"),
        oakmill=__version__,
        files=tuple(SignedFile(name=file.name, role=file.role, sha256=file.sha256) for file in files),
    )
    key = _key(secret)
    return Evidence(
        statement=statement,
        signature=key.sign(statement.signed_bytes()).hex(),
        public_key=key.public_key().public_bytes_raw().hex(),
    )


def _order(file: InstanceFile) -> tuple[int, str]:
    return _SIGNED.index(Role(file.role)), file.name


def _key(secret: bytes) -> Ed25519PrivateKey:
    """Made of the secret, so that it is backed up and shared between machines as that is."""
    return Ed25519PrivateKey.from_private_bytes(hmac.new(secret, _PURPOSE, hashlib.sha256).digest())

"""Whether a hub that is known made a file: its evidence, signed by the hub, against the bytes that are here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from oakmill.errors import SourceError
from oakmill.files import file_sha256
from oakmill.findings import Finding, Severity
from oakmill.spec.evidence import Evidence, name_of

LARGEST = 1 << 20
_AGAIN = "fetch the file and its evidence anew: oakmill download --all"


class NoEvidence(SourceError):
    """The file of evidence is none."""


@dataclass(frozen=True)
class Signature:
    """What the evidence says: what holds, in sentences, and what does not."""

    holds: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def beside(file: Path) -> Path | None:
    """The evidence that lies beside a file, if one does."""
    path = file.with_name(name_of(file.name))
    return path if path.is_file() else None


def read(path: Path) -> Evidence:
    """A file of evidence.

    Raises:
        NoEvidence: it cannot be read, or is something else.
    """
    try:
        with path.open("rb") as file:
            return Evidence.model_validate_json(file.read(LARGEST))
    except (OSError, ValidationError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is something else"
        said = f"{path.name} cannot be read as a hub's evidence: {what}"
        raise NoEvidence(said, subject=str(path), remedy=_AGAIN) from None


def check(file: Path, evidence: Evidence, known: Mapping[str, str]) -> Signature:
    """Hold the evidence against a file and what of its documents lies beside it.

    Args:
        file: the model, as it was fetched.
        evidence: what a hub has said of it.
        known: the public keys of hubs that are trusted, with the words for whose each is.
    """
    said = evidence.statement
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(evidence.public_key))
        key.verify(bytes.fromhex(evidence.signature), said.signed_bytes())
    except (InvalidSignature, ValueError):
        forged = _wrong("the evidence was changed: its signature does not fit", "A forged signature")
        return Signature(findings=(forged,))
    wrong = tuple(_of_files(file, evidence))
    if wrong:
        return Signature(findings=wrong)
    whose = known.get(evidence.public_key)
    if whose is None:
        return Signature(findings=(_unknown(evidence.public_key),))
    return Signature((f"signed by {whose}: instance {said.instance}, made {said.made}",))


def _of_files(file: Path, evidence: Evidence) -> Iterator[Finding]:
    """The model under whatever name; its documents by theirs, where they are there."""
    files = evidence.statement.files
    if file_sha256(file) not in {item.sha256 for item in files if item.role in ("model", "part")}:
        yield _wrong(f"{file.name} is not what the hub signed: its sha256 is another", "Not what was signed")
    for item in files:
        path = file.with_name(Path(item.name).name)
        if item.role != "model" and path.is_file() and file_sha256(path) != item.sha256:
            yield _wrong(
                f"{path.name} is not the one that the hub signed: its sha256 is another", "Not what was signed"
            )


def _unknown(key: str) -> Finding:
    return Finding(
        "unknown_signer",
        Severity.WARNING,
        f"the bytes are those that the evidence names, but it is signed by a key that is not known here: {key}",
        title="Signed by nobody known",
        remedy="run `oakmill login` at that hub, or give its key by --hub-key, once you know that it is the hub's",
    )


def _wrong(said: str, title: str) -> Finding:
    return Finding("not_as_signed", Severity.ERROR, said, title, _AGAIN)

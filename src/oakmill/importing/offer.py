"""What a place offers for an address: the models there, each with its files, of which one is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from oakmill.errors import ImportFailed, TooLarge, UnsupportedModel
from oakmill.importing.address import is_plain

ENDINGS = (".onnx", ".xml", ".tflite", ".pt", ".pth", ".torchscript", ".tar.xz", ".tar.gz", ".tar")
TAKEN = "ONNX (.onnx), OpenVINO IR (.xml with its .bin), TFLite (.tflite), PyTorch (.pt) and NN Archives (.tar.xz)"
_SHOWN = 20


@dataclass(frozen=True)
class Offered:
    """A file, with what the server says of it: its size, and its sha256 or the digest that git knows it by.

    `likely` is a digest of which the server does not say what it is made of: it can confirm a file, and not refuse one.
    """

    name: str
    size: int
    sha256: str = ""
    git: str = ""
    likely: str = ""

    def __post_init__(self) -> None:
        """A server's names become those of files here.

        Raises:
            ImportFailed: it is none of a file below the model's folder.
        """
        if not is_plain(self.name):
            raise ImportFailed(f"The server calls a file {self.name[:100]!r}, which is no name of a file.")


@dataclass(frozen=True)
class Candidate:
    """A model that is there, the address that names it alone, and the files that come first."""

    key: str
    address: str
    label: str
    files: tuple[Offered, ...]


@dataclass(frozen=True)
class Offer:
    """All that is there: the models, other files that one of them may need, and what it is called."""

    candidates: tuple[Candidate, ...]
    name: str
    url: str
    revision: str
    licence: str
    others: tuple[Offered, ...] = ()

    def only(self, address: str) -> Candidate:
        """The one that is meant, where there is one.

        Raises:
            ImportFailed: there are several; they are listed.
            UnsupportedModel: there is none.
        """
        if len(self.candidates) == 1:
            return self.candidates[0]
        if not self.candidates:
            raise UnsupportedModel(
                f"{self.name} has no model that Oakmill takes{_among(self.others)}.",
                subject=address,
                remedy=f"Oakmill takes {TAKEN}.",
            )
        raise ImportFailed(
            f"{self.name} has several models: {_listed([item.label for item in self.candidates])}.",
            subject=address,
            remedy=f"Name one: {self.candidates[0].address}",
        )


def _among(files: Sequence[Offered]) -> str:
    return f" among its files: {_listed([file.name for file in files])}" if files else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def is_model(name: str) -> bool:
    """Whether a file is of a kind that Oakmill takes, by its name; its bytes are looked at when they are here."""
    return name.lower().endswith(ENDINGS)


def require_room(files: Sequence[Offered], most_mb: int) -> int:
    """The bytes of all these files.

    Raises:
        TooLarge: they are more than an import may have.
    """
    total = sum(file.size for file in files)
    if total > most_mb << 20:
        raise TooLarge(
            f"{PurePosixPath(files[0].name).name} is {total / 1e6:.0f} MB with its files, and an import may have "
            f"{most_mb} MB.",
            subject=files[0].name,
            remedy="The setting OAKMILL_UPLOAD_MAX_MB is the limit.",
        )
    return total

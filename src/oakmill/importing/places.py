"""The two places that models are imported from: what each offers for an address, and how its files are fetched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import quote, urlsplit
from urllib.request import getproxies

from oakmill.errors import ImportFailed, ImportNotAllowed, LimitExceeded, OakmillError, OutputError, UnsupportedModel
from oakmill.importing.address import Address, HubAiAddress, HuggingFaceAddress
from oakmill.importing.offer import TAKEN, Candidate, Offer, Offered, is_model
from oakmill.processes.events import Watcher
from oakmill.processes.sandbox import Limits
from oakmill.settings import Settings
from oakmill.spec.imported import TITLES, Kind
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.importers.libraries import HubAiLibrary, HuggingFaceLibrary, Library

OUT = "out"
_KEY = re.compile(r"[!-~]+")
_TYPES = ("ONNX", "IR", "TFLITE", "PYTORCH")
_MEMORY_MB, _LOOK_SECONDS = 2048, 120


@dataclass(frozen=True)
class Asking:
    """Who asks, and how: with which key, whether behind the user's own proxies, and who watches."""

    settings: Settings
    key: str
    watch: Watcher
    proxied: bool = False


class Place(Protocol):
    """Where models are."""

    kind: Kind

    def offer(self, job: Path) -> Offer:
        """What there is for the address; `job` is a new folder.

        Raises:
            ImportFailed, ImportNotAllowed, UnsupportedModel: there is nothing, or the key does not open it.
            ToolchainMissing: its library cannot be installed.
        """

    def fetch(self, candidate: Candidate, files: Sequence[Offered], job: Path) -> dict[str, Path]:
        """These files by their names, in the new folder `job`.

        Raises:
            As `offer`; LimitExceeded, OutputError: they do not come in time, or have no room.
        """


class HuggingFace:
    """Hugging Face, or a mirror."""

    kind: Kind = "hf"

    def __init__(self, address: HuggingFaceAddress, asking: Asking) -> None:
        self._address, self._url = address, asking.settings.import_hf_url.rstrip("/")
        self._library = _Speaking(HuggingFaceLibrary(asking.settings), asking, self._url, address)

    def offer(self, job: Path) -> Offer:
        """The file that the address names, or all models of the repository."""
        at = self._address
        told = self._library.ask("look", {"repo": at.repo, "revision": at.revision, "endpoint": self._url}, job)
        files = tuple(map(_offered, told["files"]))
        revision = str(told["revision"]) or at.revision
        return Offer(
            tuple(self._candidate(file, revision) for file in self._models(files)),
            name=at.repo,
            url=f"{self._url}/{at.repo}/tree/{quote(revision)}",
            revision=revision,
            licence=str(told["licence"])[:1000],
            others=files,
        )

    def _models(self, files: Sequence[Offered]) -> list[Offered]:
        wanted = self._address.file
        found = [file for file in files if is_model(file.name) and not _is_pair_less(file, files)]
        if not wanted:
            return found
        named = [file for file in files if file.name == wanted]
        if not named:
            there = ", ".join(file.name for file in found[:20]) or "none"
            raise ImportFailed(
                f"{self._address.repo} has no file {wanted}; its models: {there}.", subject=str(self._address)
            )
        if not is_model(wanted):
            raise UnsupportedModel(f"{wanted} is no model.", subject=wanted, remedy=f"Oakmill takes {TAKEN}.")
        return named

    def _candidate(self, file: Offered, revision: str) -> Candidate:
        address = str(HuggingFaceAddress(self._address.repo, file.name, revision))
        return Candidate(file.name, address, file.name, (file,))

    def fetch(self, candidate: Candidate, files: Sequence[Offered], job: Path) -> dict[str, Path]:
        """Files of the commit that was looked at."""
        revision = candidate.address.rpartition("@")[2]
        names = [file.name for file in files]
        request = {"repo": self._address.repo, "revision": revision, "endpoint": self._url, "names": names}
        self._library.ask("fetch", {**request, "total": sum(file.size for file in files)}, job, download=True)
        return {name: job / OUT / name for name in names}


def _is_pair_less(file: Offered, files: Sequence[Offered]) -> bool:
    """Whether it is an .xml that has no weights beside it: no IR, but something else."""
    weights = f"{file.name.removesuffix('.xml')}.bin"
    return file.name.endswith(".xml") and all(other.name != weights for other in files)


class HubAi:
    """HubAI, or what speaks as it does."""

    kind: Kind = "hubai"

    def __init__(self, address: HubAiAddress, asking: Asking) -> None:
        self._address, self._url = address, asking.settings.import_hubai_url.rstrip("/")
        self._library = _Speaking(HubAiLibrary(asking.settings), asking, self._url, address)

    def offer(self, job: Path) -> Offer:
        """The sources of the variant."""
        at = self._address
        variant = str(HubAiAddress(at.model, at.variant, at.version)).removeprefix("hubai:")
        told = self._library.ask("look", {"variant": variant}, job)
        name = "/".join(filter(None, (told["team"], told["model"])))
        found = [self._candidate(item, name, told) for item in told["sources"] if item["type"] in _TYPES]
        return Offer(
            tuple(item for item, short in found if at.short in ("", short)),
            name=f"{name}:{told['variant']}:{told['version']}",
            url=self._url,
            revision=str(told["version"]),
            licence="" if told["licence"] == "undefined" else str(told["licence"])[:1000],
            others=tuple(_offered(file) for item in told["sources"] for file in item["files"]),
        )

    def _candidate(self, item: Mapping[str, Any], name: str, told: Mapping[str, Any]) -> tuple[Candidate, str]:
        short = str(item["short"])
        address = f"hubai:{name}:{told['variant']}:{short or told['version']}"
        files = tuple(replace(_offered(file), likely=str(item["hash"])) for file in item["files"])
        return Candidate(str(item["id"]), address, f"{item['type']} {short}".strip(), files), short

    def fetch(self, candidate: Candidate, files: Sequence[Offered], job: Path) -> dict[str, Path]:
        """All files of the source."""
        total = sum(file.size for file in candidate.files)
        self._library.ask("fetch", {"instance": candidate.key, "total": total}, job, download=True)
        return _matched(candidate.files, sorted(path for path in (job / OUT).rglob("*") if path.is_file()))


def _matched(wanted: Sequence[Offered], come: Sequence[Path]) -> dict[str, Path]:
    """Which file is which: the SDK names them as their addresses end, and that need not be what HubAI lists."""
    left, found = list(come), dict[str, Path]()
    for file in wanted:
        alike = [path for path in left if path.suffix == PurePosixPath(file.name).suffix]
        alike.sort(key=lambda path: path.stat().st_size != file.size)
        if alike:
            found[file.name] = alike[0]
            left.remove(alike[0])
    return found


def place_of(address: Address, asking: Asking) -> Place:
    """Where an address leads.

    Raises:
        ImportNotAllowed: as `require_key`.
    """
    require_key(address, asking.key)
    return HuggingFace(address, asking) if isinstance(address, HuggingFaceAddress) else HubAi(address, asking)


def require_key(address: Address, key: str) -> None:
    """Go on only with a key where one is needed, and only with one that can be sent.

    Raises:
        ImportNotAllowed: it is not so.
    """
    if isinstance(address, HubAiAddress) and not key:
        remedy = "Give yours; the command reads it from HUBAI_API_KEY."
        raise ImportNotAllowed("HubAI gives models to holders of a key.", remedy=remedy)
    if key and not _KEY.fullmatch(key):
        remedy = "Copy it again: keys are letters, digits and signs without spaces."
        raise ImportNotAllowed("What was given as a key can be none.", remedy=remedy)


def _offered(told: Mapping[str, Any]) -> Offered:
    return Offered(str(told["name"]), int(told["size"] or 0), str(told.get("sha256") or ""), str(told.get("git") or ""))


@dataclass(frozen=True)
class _Speaking:
    """A place's library, and its refusals in words."""

    library: Library
    asking: Asking
    url: str
    address: Address

    def ask(self, action: str, request: Mapping[str, Any], job: Path, *, download: bool = False) -> dict[str, Any]:
        """What the library answers."""
        self.library.at_hand(self.asking.watch)
        settings = self.asking.settings
        most = settings.upload_max_mb + 64
        limits = Limits(settings.job_seconds if download else _LOOK_SECONDS, _MEMORY_MB, most, most)
        proxies = getproxies() if self.asking.proxied else {}
        ways = [self.url, *(address for scheme, address in proxies.items() if scheme in ("http", "https"))]
        hosts = [*(urlsplit(item).hostname or "" for item in ways), *settings.import_hosts]
        variables = {"HUBAI_URL": self.url, **{f"{name}_proxy": value for name, value in proxies.items()}}
        try:
            return self.library.speak(
                action, {**request, "hosts": hosts}, job, key=self.asking.key, variables=variables, limits=limits,
                watch=self.asking.watch,
            )  # fmt: skip
        except RunnerError as error:
            raise self._refusal(error.kind, error.message) from error
        except LimitExceeded as error:
            raise LimitExceeded(
                f"{self.address} did not come within the limits of an import: {error.message}",
                subject=str(self.address),
                remedy="The settings OAKMILL_UPLOAD_MAX_MB and OAKMILL_JOB_SECONDS are the limits.",
            ) from error

    def _refusal(self, kind: str, said: str) -> OakmillError:
        title, subject = TITLES["hf" if isinstance(self.address, HuggingFaceAddress) else "hubai"], str(self.address)
        words = _REFUSALS.get(kind)
        if kind == "write":
            return OutputError(f"{self.address} cannot be written: {said}", subject=subject)
        if words is None:
            return ImportFailed(f"{title} ({self.url}) refuses {subject}: {said}", subject=subject)
        cause, (message, remedy) = words
        names = {"title": title, "url": self.url, "address": subject, "said": said}
        variable = "HF_TOKEN" if title == TITLES["hf"] else "HUBAI_API_KEY"
        names["where"] = f"On the command line it is read from {variable}."
        return cause(message.format(**names), subject=subject, remedy=remedy.format(**names))


_REFUSALS: dict[str, tuple[type[ImportFailed], tuple[str, str]]] = {
    "missing": (
        ImportFailed,
        (
            "{title} has no {address} that this key sees.",
            "See to its name; a private one needs a key. {where}",
        ),
    ),
    "revision": (ImportFailed, ("{address}: there is no such revision.", "Name a branch, a tag or a commit.")),
    "file": (ImportFailed, ("{address}: there is no such file.", "Leave the file out to see what there is.")),
    "several": (ImportFailed, ("{address} means several versions.", "Name one: {address}:1.0.0")),
    "gated": (
        ImportNotAllowed,
        (
            "{address} is gated: its owners ask for an agreement first.",
            "Agree on its page, then give a token of yours that may read it. {where}",
        ),
    ),
    "key": (
        ImportNotAllowed,
        (
            "{title} ({url}) does not take this key: {said}",
            "Give one that is valid and may read. {where}",
        ),
    ),
    "unreachable": (
        ImportFailed,
        (
            "{title} ({url}) could not be asked, or the connection broke: {said}",
            "See whether this machine reaches it; the settings OAKMILL_IMPORT_HF_URL and OAKMILL_IMPORT_HUBAI_URL name "
            "mirrors.",
        ),
    ),
    "host": (
        ImportFailed,
        (
            "{address} is not fetched: {said}.",
            "If you know that host to be the right one, name it in the setting OAKMILL_IMPORT_HOSTS.",
        ),
    ),
    "changed": (ImportFailed, ("{address} did not come as it was announced: {said}", "Import it again.")),
}

"""What comes is compared with what was told of it, and a model gets the files that it names; of a place of the test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import pytest

from oakmill.errors import HashMismatch, ImportFailed, ImportNotAllowed, OutputError, SourceError, TooLarge
from oakmill.importing import run
from oakmill.importing.address import parse
from oakmill.importing.offer import Candidate, Offer, Offered
from oakmill.importing.places import Asking, _matched, place_of
from oakmill.processes.events import ignore
from oakmill.settings import Settings
from oakmill.spec.imported import Imported, Kind

ADDRESS = parse("hf:acme/net")
BYTES = b"a model"
SHA256 = hashlib.sha256(BYTES).hexdigest()


@dataclass
class Stand:
    """A place with these files, of which the first is the model; `come` is what comes of each."""

    files: tuple[Offered, ...]
    come: dict[str, bytes] = field(default_factory=dict)
    kind: Kind = "hf"

    def offer(self, job: Path) -> Offer:
        model = Candidate("net", "hf:acme/net/m/net.onnx@abc", "net", self.files[:1])
        return Offer((model,), "acme/net", "https://example.com/acme/net", "abc", "", self.files)

    def fetch(self, candidate: Candidate, files: Sequence[Offered], job: Path) -> dict[str, Path]:
        found = {}
        for file in files:
            if file.name in self.come:
                found[file.name] = job / PurePosixPath(file.name).name
                job.mkdir(exist_ok=True)
                found[file.name].write_bytes(self.come[file.name])
        return found


def imported(
    place: Stand, folder: Path, monkeypatch: pytest.MonkeyPatch, needs: Sequence[str] = (), upload_max_mb: int = 100
) -> Imported:
    """What comes of it, where the model needs these files."""
    monkeypatch.setattr(run, "place_of", lambda address, asking: place)
    folder.mkdir()
    here = set[str]()

    def accept(files: Sequence[Path]) -> Sequence[str]:
        here.update(path.relative_to(folder).as_posix() for path in files)
        return [name for name in needs if name not in here]

    return run.run(ADDRESS, folder, Asking(Settings(upload_max_mb=upload_max_mb), "", ignore), accept)


MODEL = Offered("m/net.onnx", len(BYTES), SHA256)


def test_a_digest_that_may_be_another_s_confirms_and_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at, (likely, checked) in enumerate(((SHA256, "sha256"), ("0" * 64, "size"))):
        place = Stand((Offered("m/net.onnx", len(BYTES), likely=likely),), {"m/net.onnx": BYTES})
        assert imported(place, tmp_path / str(at), monkeypatch).files[0].checked == checked


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (replace(MODEL, size=3, sha256=""), "its size is 7"),
        (replace(MODEL, sha256="", git="1" * 40), "git's digest is"),
    ],
)
def test_other_bytes_than_were_told_of_are_refused(
    said: Offered, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HashMismatch, match=words):
        imported(Stand((said,), {"m/net.onnx": BYTES}), tmp_path / "here", monkeypatch)
    assert list((tmp_path / "here").iterdir()) == []


def test_what_lies_below_the_model_stays_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Stand((MODEL, Offered("m/parts/w.bin", 3)), {"m/net.onnx": BYTES, "m/parts/w.bin": b"abc"})
    found = imported(place, tmp_path / "here", monkeypatch, needs=["parts/w.bin"])
    assert [file.name for file in found.files] == ["net.onnx", "w.bin"]
    assert (tmp_path / "here" / "parts" / "w.bin").read_bytes() == b"abc"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "lost.bin"])
def test_a_model_gets_no_file_that_is_not_among_those_of_its_place(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match="which is not beside it there"):
        imported(Stand((MODEL,), {"m/net.onnx": BYTES}), tmp_path / "here", monkeypatch, needs=[name])


@pytest.mark.parametrize("name", ["../../evil.bin", "/evil.bin", "m/../../evil.bin", "m//w.bin", "a\0b.bin", "x" * 256])
def test_a_server_that_names_a_file_elsewhere_is_not_followed(name: str) -> None:
    """HubAI's list of a source's files said where each was put: one of "../../evil.bin" beside "net.xml" was moved out
    of the folder, over whatever lay there."""
    with pytest.raises(ImportFailed, match="no name of a file"):
        Offered(name, 3)


@pytest.mark.parametrize("key", ["with space", "with\nline", "schlüssel"])
def test_a_key_that_no_header_takes_is_told_without_it(key: str, tmp_path: Path) -> None:
    asking = Asking(Settings(home=tmp_path), key, ignore)
    for address in ("hf:acme/net", "hubai:acme/net:small"):
        with pytest.raises(ImportNotAllowed, match="can be none") as told:
            place_of(parse(address), asking)
        assert key not in str(told.value)


def test_all_files_together_are_within_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Stand((MODEL, Offered("m/w.bin", 1 << 20)), {"m/net.onnx": BYTES})
    with pytest.raises(TooLarge, match="an import may have 1 MB"):
        imported(place, tmp_path / "here", monkeypatch, needs=["w.bin"], upload_max_mb=1)


def test_a_file_that_does_not_come_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match=r"net\.onnx did not come"):
        imported(Stand((MODEL,)), tmp_path / "here", monkeypatch)


def test_files_that_hubai_calls_otherwise_are_known_by_ending_and_size(tmp_path: Path) -> None:
    for name, size in (("net-1.xml", 3), ("net-1.bin", 5), ("other-2.bin", 9)):
        (tmp_path / name).write_bytes(bytes(size))
    wanted = [Offered("net.xml", 3), Offered("large.bin", 9), Offered("net.bin", 5), Offered("more.json", 1)]
    found = _matched(wanted, sorted(tmp_path.iterdir()))
    assert {name: path.name for name, path in found.items()} == {
        "net.xml": "net-1.xml", "large.bin": "other-2.bin", "net.bin": "net-1.bin",
    }  # fmt: skip

"""Models of Hugging Face come by its own library from a stand-in server: whole, cut, changed, too large, forbidden."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest

from oakmill.errors import (
    HashMismatch,
    ImportFailed,
    ImportNotAllowed,
    OakmillError,
    SourceError,
    TooLarge,
    UnsupportedModel,
)
from oakmill.settings import current
from tests import in_process
from tests.conversion.conftest import command
from tests.conversion.makers import conv_model
from tests.hugging_face import COMMIT, TOKEN, HuggingFace, Repository, serving
from tests.importing.conftest import Importer
from tests.importing.models import data_of, with_data

MODEL = conv_model().SerializeToString()


@pytest.fixture(scope="module")
def server() -> Iterator[HuggingFace]:
    there = HuggingFace({
        "acme/net": Repository({"onnx/net.onnx": MODEL, "README.md": b"# Net"}, ("onnx/net.onnx",)),
        "acme/many": Repository({"small.onnx": MODEL, "large.tflite": b"x", "note.xml": b"<a/>"}),
        "acme/text": Repository({"README.md": b"# Text", "model.safetensors": b"x"}),
        "acme/split": Repository({"m/net.onnx": with_data(), "m/net.onnx_data": data_of()}, ("m/net.onnx_data",)),
        "acme/gated": Repository({"net.onnx": MODEL}, gated=True),
        "acme/secret": Repository({"net.onnx": MODEL}, private=True),
    })  # fmt: skip
    with serving(there):
        yield there


@pytest.fixture
def come(server: HuggingFace, importer: Callable[..., Importer]) -> Iterator[Importer]:
    server.asked.clear()
    server.keys.clear()
    yield importer(import_hf_url=server.url, import_hosts=("localhost",))
    server.faults.clear()


def test_a_file_comes_with_where_it_is_from(come: Importer) -> None:
    found = come("hf:acme/net/onnx/net.onnx")
    assert (come.folder / "net.onnx").read_bytes() == MODEL
    assert come.left() == ["net.onnx"]
    assert (found.name, found.revision, found.licence) == ("acme/net", COMMIT, "apache-2.0")
    assert found.address == f"hf:acme/net/onnx/net.onnx@{COMMIT}"
    assert found.url.endswith(f"/acme/net/tree/{COMMIT}")
    (file,) = found.files
    assert (file.sha256, file.checked) == (hashlib.sha256(MODEL).hexdigest(), "sha256")
    assert [event for event in come.told if event.total == len(MODEL) == event.done]


def test_a_small_file_is_known_by_git_s_digest(come: Importer) -> None:
    assert come("hf:acme/many/small.onnx@main").files[0].checked == "git"


def test_weights_in_a_file_of_their_own_come_too(come: Importer) -> None:
    come.needs = lambda names: ["net.onnx_data"] if len(names) == 1 else []
    assert [file.name for file in come("hf:acme/split").files] == ["net.onnx", "net.onnx_data"]
    assert come.left() == ["net.onnx", "net.onnx_data"]


def test_weights_that_are_not_there_are_named(come: Importer) -> None:
    come.needs = lambda names: ["lost.bin"]
    with pytest.raises(SourceError, match=r"needs lost\.bin"):
        come("hf:acme/net")


def test_a_cut_download_goes_on(come: Importer, server: HuggingFace) -> None:
    server.faults["onnx/net.onnx"] = "cut"
    come("hf:acme/net")
    assert (come.folder / "net.onnx").read_bytes() == MODEL
    assert server.asked["GET /cdn/onnx/net.onnx"] == 2
    assert any("resume" in event.line for event in come.told)


def test_other_bytes_than_announced_are_refused(come: Importer, server: HuggingFace) -> None:
    server.faults["onnx/net.onnx"] = "changed"
    with pytest.raises(HashMismatch, match="should be " + hashlib.sha256(MODEL).hexdigest()):
        come("hf:acme/net")
    assert come.left() == []


@pytest.mark.parametrize(
    ("address", "kind", "words"),
    [
        ("hf:acme/none", ImportFailed, "no hf:acme/none that this key sees"),
        ("hf:acme/net/other.onnx", ImportFailed, r"no file other\.onnx; its models: onnx/net\.onnx"),
        ("hf:acme/net@v9", ImportFailed, "no such revision"),
        ("hf:acme/many", ImportFailed, r"several models: small\.onnx, large\.tflite\."),
        ("hf:acme/text", UnsupportedModel, r"no model that Oakmill takes among its files: README\.md, model"),
        ("hf:acme/net/README.md", UnsupportedModel, r"README\.md is no model"),
        ("hf:acme/gated", ImportNotAllowed, "gated: its owners ask for an agreement"),
        ("hf:acme/secret", ImportFailed, "that this key sees"),
    ],
)  # fmt: skip
def test_what_cannot_come_says_why(come: Importer, address: str, kind: type[OakmillError], words: str) -> None:
    with pytest.raises(kind, match=words):
        come(address)
    assert come.left() == []


def test_a_token_opens_what_is_gated_and_goes_nowhere_else(come: Importer, server: HuggingFace) -> None:
    come.key = TOKEN
    come("hf:acme/gated")
    assert server.keys == {TOKEN}
    come.key = "hf_wrong"
    with pytest.raises(ImportNotAllowed, match="does not take this key") as error:
        come("hf:acme/net")
    assert "hf_wrong" not in str(vars(error.value))


def test_what_is_too_large_is_not_begun(come: Importer, server: HuggingFace) -> None:
    server.faults["onnx/net.onnx"] = "huge"
    with pytest.raises(TooLarge, match="900000 MB"):
        come("hf:acme/net")
    assert not [path for path in server.asked if "cdn" in path]


@pytest.mark.parametrize(
    ("where", "hosts", "words"),
    [
        ("http://127.0.0.2:9/x", (), r"127\.0\.0\.2 is none of the hosts"),
        ("https://127.0.0.5:9/x", (".0.0.5",), "private network"),
    ],
)
def test_a_download_leads_to_no_other_host(
    come: Importer, server: HuggingFace, where: str, hosts: tuple[str, ...], words: str
) -> None:
    """Where a place's answer is believed, it may lead into the network that the hub is in."""
    server.faults["onnx/net.onnx"] = where
    come.settings = come.settings.model_copy(update={"import_hosts": hosts})
    with pytest.raises(ImportFailed, match=words):
        come("hf:acme/net")


def test_without_a_network_it_says_so(come: Importer) -> None:
    come.settings = come.settings.model_copy(update={"import_hf_url": "http://127.0.0.1:9"})
    with pytest.raises(ImportFailed, match=r"Hugging Face \(http://127\.0\.0\.1:9\) could not be asked"):
        come("hf:acme/net")


def run(server: HuggingFace, folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    variables = {
        "OAKMILL_IMPORT_HF_URL": server.url, "OAKMILL_IMPORT_HOSTS": '["localhost"]',
        "OAKMILL_HOME": str(folder / "home"), "no_proxy": "127.0.0.1,localhost", **more,
    }  # fmt: skip
    (folder / "home").mkdir(exist_ok=True)
    if not (folder / "home" / "toolchains").exists():
        (folder / "home" / "toolchains").symlink_to(current().toolchains)
    return subprocess.run(  # noqa: TID251, PLW1510 - the test is the user
        command("import", *words), cwd=folder, env={**os.environ, **variables},  # noqa: TID251
        capture_output=True, text=True,
        timeout=200,
    )  # fmt: skip


def test_the_command_brings_a_model_with_its_weights(server: HuggingFace, tmp_path: Path) -> None:
    done = run(server, tmp_path, "hf:acme/split", HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["net.onnx", "net.onnx_data"]
    assert onnx.load(tmp_path / "net.onnx").graph.initializer
    assert "licence: apache-2.0" in done.stderr
    assert hashlib.sha256(data_of()).hexdigest() in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "net.onnx", "net.onnx_data"]


def test_an_ir_comes_with_its_weights(server: HuggingFace, shared_data: Path, tmp_path: Path) -> None:
    pair = {f"ir/face.{end}": (shared_data / f"models/ir/face_landmark_160x160.{end}") for end in ("xml", "bin")}
    files = {name: path.read_bytes() for name, path in pair.items()}
    server.repositories["acme/ir"] = Repository(files, tuple(files))
    done = run(server, tmp_path, "hf:acme/ir")
    assert done.stdout.split() == ["face.xml", "face.bin"], done.stderr


def test_what_only_says_that_it_is_a_model_is_refused(server: HuggingFace, tmp_path: Path) -> None:
    done = run(server, tmp_path, "hf:acme/many/large.tflite")
    assert done.returncode == 3
    assert not (tmp_path / "large.tflite").exists()


def test_without_the_library_it_says_how_it_is_installed(tmp_path: Path) -> None:
    variables = {"OAKMILL_HOME": str(tmp_path / "none"), "OAKMILL_INSTALL_TOOLCHAINS": "false"}
    done = in_process.run("import", "hf:acme/net", "-o", tmp_path, **variables)
    assert done.returncode == 6
    assert "oakmill toolchains install import/huggingface-hub-2.4.0" in done.stderr


def test_a_key_is_asked_for_on_a_terminal_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUBAI_API_KEY", raising=False)
    done = in_process.run("import", "hubai:acme/net:small", "-o", tmp_path)
    assert done.returncode == 3
    assert "Set HUBAI_API_KEY" in done.stderr

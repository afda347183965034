"""Models of HubAI come by its unmodified SDK, from a hub of Oakmill that speaks as HubAI does; and a hub imports."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oakmill.client import Hub
from oakmill.errors import ImportFailed, ImportNotAllowed, OakmillError
from oakmill.hub.sessions import COOKIE
from tests.conversion.conftest import command
from tests.conversion.makers import conv_model, saved
from tests.hub_servers import API, PATIENCE, ServedHub, free_port
from tests.hugging_face import COMMIT, TOKEN, HuggingFace, Repository, serving
from tests.importing.conftest import Importer
from tests.importing.models import data_of, with_data
from tests.tools import link_toolchains
from tests.web.screenshots import session


@dataclass
class Both:
    """A hub that imports, from itself as HubAI and from a stand-in for Hugging Face."""

    served: ServedHub
    face: HuggingFace

    @property
    def url(self) -> str:
        return self.served.url

    @property
    def key(self) -> str:
        return self.served.key

    def imported(self, **asked: str) -> dict[str, Any]:
        """What became of an import, once it has ended."""
        with self.served.client() as client:
            begun = client.post("/imports", json=asked)
            assert begun.status_code == 202, begun.text
            deadline = time.monotonic() + PATIENCE
            while (found := client.get(begun.headers["Location"].removeprefix(API)).json())["is_running"]:
                assert time.monotonic() < deadline, found
                time.sleep(0.2)
            return dict(found)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """With a model of two variants: one source, and two."""
    home = tmp_path_factory.mktemp("hub")
    link_toolchains(home)
    port = free_port()
    face = HuggingFace(
        {"acme/gated": Repository({"m/net.onnx": with_data(), "m/net.onnx_data": data_of()}, gated=True)}
    )
    with serving(face):
        variables = {
            "OAKMILL_IMPORT_FROM": '["hubai", "hf"]', "OAKMILL_IMPORT_HUBAI_URL": f"http://127.0.0.1:{port}",
            "OAKMILL_IMPORT_HF_URL": face.url, "OAKMILL_IMPORT_HOSTS": '["localhost"]',
        }  # fmt: skip
        with ServedHub(home, variables=variables, port=port) as found:
            _fill(found, home)
            yield Both(found, face)


def _fill(found: ServedHub, home: Path) -> None:
    with Hub(found.url, found.key) as at:
        model = at.models.create("Line net", license="MIT")
        for variant, names in (("small", ("one",)), ("both", ("one", "two"))):
            version = at.models.create_version(model.id, variant, "1.2.0")
            for name in names:
                path = saved(conv_model(opset=12 if name == "two" else 13), home / f"{name}.onnx")
                at.instances.create(version.id, [path])


@pytest.fixture
def come(hub: Both, importer: Callable[..., Importer]) -> Importer:
    return importer(hub.key, import_hubai_url=hub.url)


def test_a_variant_s_only_source_comes(come: Importer, hub: Both) -> None:
    found = come("hubai:default/line-net:small")
    path = come.folder / "one.onnx"
    assert come.left() == ["one.onnx"]
    assert (found.name, found.revision, found.licence) == ("default/line-net:small:1.2.0", "1.2.0", "MIT")
    (file,) = found.files
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (file.sha256, file.checked) == (sha256, "sha256")
    assert found.address == f"hubai:default/line-net:small:{sha256[:7]}"
    assert not [event for event in come.told if hub.key in event.line]


@contextmanager
def cutting(hub: Both, times: int) -> Iterator[str]:
    """The address of the hub over a wire that is cut in the middle of a file, so many times."""
    listener, left = socket.create_server(("127.0.0.1", 0)), [times]

    def passed(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", hub.served.port)) as server:
            asked = client.recv(1 << 16)
            server.sendall(asked.replace(b"\r\nConnection: keep-alive", b"\r\nConnection: close"))
            answer = b"".join(iter(lambda: server.recv(1 << 16), b""))
            is_file = b".onnx" in asked.partition(b"\r\n")[0]
            cut = is_file and left[0] > 0
            left[0] -= cut
            client.sendall(answer[: -len(answer) // 4] if cut else answer)

    def serve() -> None:
        with suppress(OSError):  # closed at the end
            while True:
                threading.Thread(target=passed, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize(("times", "words"), [(1, ""), (9, "the connection broke")])
def test_a_cut_download_is_begun_anew(hub: Both, importer: Callable[..., Importer], times: int, words: str) -> None:
    with cutting(hub, times) as url:
        come = importer(hub.key, import_hubai_url=url)
        with pytest.raises(ImportFailed, match=words) if words else nullcontext():
            come("hubai:default/line-net:small")
    assert come.left() == ([] if words else ["one.onnx"])
    assert any("fetched again from its start" in event.line for event in come.told)


@pytest.mark.parametrize(
    ("address", "kind", "words"),
    [
        ("hubai:default/line-net:both:1.2.0", ImportFailed, r"several models: ONNX \w{7}, ONNX \w{7}\."),
        ("hubai:default/none:small", ImportFailed, "no hubai:default/none:small that this key sees"),
    ],
)
def test_what_cannot_come_says_why(come: Importer, address: str, kind: type[OakmillError], words: str) -> None:
    with pytest.raises(kind, match=words):
        come(address)
    assert come.left() == []


def test_a_wrong_key_is_not_shown(come: Importer) -> None:
    come.key = "oak_wrong"
    with pytest.raises(ImportNotAllowed, match=r"HubAI \(http.*\) does not take this key") as error:
        come("hubai:default/line-net:small")
    assert "oak_wrong" not in str(vars(error.value)) + str(come.told)
    come.key = ""
    with pytest.raises(ImportNotAllowed, match="holders of a key"):
        come("hubai:default/line-net:small")


def test_the_command_brings_it_into_a_hub(hub: Both, tmp_path: Path) -> None:
    variables = {**hub.served.environment, "HUBAI_API_KEY": hub.key, "OAKMILL_KEY": hub.key}
    short = hashlib.sha256(conv_model(opset=12).SerializeToString()).hexdigest()[:7]  # of two sources of the variant
    words = command("import", f"hubai:default/line-net:both:{short}", "--hub", hub.url, "--to", "brought:tiny")
    done = subprocess.run(words, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)  # noqa: TID251, PLW1510
    assert done.returncode == 0, done.stderr
    assert done.stdout == "default/brought:tiny:0.1.0\n"
    assert list(tmp_path.iterdir()) == []
    with Hub(hub.url, hub.key) as at:
        instance = at.instances.resolve("brought:tiny")
        assert at.models.get(instance.model_id).license == "MIT"
    assert instance.imported is not None
    assert (instance.imported.kind, instance.imported.by, instance.imported.licence) == ("hubai", "client", "MIT")
    assert instance.imported.files[0].sha256 == instance.sha256
    assert str(instance.sha256).startswith(short)


def test_a_hub_imports_by_itself_and_keeps_no_key(hub: Both) -> None:
    """A try that fails leaves the source waiting; another goes into it, and says in the end where it is from."""
    failed = hub.imported(address="hf:acme/gated", name="From there", variant="small")
    assert "gated: its owners ask for an agreement" in failed["error"]
    done = hub.imported(address="hf:acme/gated", key=TOKEN, name="From there", variant="small")
    assert (done["error"], done["instance_id"]) == ("", failed["instance_id"])
    with Hub(hub.url, hub.key) as at:
        instance = at.instances.resolve("from-there:small")
        assert at.models.get(instance.model_id).license == "Apache 2.0"
        assert [file.name for file in at.instances.files(instance.id)] == ["net.onnx", "net.onnx_data"]
    assert instance.imported is not None
    assert (instance.imported.by, instance.imported.revision) == ("hub", COMMIT)
    assert TOKEN in hub.face.keys
    written = [path for path in hub.served.home.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]


def test_the_pages_ask_and_tell(hub: Both) -> None:
    with hub.served.client(path="") as client:
        client.cookies.set(COOKIE, session(hub.url, hub.key))
        client.headers["Origin"] = hub.url
        assert "Import from Hugging Face or HubAI" in client.get("/models/new").text
        asked = {"address": "hubai:default/line-net:small", "key": "", "name": "By page", "variant": ""}
        wrong = client.post("/import", data=asked, headers={"HX-Request": "true"})
        assert "HubAI gives models to holders of a key" in wrong.text
        begun = client.post("/import", data={**asked, "key": hub.key})
        assert begun.status_code == 303
        assert "It goes on when this page is closed" in client.get(begun.headers["Location"]).text
        deadline = time.monotonic() + PATIENCE
        while "hx-get" in (part := client.get(f"{begun.headers['Location']}/standing").text):
            assert time.monotonic() < deadline, part
            time.sleep(0.3)
        assert "Goes to" in part, part
        page = client.get(begun.headers["Location"].removesuffix("/import")).text
        assert "default/line-net:small:1.2.0" in page
        assert "as its uploader says" not in page


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"address": "hf:acme"}, 422, "hf:OWNER/REPO/FILE"),
        ({"address": "hubai:default/line-net:small"}, 422, "holders of a key"),
        ({"address": "hf:acme/gated", "instance_id": "aimi_nowhere"}, 404, "aimi_nowhere"),
    ],
)
def test_what_is_asked_wrongly_is_not_begun(hub: Both, asked: dict[str, str], status: int, words: str) -> None:
    with hub.served.client() as client:
        answer = client.post("/imports", json=asked)
    assert answer.status_code == status
    assert words in answer.text

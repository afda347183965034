"""The client against a hub that is played: errors come back by name, and breaks are survived, but not for ever."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from oakmill import errors
from oakmill.client import Hub, Job, Line
from oakmill.client.connection import address_of
from oakmill.client.downloads import fetch
from oakmill.client.following import events
from oakmill.errors import (
    Conflict,
    Forbidden,
    HashMismatch,
    HubError,
    HubUnreachable,
    NotFound,
    OakmillError,
    OutputExists,
    SpecError,
    ToolFailed,
    Unavailable,
)
from oakmill.hub import problems
from oakmill.hub.wire import File, Upload

Handler = Callable[[httpx.Request], httpx.Response]
NAMED = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, OakmillError)]
JOB = {"id": "aij_1", "number": 1, "name": "net", "status": "running", "queued": "2026-01-01T00:00:00Z"}
DATA = bytes(range(256)) * 20_000


def played(handler: Handler, *, patience: float = 5.0) -> Hub:
    hub = Hub("http://hub", "oak_key", patience=patience)
    hub._connection.http = httpx.Client(transport=httpx.MockTransport(handler))
    hub._connection._has_answered = True
    return hub


@pytest.mark.parametrize("kind", NAMED, ids=lambda kind: kind.__name__)
def test_every_error_comes_back_by_name(kind: type[OakmillError]) -> None:
    error = kind("what happened", subject="on what", remedy="what to do")
    hub = played(lambda _: httpx.Response(error.status, json=problems.of(error).model_dump()), patience=0)
    with pytest.raises(OakmillError) as caught:
        hub.me()
    assert type(caught.value) is kind
    assert caught.value.as_dict() == error.as_dict()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (422, b'{"code": "InvalidRequest", "detail": "body.name: too long"}', SpecError),
        (403, b"<html>a proxy</html>", Forbidden),
        (504, b"", Unavailable),
        (500, b"[1]", HubError),
        (418, b'{"code": "annotations"}', HubError),
        (302, b"", HubUnreachable),
        (200, b"<html>another site</html>", HubUnreachable),
    ],
)
def test_other_answers_become_the_nearest_error(status: int, body: bytes, kind: type[OakmillError]) -> None:
    hub = played(lambda _: httpx.Response(status, content=body, headers={"Location": "/login"}), patience=0)
    with pytest.raises(OakmillError) as caught:
        hub.version()
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("localhost:8411", "http://localhost:8411"),
        ("127.0.0.1:8411/", "http://127.0.0.1:8411"),
        ("hub.example", "https://hub.example"),
        ("https://x.example/oak/api/v1", "https://x.example/oak"),
    ],
)
def test_addresses_as_people_type_them(given: str, meant: str) -> None:
    assert address_of(given) == meant


@pytest.mark.parametrize("given", ["", "ftp://hub", "http://", "http://h:99999", "http://h/?x=1"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(SpecError):
        address_of(given)


def test_asking_is_tried_again_and_making_is_not() -> None:
    asked: list[str] = []

    def breaking(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        if len(asked) < 3:
            raise httpx.ReadError("reset")
        return httpx.Response(200, json={"items": []})

    assert list(played(breaking).keys.list()) == []
    assert asked == ["GET"] * 3
    asked.clear()
    with pytest.raises(HubUnreachable):
        played(breaking).models.create("net")
    assert asked == ["POST"]


def test_patience_ends() -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(HubUnreachable, match="refused"):
        played(silent, patience=0.3).me()


def test_the_key_is_not_shown() -> None:
    assert "oak_key" not in repr(played(lambda _: httpx.Response(200))._connection)


# Following


def stream(*parts: tuple[str, int, object], end: str = "") -> bytes:
    said = [f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n" for kind, number, data in parts]
    return "".join(said).encode() + end.encode()


def line(number: int) -> tuple[str, int, object]:
    return "line", number, {"number": number, "at": "2026-01-01T00:00:00Z", "text": f"line {number}"}


def test_following_goes_on_where_it_was() -> None:
    cut = stream(("job", 0, JOB), line(1), line(2), end='id: 3\nevent: line\ndata: {"num')
    rest = stream(line(3), ("job", 3, {**JOB, "status": "succeeded"}), ("end", 3, "succeeded"))
    answers, known = iter([cut, b"", rest]), []

    def hub(request: httpx.Request) -> httpx.Response:
        known.append(request.headers["last-event-id"])
        return httpx.Response(200, content=next(answers))

    told = list(played(hub).jobs.follow("aij_1"))
    assert [item.number for item in told if isinstance(item, Line)] == [1, 2, 3]
    assert [item.status for item in told if isinstance(item, Job)] == ["running", "succeeded"]
    assert known == ["0", "2", "2"]


def test_a_stream_that_never_says_anything_is_not_followed_for_ever() -> None:
    with pytest.raises(HubUnreachable):
        list(played(lambda _: httpx.Response(200, content=b""), patience=0.3).jobs.follow("aij_1"))


def test_a_job_that_is_not_there_is_not_waited_for() -> None:
    answer = problems.of(NotFound("no job")).model_dump()
    with pytest.raises(NotFound):
        list(played(lambda _: httpx.Response(404, json=answer)).jobs.follow("aij_1"))


def test_events_with_comments_and_several_lines_of_data() -> None:
    (event,) = events([": still here", "", "retry: 500", "", "id: 7", "data: a", "data:b", ""])
    assert (event.id, event.data) == ("7", ["a", "b"])


def test_a_failed_job_raises_what_it_failed_with() -> None:
    failure = {"code": "CompileFailed", "sentence": "no such layer", "log": ["a", "b"], "remedies": [{"text": "cut"}]}
    job = Job.model_validate({**JOB, "status": "failed", "failure": failure})
    with pytest.raises(ToolFailed, match="no such layer") as caught:
        job.require_success()
    assert (caught.value.code, caught.value.remedy, caught.value.log) == ("CompileFailed", "cut", "a\nb")
    with pytest.raises(Conflict, match="cancelled"):
        Job.model_validate({**JOB, "status": "cancelled"}).require_success()


# Uploading


class Taking:
    """A hub that takes an upload, and breaks the connection at these bytes."""

    def __init__(self, *breaks: int) -> None:
        self.data, self.breaks, self.offsets = b"", list(breaks), list[int]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH":
            return self._append(request)
        body = {"id": "aiu_1", "name": "f", "offset": len(self.data), "status": "open", "size": len(DATA)}
        return httpx.Response(200, json=body)

    def _append(self, request: httpx.Request) -> httpx.Response:
        offset = int(request.headers["upload-offset"])
        self.offsets.append(offset)
        if offset != len(self.data):
            error = errors.OffsetConflict("elsewhere", subject=str(len(self.data)))
            return httpx.Response(409, json=problems.of(error).model_dump())
        self.data += request.read()
        if self.breaks:
            self.data = self.data[: self.breaks.pop(0)]
            raise httpx.WriteError("reset")
        return httpx.Response(204)


def test_an_upload_goes_on_after_each_break(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(DATA)
    taking, seen = Taking(1_000_000, 3_000_000), list[int]()
    hub = played(taking)
    hub.uploads.send(hub.uploads.get("aiu_1"), path, progress=lambda done, total: seen.append(done))
    assert taking.data == DATA
    assert taking.offsets == [0, 1_000_000, 3_000_000]
    assert seen[-1] == len(DATA)


def test_an_upload_that_another_began_goes_on_where_the_hub_says(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(DATA)
    taking = Taking()
    taking.data = DATA[:700]
    upload = Upload(id="aiu_1", name="f", size=len(DATA), offset=0, status="open")
    played(taking).uploads.send(upload, path)
    assert taking.data == DATA
    assert taking.offsets == [0, 700]


def test_an_upload_that_never_gets_on_ends(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(DATA)
    hub = played(Taking(*[0] * 50), patience=0.3)
    with pytest.raises(HubUnreachable):
        hub.uploads.send(hub.uploads.get("aiu_1"), path)


# Downloading


def file_of(data: bytes) -> File:
    return File(id="aimf_1", name="m.blob", role="model", sha256=hashlib.sha256(data).hexdigest(), size=len(data))


class Giving:
    """A hub that gives a file, so many bytes each time."""

    def __init__(self, data: bytes, *pieces: int) -> None:
        self.data, self.pieces, self.ranges = data, list(pieces), list[str]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        wanted = request.headers["range"]
        self.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        end = start + self.pieces.pop(0) if self.pieces else None
        return httpx.Response(206, content=self.data[start:end])


def test_a_download_goes_on_where_it_was_and_has_its_name_when_whole(tmp_path: Path) -> None:
    giving, target = Giving(DATA, 10, 500), tmp_path / "new" / "m.blob"
    assert fetch(played(giving)._connection, file_of(DATA), lambda: "http://hub/f", target).read_bytes() == DATA
    assert giving.ranges == ["bytes=0-", "bytes=10-", "bytes=510-"]
    assert list(target.parent.iterdir()) == [target]


def test_what_an_earlier_process_fetched_is_not_fetched_again(tmp_path: Path) -> None:
    giving, target = Giving(DATA, 10, 0, 0, 0, 0, 0), tmp_path / "m.blob"
    with pytest.raises(HubUnreachable):
        fetch(played(giving, patience=0.2)._connection, file_of(DATA), lambda: "http://hub/f", target)
    assert not target.exists()
    again = Giving(DATA)
    fetch(played(again)._connection, file_of(DATA), lambda: "http://hub/f", target)
    assert again.ranges == ["bytes=10-"]
    assert target.read_bytes() == DATA


def test_other_bytes_than_announced_are_refused_and_gone(tmp_path: Path) -> None:
    other = b"x" + DATA[1:]
    with pytest.raises(HashMismatch):
        fetch(played(Giving(other))._connection, file_of(DATA), lambda: "http://hub/f", tmp_path / "m.blob")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_that_name_is_kept_unless_it_is_the_same(tmp_path: Path) -> None:
    target, giving = tmp_path / "m.blob", Giving(DATA)
    target.write_bytes(b"mine")
    with pytest.raises(OutputExists):
        fetch(played(giving)._connection, file_of(DATA), lambda: "http://hub/f", target)
    assert target.read_bytes() == b"mine"
    fetch(played(giving)._connection, file_of(DATA), lambda: "http://hub/f", target, overwrite=True)
    fetch(played(giving)._connection, file_of(DATA), lambda: "http://hub/f", target)
    assert len(giving.ranges) == 1


def test_an_expired_link_is_renewed_and_a_file_that_is_gone_is_not_asked_for_for_ever(tmp_path: Path) -> None:
    links = iter(["http://hub/old", "http://hub/new"])

    def hub(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/new":
            return httpx.Response(206, content=DATA[int(request.headers["range"][6:-1]) :])
        if request.headers["range"] == "bytes=0-":
            return httpx.Response(206, content=DATA[:100])
        return httpx.Response(404, json=problems.of(NotFound("expired")).model_dump())

    target = tmp_path / "m.blob"
    fetch(played(hub)._connection, file_of(DATA), lambda: next(links), target)
    assert target.read_bytes() == DATA
    gone = played(lambda _: httpx.Response(404))
    with pytest.raises(NotFound):
        fetch(gone._connection, file_of(DATA), lambda: "http://hub/f", tmp_path / "other.blob")

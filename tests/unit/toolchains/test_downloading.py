"""A large archive comes whole over a line that is cut, and nothing else is taken for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from oakmill.processes.events import ToolEvent
from oakmill.toolchains import downloading
from oakmill.toolchains.downloading import Download, DownloadFailed
from tests.unit.toolchains.archive_server import Service, serving

DATA = b"PK\x03\x04" + bytes(range(256)) * 4000


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Service(DATA)) as it:
        yield it


class Arriving:
    """A download into a folder, with all that it tells."""

    def __init__(self, service: Service, folder: Path, *hosts: str) -> None:
        self.told: list[ToolEvent] = []
        self.part = folder / ".sdk.part"
        self.download = Download(
            f"{service.url}/v1.zip", self.part, b"PK\x03\x04", "Fetch it by hand.", self.told.append, hosts
        )

    def fetch(self) -> bytes:
        self.download.fetch()
        return self.part.read_bytes()

    def refused(self) -> DownloadFailed:
        with pytest.raises(DownloadFailed) as caught:
            self.download.fetch()
        return caught.value


@pytest.fixture
def arriving(service: Service, tmp_path: Path) -> Arriving:
    return Arriving(service, tmp_path)


def test_a_file_comes_whole_with_its_size_and_how_far_it_is(service: Service, arriving: Arriving) -> None:
    assert arriving.fetch() == DATA
    assert f"Downloading {service.url}/v1.zip, 1 MB" in [event.line for event in arriving.told]
    last = arriving.told[-1]
    assert (last.what, last.done, last.total, last.unit) == ("downloading", 1, 1, "MB")


def test_a_cut_download_goes_on_from_the_byte_where_it_was_cut(service: Service, arriving: Arriving) -> None:
    service.cuts = [1000, 500_000]
    assert arriving.fetch() == DATA
    assert [asked for _, asked in service.asked] == ["", "bytes=1000-", "bytes=501000-"]


def test_what_came_stays_for_the_next_command(service: Service, tmp_path: Path, arriving: Arriving) -> None:
    service.cuts = [600_000, 0, 0, 0]
    error = arriving.refused()
    assert "1 MB of it are here" in error.message
    assert error.remedy.startswith("Give the same command again: it goes on from there.")
    service.asked.clear()
    assert Arriving(service, tmp_path).fetch() == DATA
    assert service.asked == [("/v1.zip", "bytes=600000-")]


def test_a_file_that_changed_between_two_pieces_is_fetched_anew(service: Service, tmp_path: Path) -> None:
    """Half of each would be neither: the server says by If-Range that its file is another one, and gives all of it."""
    service.cuts = [600_000, 0, 0, 0]
    Arriving(service, tmp_path).refused()
    service.data, service.tag = DATA[::-1].replace(DATA[::-1][:4], b"PK\x03\x04", 1), '"two"'
    second = Arriving(service, tmp_path)
    assert second.fetch() == service.data
    assert any("has changed" in event.line for event in second.told)


@pytest.mark.parametrize(("other", "tag"), [(DATA + b"more", '"one"'), (DATA[:-1] + b"?", '"two"')])
def test_a_server_that_goes_on_with_another_file_is_not_believed(
    service: Service, arriving: Arriving, other: bytes, tag: str
) -> None:
    """Some servers know no If-Range, and answer 206 in any case: their length or tag gives the change away."""
    service.cuts, service.knows_if_range, service.after = [600_000], False, [(other, tag)]
    assert arriving.fetch() == other
    assert [asked for _, asked in service.asked] == ["", "bytes=600000-", ""]


def test_without_a_mark_of_the_files_state_nothing_is_gone_on_with(service: Service, arriving: Arriving) -> None:
    service.tag, service.cuts = 'W/"weak"', [1000]
    assert arriving.fetch() == DATA
    assert [asked for _, asked in service.asked] == ["", ""]


def test_a_server_without_ranges_gives_the_file_anew(service: Service, arriving: Arriving) -> None:
    service.ranges, service.cuts = False, [1000]
    assert arriving.fetch() == DATA


def test_a_file_shorter_than_announced_is_told(service: Service, arriving: Arriving) -> None:
    service.announced, service.tag = len(DATA) + 10, ""
    assert "could not be downloaded whole" in arriving.refused().message


def test_another_host_is_followed_only_where_it_is_allowed(
    service: Service, arriving: Arriving, tmp_path: Path
) -> None:
    service.redirect = f"{service.url.replace('127.0.0.1', 'localhost')}/moved.zip"
    error = arriving.refused()
    assert "redirects to http://localhost:" in error.message
    assert "OAKMILL_ARCHIVE_HOSTS='[\"localhost\"]'" in error.remedy
    assert [path for path, _ in service.asked] == ["/v1.zip"]
    assert Arriving(service, tmp_path, "localhost").fetch() == DATA


def test_its_own_host_may_lead_on_but_not_for_ever(service: Service, arriving: Arriving) -> None:
    service.redirect = "/moved.zip"
    assert arriving.fetch() == DATA
    arriving.download.forget()
    service.redirect = "/again.zip"
    assert "leads on more than 5 times" in arriving.refused().message


def test_a_redirection_to_a_file_is_refused(service: Service, arriving: Arriving) -> None:
    service.redirect = "file:///etc/passwd"
    assert "which is refused" in arriving.refused().message


def test_a_page_that_asks_to_sign_in_is_told_for_what_it_is(service: Service, arriving: Arriving) -> None:
    service.kind, service.data = "text/html; charset=utf-8", b"<html><title>Sign in - Vendor</title>"
    error = arriving.refused()
    assert "gives no archive but text/html, 'Sign in - Vendor'. The server may ask for a sign-in." in error.message
    assert error.remedy == "Fetch it by hand."
    service.kind, service.data = "application/zip", DATA
    assert arriving.fetch() == DATA


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_told_at_once(service: Service, arriving: Arriving, status: int) -> None:
    service.statuses = [status]
    assert f"the server answers {status}" in arriving.refused().message
    assert len(service.asked) == 1


def test_a_busy_server_is_asked_again(service: Service, arriving: Arriving) -> None:
    service.statuses = [503, 500]
    assert arriving.fetch() == DATA


def test_nobody_there_is_told(tmp_path: Path) -> None:
    error = Arriving(Service(url="http://127.0.0.1:9"), tmp_path).refused()
    assert "could not be downloaded: ConnectError" in error.message
    assert error.remedy == "Fetch it by hand."


def test_no_room_is_told_before_anything_is_downloaded(
    service: Service, arriving: Arriving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    error = arriving.refused()
    assert "is 1 MB long, and 0 MB are free" in error.message
    assert "OAKMILL_HOME" in error.remedy
    assert not arriving.part.exists()


def test_a_length_that_no_archive_has_is_refused(service: Service, arriving: Arriving) -> None:
    service.announced = 1 << 50
    assert "which no such archive is" in arriving.refused().message


def test_what_signs_in_at_a_mirror_is_shown_and_kept_nowhere(service: Service, tmp_path: Path) -> None:
    """An address with a password, or a signed one, stood in messages, logs and the record of an archive's first use."""
    arriving = Arriving(service, tmp_path)
    service.cuts = [1000]
    service.statuses = [503]
    signed = f"{service.url}/v1.zip?signature=hidden".replace("//", "//me:hidden@", 1)
    arriving.download = replace(arriving.download, url=signed)
    assert arriving.fetch() == DATA
    assert service.asked[0][0] == "/v1.zip?signature=hidden"
    kept = "".join(path.read_text() for path in tmp_path.glob("*.json"))
    service.statuses = [404]
    arriving.download.forget()
    error = arriving.refused()
    assert f"{service.url}/v1.zip" in kept and f"{service.url}/v1.zip" in error.message
    assert "hidden" not in f"{arriving.told}{kept}{error.as_dict()}"

"""Connections that only hold a place are ended, and those that move are left alone."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn

from oakmill.server import connections
from oakmill.server.connections import Connection, Rarely

LARGE = 400 << 16
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Read the body to its end, then answer; `/large` with more than a socket takes."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    large = scope["path"] == "/large"
    for _ in range(LARGE >> 16 if large else 1):
        await send({"type": "http.response.body", "body": b"x" * (1 << 16 if large else 2), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A server whose patience is short."""
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.6)
    monkeypatch.setattr(connections, "STALLED_SECONDS", 0.9)
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(Connection, "most", 20)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(answer, http=Connection, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b""),
        (b"GET / HT", b""),
        (HEAD, b"A: 1\r\n"),  # a header now and then
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n12", b""),
    ],
)
def test_who_holds_a_place_and_does_not_go_on_loses_it(address: tuple[str, int], first: bytes, then: bytes) -> None:
    """1,100 connections without a word kept a hub from answering anybody, without a key."""
    with socket.create_connection(address, 10) as client:
        client.sendall(first)
        _wait_until_ended(client, then)


def test_a_second_request_has_no_more_time_than_the_first(address: tuple[str, int]) -> None:
    with socket.create_connection(address, 10) as client:
        client.sendall(HEAD + b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        client.sendall(HEAD)
        _wait_until_ended(client, b"A: 1\r\n")


def _wait_until_ended(client: socket.socket, then: bytes) -> None:
    deadline = time.monotonic() + 120
    while _is_open(client):
        assert time.monotonic() < deadline
        time.sleep(0.1)
        with suppress(OSError):
            client.sendall(then)


def _is_open(client: socket.socket) -> bool:
    """By the kernel's word, without reading: 1 is established (linux/tcp.h)."""
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1


def test_an_answer_that_nobody_takes_is_cut(address: tuple[str, int]) -> None:
    with socket.create_connection(address, 20) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(3)
        taken = 0
        with suppress(ConnectionError):
            while piece := client.recv(1 << 20):
                taken += len(piece)
        assert taken < LARGE


def test_an_answer_that_is_taken_slowly_is_whole(address: tuple[str, int]) -> None:
    with socket.create_connection(address, 20) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        taken = 0
        while piece := client.recv(1 << 20):
            taken += len(piece)
            time.sleep(0.05)
        assert taken > LARGE


def test_a_slow_body_that_goes_on_is_waited_for(address: tuple[str, int]) -> None:
    with socket.create_connection(address, 10) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            time.sleep(0.2)
            client.sendall(b"x")
        assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_one_more_than_there_may_be_ends_the_one_that_waited_longest(address: tuple[str, int]) -> None:
    clients = [socket.create_connection(address, 10) for _ in range(25)]
    clients[-1].sendall(HEAD + b"\r\n")
    assert clients[-1].recv(100).startswith(b"HTTP/1.1 200")
    assert not _is_open(clients[0])
    for client in clients:
        client.close()


def test_a_message_that_strangers_cause_is_written_once_a_minute() -> None:
    """The log of a hub under attack grew by 191 MB a minute."""
    rarely = Rarely(below=logging.ERROR, seconds=0.2)

    def said(level: int = logging.WARNING) -> logging.LogRecord | None:
        record = logging.LogRecord("x", level, "", 0, "Invalid HTTP request received.", None, None)
        return record if rarely.filter(record) else None

    assert [said() is not None for _ in range(3)] == [True, False, False]
    assert said(logging.ERROR) is not None
    time.sleep(0.25)
    again = said()
    assert again is not None
    assert "(2 more like this" in again.getMessage()

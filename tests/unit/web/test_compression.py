from __future__ import annotations

import gzip

import pytest
from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from oakmill.web.compression import SMALLEST, compress

LONG = "<p>words</p>" * 500


def answer(response: Response, accepts: str) -> Response:
    compress(Request({"type": "http", "headers": [(b"accept-encoding", accepts.encode())]}), response)
    return response


@pytest.mark.parametrize("accepts", ["gzip", "br, gzip;q=0.8", "*"])
def test_a_page_is_packed_for_who_can_unpack_it(accepts: str) -> None:
    made = answer(HTMLResponse(LONG), accepts)
    assert gzip.decompress(bytes(made.body)).decode() == LONG
    assert made.headers["content-encoding"] == "gzip"
    assert int(made.headers["content-length"]) == len(made.body) < len(LONG)
    assert made.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("accepts", ["", "br", "gzip;q=0", "identity"])
def test_who_cannot_gets_it_plain_and_caches_tell_them_apart(accepts: str) -> None:
    made = answer(HTMLResponse(LONG), accepts)
    assert bytes(made.body).decode() == LONG
    assert made.headers["vary"] == "Accept-Encoding"


def test_short_answers_and_what_is_no_text_go_as_they_are() -> None:
    for response in (HTMLResponse("x" * (SMALLEST - 1)), Response(b"\0" * 5000, media_type="application/zip")):
        assert "content-encoding" not in answer(response, "gzip").headers

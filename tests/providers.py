"""Sign-in providers for tests: a real, certified one as a process (npm's oidc-provider), and one that lies."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwk, jwt

from tests.conftest import PROJECT
from tests.hub_servers import end_process, free_port, wait_until_up

Answer = Callable[[BaseHTTPRequestHandler], None]
SECRET = "a secret of / these tests"


@dataclass
class RealProvider:
    """A provider that runs, and the file in which its people stand."""

    port: int
    people: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def say(self, **people: dict[str, Any]) -> None:
        """Who may sign in from now on, by what they type as their login, with their claims."""
        self.people.write_text(json.dumps(people))

    def start(self, redirect_uri: str) -> None:
        with (self.people.parent / "provider.log").open("ab") as log:
            command = ["node", str(PROJECT / "tests" / "provider.mjs"), str(self.port), redirect_uri, str(self.people)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=PROJECT)
        wait_until_up(lambda: socket.create_connection(("127.0.0.1", self.port), 1).close(), self.process)

    def end(self) -> None:
        if self.process is not None:
            end_process(self.process)
            self.process = None


@contextmanager
def real_provider(folder: Path) -> Iterator[RealProvider]:
    """A provider that is not started yet; it is ended with the block."""
    if shutil.which("node") is None or not (PROJECT / "node_modules" / "oidc-provider").exists():
        pytest.skip("the provider for tests is not there (./run fetches it with node and npm)")
    found = RealProvider(free_port(), folder / "people.json")
    try:
        yield found
    finally:
        found.end()


class ScriptedProvider:
    """A provider on loopback that answers as a test says; its own token is sound unless the test makes it otherwise."""

    def __init__(self) -> None:
        self._own = jwk.RSAKey.generate_key(2048, parameters={"kid": "ours", "use": "sig"})
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.forms: list[str] = []
        self.key = self._own
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self.behave()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def behave(self, **document: Any) -> None:
        """Answer as a sound provider does, with other words in its document where they are given."""
        self.asked, self.forms, self.key = [], [], self._own
        words = {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks",
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
        }
        self.answers = {
            "/.well-known/openid-configuration": json_answer(words | document),
            "/jwks": json_answer({"keys": [self.key.as_dict(private=False)]}),
        }

    def claims(self, **more: Any) -> dict[str, Any]:
        """What a sound token says, and what a test changes of it."""
        now = int(time.time())
        sound = {"iss": self.issuer, "aud": "oakmill", "sub": "u1", "iat": now, "exp": now + 300, "groups": ["seers"]}
        return {name: value for name, value in (sound | more).items() if value is not None}

    def token(self, header: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
        head = {"alg": "RS256", "kid": "ours"} | (header or {})
        return jwt.encode(head, self.claims(**claims), key or self.key, algorithms=[head["alg"]])

    def gives(self, id_token: str, **more: Any) -> None:
        """From now on, the token for any code."""
        self.answers["/token"] = json_answer(
            {"access_token": "a", "token_type": "Bearer", "id_token": id_token, **more}
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                ours.asked.append(self.path)
                with suppress(OSError):  # whoever asked may have had enough
                    ours.answers.get(self.path, not_found)(self)

            def do_POST(self) -> None:
                ours.forms.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def json_answer(body: Any, status: int = 200) -> Answer:
    """An answer of that JSON."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        data = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def not_found(handler: BaseHTTPRequestHandler) -> None:
    handler.send_error(404)


def redirect(where: str) -> Answer:
    """An answer that leads elsewhere."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", where)
        handler.end_headers()

    return answer


def endless(pause: float, piece: bytes) -> Answer:
    """An answer that has begun, and has no end."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(piece)
            time.sleep(pause)

    return answer

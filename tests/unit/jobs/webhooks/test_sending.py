"""What is sent goes to who was looked at, and nothing that the other side does takes long, or much."""

from __future__ import annotations

import socket
import ssl
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from oakmill.jobs.webhooks import sending
from oakmill.jobs.webhooks.sending import Outcome, send
from oakmill.settings import Settings
from oakmill.storage.database import now
from tests.receiver import LOOPBACK, receiving


def sent(url: str, tmp_path: Path, **settings: Any) -> Outcome:
    given = {"webhook_networks": LOOPBACK, "webhook_seconds": 5, **settings}
    return send(url, b"{}", {"webhook-id": "msg_1"}, Settings(home=tmp_path, **given))


def leading_to(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Names lead to these addresses, one after the other; which were asked for."""
    asked: list[str] = []
    really = socket.getaddrinfo

    def resolve(host: str, port: int, *more: Any, **options: Any) -> list[Any]:
        if host[0].isdigit():  # an address is no question
            return [*really(host, port, *more, **options)]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers[min(len(asked), len(answers)) - 1], port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_an_answer_of_200_has_arrived_and_others_have_not(tmp_path: Path) -> None:
    with receiving(204, 500) as receiver:
        assert sent(receiver.url, tmp_path).code == 204
        refused = sent(receiver.url, tmp_path)
    assert (refused.code, refused.error) == (500, "the receiver answers 500")
    assert receiver.heard[0].headers["webhook-id"] == "msg_1"
    assert receiver.heard[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "0.0.0.0",
     "10.0.0.7", "169.254.169.254", "192.168.1.1", "100.64.0.1", "[fe80::1]", "[fd00::1]", "224.0.0.1", "2130706433",
     "[fec0::1]", "[::7f00:1]", "[64:ff9b:1::7f00:1]", "[::ffff:0:7f00:1]"],
)  # fmt: skip
def test_private_addresses_are_not_gone_to(tmp_path: Path, host: str) -> None:
    """Whoever may add a webhook could have made the hub speak to the machines behind the company's wall."""
    with receiving() as receiver:
        port = receiver.url.split(":")[2]
        found = sent(f"http://{host}:{port}", tmp_path, webhook_networks=())
    assert "which is in no network that webhooks may go to" in found.error
    assert not receiver.heard


def test_a_name_is_asked_for_once_and_held_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads to a public address when it is looked at, and home when it is connected to, led home."""
    with receiving() as receiver:
        asked = leading_to(monkeypatch, "127.0.0.1", "169.254.169.254")
        found = sent(receiver.url.replace("127.0.0.1", "rebinding.example"), tmp_path)
    assert asked == ["rebinding.example"]
    assert found.code == 204
    assert receiver.heard[0].headers["host"].startswith("rebinding.example:")


def test_one_private_address_among_public_ones_is_enough_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [(socket.AF_INET, 1, 6, "", (item, 80)) for item in ("93.184.215.14", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: asked)
    assert "leads to 10.0.0.1" in sent("https://both.example", tmp_path).error


def test_only_https_goes_to_the_public_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leading_to(monkeypatch, "93.184.215.14")
    assert "only https goes" in sent("http://plain.example", tmp_path).error


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of hook.example, signed by itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hook.example")])
    names = x509.SubjectAlternativeName([x509.DNSName("hook.example")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now() - timedelta(hours=1)).not_valid_after(now() + timedelta(hours=1))
    signed = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = tmp_path / "certificate.pem"
    path.write_bytes(pem + signed.public_bytes(serialization.Encoding.PEM))
    return path


def test_https_goes_to_who_has_the_names_certificate_and_to_nobody_else(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an address that is connected to, and all the same the name that the certificate is for."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    with receiving(tls=server) as receiver:
        leading_to(monkeypatch, "127.0.0.1")
        url = receiver.url.replace("127.0.0.1", "hook.example")
        assert "CERTIFICATE_VERIFY_FAILED" in sent(url, tmp_path).error
        monkeypatch.setattr(sending, "_trust", lambda: ssl.create_default_context(cafile=certificate))
        assert "certificate is not valid for 'other.example'" in sent(url.replace("hook", "other"), tmp_path).error
        assert not receiver.heard
        assert sent(url, tmp_path).code == 204
    assert len(receiver.heard) == 1


def test_a_redirection_is_an_answer_and_not_followed(tmp_path: Path) -> None:
    """A receiver on the public network could have sent the hub on to a private one."""
    with receiving() as inside:

        def lead_on(handler: Any) -> None:
            handler.send_response(307)
            handler.send_header("Location", inside.url)
            handler.end_headers()

        with receiving(lead_on) as receiver:
            found = sent(receiver.url, tmp_path)
    assert (found.code, found.error) == (307, "the receiver answers 307")
    assert not inside.heard


def drip(handler: Any) -> None:
    """Headers without an end, a byte now and then."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(300):
        handler.wfile.write(b"a")
        handler.wfile.flush()
        time.sleep(0.05)


def flood(handler: Any) -> None:
    """Headers without an end, all at once."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        handler.wfile.write(f"X-{number}: {'a' * 100}\r\n".encode())


def long(handler: Any) -> None:
    """A body without an end."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(10_000):
        handler.wfile.write(b"a" * 10_000)


def test_an_answer_that_drips_is_waited_for_no_longer_than_any(tmp_path: Path) -> None:
    with receiving(drip) as receiver:
        found = sent(receiver.url, tmp_path, webhook_seconds=0.5)
    assert found.error == "there was no answer within 0.5 s"
    assert found.seconds < 5


def test_an_answer_without_end_is_read_no_further_than_is_shown(tmp_path: Path) -> None:
    with receiving(flood, long) as receiver:
        assert sent(receiver.url, tmp_path).error
        found = sent(receiver.url, tmp_path)
    assert (found.code, found.error, len(found.answer)) == (200, "", 1000)


@pytest.mark.parametrize("url", ["https://a..b/", f"https://{'a' * 70}.example/", "http://nobody.invalid/"])
def test_names_that_lead_nowhere_are_told(tmp_path: Path, url: str) -> None:
    assert "there is no host" in sent(url, tmp_path).error


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found = sent(f"http://127.0.0.1:{taken.getsockname()[1]}/", tmp_path)
    assert "refused" in found.error.lower()

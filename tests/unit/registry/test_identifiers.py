from __future__ import annotations

import re

import pytest

from oakmill.errors import SpecError
from oakmill.registry.identifiers import Address, is_id, new_id, slugify


def test_identifiers_look_as_luxonis_clients_take_them_and_are_never_given_twice() -> None:
    given = {new_id("aimi") for _ in range(1000)}
    assert len(given) == 1000
    assert all(re.fullmatch(r"aimi_[2-9A-HJ-NP-Za-km-z]{22}", one) and is_id(one) for one in given)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("My_Net.v1", "my_net.v1"),
        (" Yolo 11 N ", "yolo-11-n"),
        ("ai_detector", "m-ai_detector"),
        ("AI_detector", "m-ai_detector"),
        ("aircraft", "aircraft"),
        ("6f9619ff-8b86-d011-b42d-00c04fc964ff", "m-6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ("Čeřpadlo", "čeřpadlo"),
    ],
)
def test_a_slug_is_what_luxonis_client_derives_and_is_never_taken_for_an_identifier(name: str, slug: str) -> None:
    assert slugify(name) == slug
    assert not is_id(slug)


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a:b", "a\nb", "a\0b", "x" * 256, "a\u202eb"])
def test_a_name_that_an_address_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(SpecError):
        slugify(name)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("net", Address("net")),
        ("luxonis/net", Address("net", "luxonis")),
        ("net:288x512", Address("net", None, "288x512")),
        ("luxonis/net:288x512:1.0.2", Address("net", "luxonis", "288x512", "1.0.2")),
        ("net:288x512:1a2b3c4", Address("net", None, "288x512", None, "1a2b3c4")),
        ("net:288x512:2024123", Address("net", None, "288x512", "2024123", "2024123")),
    ],
)
def test_an_address_is_read_and_written(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "/net", "a/b/net", "net:", "net::1", "net:a:b:c", ":v"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="not an address"):
        Address.parse(text)

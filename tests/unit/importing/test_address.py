"""Addresses of models elsewhere are read as they are meant, and nothing else is."""

from __future__ import annotations

import pytest

from oakmill.errors import SpecError
from oakmill.importing.address import HubAiAddress, HuggingFaceAddress, parse


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("hf:acme/net", HuggingFaceAddress("acme/net")),
        ("hf:acme/net/onnx/net.onnx", HuggingFaceAddress("acme/net", "onnx/net.onnx")),
        ("hf:acme/net/a b.onnx@refs/pr/1", HuggingFaceAddress("acme/net", "a b.onnx", "refs/pr/1")),
        ("hubai:acme/net:small", HubAiAddress("acme/net", "small")),
        ("hubai:net:small:1.2.0", HubAiAddress("net", "small", version="1.2.0")),
        ("hubai:net:small:v2.0-rc.1", HubAiAddress("net", "small", version="v2.0-rc.1")),
        ("hubai:net:small:1234567", HubAiAddress("net", "small", short="1234567")),
    ],
)
def test_an_address_is_read_and_written_the_same(text: str, meant: HuggingFaceAddress | HubAiAddress) -> None:
    assert parse(text) == meant
    assert str(meant) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "hf:", "hf:acme", "hf:acme/net/", "hf:acme/net/../x.onnx", "hf:acme/net//x", "hf:-a/net", "hf:acme/net@",
        "hf:acme/net/x%2e.onnx", "hf:acme/net/a?b", "hf:acme/net/a\nb", "HF:acme/net", "hubai:net", "hubai:a/b/c:d",
        "hubai:net:small:1:2", "hubai:nét:small", "https://huggingface.co/acme/net", "hf:" + "a/" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_address_is_answered_with_the_forms(text: str) -> None:
    with pytest.raises(SpecError) as error:
        parse(text)
    assert "hf:OWNER/REPO/FILE" in error.value.remedy

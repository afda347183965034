from __future__ import annotations

from collections.abc import Iterator

import pytest

from oakmill import settings
from oakmill.errors import SettingRefused


@pytest.fixture
def anew() -> Iterator[None]:
    settings.current.cache_clear()
    yield
    settings.current.cache_clear()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OAKMILL_PORT", "x", "valid integer"),
        ("OAKMILL_OIDC_GROUPS", "{", "it is no JSON"),
        ("OAKMILL_OIDC_GROUPS", '{"ml": "vision"}', "ml: "),
        ("OAKMILL_OIDC_ISSUER", "http://login.example.com", "should match"),
        ("OAKMILL_CI_REPOSITORIES", '[{"kind": "github", "repository": "acme/models"}]', "0.team: Field required"),
    ],
)
def test_a_wrong_variable_is_named_with_what_it_is_for(
    monkeypatch: pytest.MonkeyPatch, anew: None, name: str, value: str, words: str
) -> None:
    """Each command ended in a traceback of pydantic's, which showed the values of secrets too."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingRefused, match=name) as caught:
        settings.current()
    assert words in caught.value.message and caught.value.remedy

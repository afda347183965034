"""A hub imports nothing by itself unless its operator says so."""

from __future__ import annotations

from tests.api.conftest import API, World


def test_by_default_it_refuses_and_names_the_setting(world: World) -> None:
    for address in ("hf:acme/net", "hubai:acme/net:small"):
        answer = world.client.post(f"{API}/imports", json={"address": address}, headers=world.as_("Ours convert"))
        assert answer.status_code == 403
        assert "OAKMILL_IMPORT_FROM" in answer.json()["remedy"]


def test_it_takes_a_key_that_may_convert(world: World) -> None:
    answer = world.client.post(f"{API}/imports", json={"address": "hf:acme/net"}, headers=world.as_("Ours read"))
    assert answer.status_code == 403
    assert "does not allow convert" in answer.json()["detail"]


def test_what_was_not_imported_is_not_told_of(world: World) -> None:
    source = world.ids["Ours team instance"]
    answer = world.client.get(f"{API}/imports/{source}", headers=world.as_("Ours read"))
    assert answer.status_code == 404
    assert world.client.get(f"{API}/instances/{source}", headers=world.as_("Ours read")).json()["imported"] is None

"""A hub imports nothing by itself unless its operator says so."""

from __future__ import annotations

from oakmill.registry.tables import Instance, InstanceStatus, Origin
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


def test_what_has_its_files_or_is_a_jobs_result_takes_none(world: World) -> None:
    """A result that its conversion had yet to fill was filled by an import, and its job then had two models in it."""
    world.hub.settings = world.hub.settings.model_copy(update={"import_from": ("hf",)})
    source = world.ids["Ours team instance"]
    body = {"address": "hf:acme/net", "instance_id": source}
    for changes in ({"status": InstanceStatus.AVAILABLE}, {"parent_id": source, "origin": Origin.CONVERTED}):
        with world.hub.db.session() as session:
            row = session.get_one(Instance, source)
            row.status = InstanceStatus.PENDING
            for name, value in changes.items():
                setattr(row, name, value)
        answer = world.client.post(f"{API}/imports", json=body, headers=world.as_("Ours convert"))
        assert answer.status_code == 409 and "takes no more files" in answer.json()["detail"]

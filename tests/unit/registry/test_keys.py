from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from oakmill.errors import Forbidden, NoKey, NotFound, SpecError
from oakmill.registry import audit, keys, teams
from oakmill.registry.callers import ANONYMOUS
from oakmill.registry.tables import Key, Team
from oakmill.storage.database import now
from tests.unit.registry.conftest import People, a_model


@pytest.fixture
def team(session: Session) -> Team:
    return teams.create(session, name="Ours")


def test_a_key_is_stored_by_its_hash_alone_and_opens_once_made(session: Session, team: Team) -> None:
    key, raw = keys.create(session, team, name="ci", scopes=["convert", "read"])
    assert raw.startswith("oak_") and raw not in str(vars(key)) and key.prefix == raw[:10]
    caller = keys.authenticate(session, raw, address="10.0.0.1")
    assert (caller.key_id, caller.team_slug, caller.address) == (key.id, "ours", "10.0.0.1")
    assert caller.may("read") and caller.may("convert") and not caller.may("admin")


def test_unknown_expired_and_revoked_keys_are_refused_alike(session: Session, team: Team) -> None:
    expired, raw_expired = keys.create(session, team, name="old", scopes=["read"], expires=now() + timedelta(days=1))
    revoked, raw_revoked = keys.create(session, team, name="lost", scopes=["read"])
    expired.expires = now() - timedelta(seconds=1)
    revoked.revoked = now()
    session.flush()
    told = set()
    for raw in (raw_expired, raw_revoked, "oak_nothing", "", "ö"):
        with pytest.raises(NoKey) as caught:
            keys.authenticate(session, raw)
        told.add((caught.value.message, caught.value.remedy))
    assert len(told) == 1


@pytest.mark.parametrize("scopes", [[], ["write"], ["read", "root"]])
def test_a_key_has_scopes_that_are_known(session: Session, team: Team, scopes: list[str]) -> None:
    with pytest.raises(SpecError, match="scopes cannot be"):
        keys.create(session, team, name="ci", scopes=scopes)


def test_a_key_that_has_expired_is_not_made(session: Session, team: Team) -> None:
    with pytest.raises(SpecError, match="would have expired"):
        keys.create(session, team, name="ci", scopes=["read"], expires=now())


def test_the_first_start_makes_an_admin_key_and_the_second_none(session: Session) -> None:
    raw = keys.first(session)
    assert raw is not None and keys.authenticate(session, raw).may("admin")
    assert keys.first(session) is None


def test_the_last_use_is_noted_once_a_minute(session: Session, team: Team) -> None:
    key, raw = keys.create(session, team, name="ci", scopes=["read"])
    caller = keys.authenticate(session, raw)
    assert keys.is_due(caller)
    keys.touch(session, caller)
    session.refresh(key)
    first = key.last_used
    assert first is not None and not keys.is_due(keys.authenticate(session, raw))
    keys.touch(session, caller)
    session.refresh(key)
    assert key.last_used == first
    assert keys.is_due(replace(caller, last_used=now() - timedelta(minutes=2)))


def test_admins_list_and_revoke_their_teams_keys_and_no_others(session: Session, people: People) -> None:
    assert {key.team_id for key in keys.listed(session, people.admin)} == {people.ours.id}
    mine = str(people.mine.key_id)
    for caller, error in ((people.mine, Forbidden), (people.stranger, NotFound), (ANONYMOUS, NoKey)):
        with pytest.raises(error):
            keys.revoke(session, caller, mine)
    keys.revoke(session, people.admin, mine)
    assert session.get_one(Key, mine).revoked is not None
    assert audit.listed(session, people.admin)[0].action == "key.revoke"
    assert "key.revoke" not in {entry.action for entry in audit.listed(session, people.stranger)}


def test_an_admin_makes_keys_for_the_own_team_and_its_models_only(session: Session, people: People) -> None:
    theirs = a_model(session, people.stranger)
    with pytest.raises(Forbidden):
        keys.create(session, people.theirs, name="x", scopes=["read"], by=people.admin)
    with pytest.raises(NotFound):
        keys.create(session, people.ours, name="x", scopes=["read"], by=people.admin, model_id=theirs.id)


def test_an_admin_key_for_one_model_makes_no_key_and_reads_no_audit_log(session: Session, people: People) -> None:
    narrow = people.key(people.ours, "admin", model_id=a_model(session, people.mine).id)
    for act in (lambda: keys.create(session, people.ours, name="x", scopes=["admin"], by=narrow),
                lambda: keys.listed(session, narrow), lambda: audit.listed(session, narrow)):  # fmt: skip
        with pytest.raises(Forbidden, match="only"):
            act()

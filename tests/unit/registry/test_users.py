from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.errors import NoKey, NotFound
from oakmill.registry import access, keys, teams, users
from oakmill.registry.callers import LOCAL, Caller
from oakmill.registry.tables import Key, Model, User
from oakmill.registry.users import Grant, Person
from oakmill.storage.database import Database, now
from tests.unit.registry.conftest import People, a_model

ADA = Person("https://login.example.com", "u1", "ada@example.com", "Ada")


def comes(session: Session, grant: Grant | None, person: Person = ADA, days: int = 7) -> tuple[User, Key | None]:
    return users.come_in(session, person, grant, until=now() + timedelta(days=days))


def laptop(session: Session, user: User, scope: str) -> str:
    """A key that the user's command line has."""
    assert user.team_id is not None
    return keys.issue(session, LOCAL, user.team_id, name="laptop", scopes=[scope], user_id=user.id, origin="login")[1]


def caller_of(session: Session, key: Key | None) -> Caller:
    assert key is not None
    return keys.holder(session, key.id)


def test_a_user_has_one_key_for_web_sessions_which_each_sign_in_renews(session: Session, people: People) -> None:
    user, first = comes(session, Grant("ours", "convert"), days=1)
    again, second = comes(session, Grant("ours", "admin"), Person(ADA.issuer, ADA.subject, "ada@new.example.com"))
    assert first is second and user is again and user.email == "ada@new.example.com"
    found = caller_of(session, second)
    assert (found.user_name, sorted(found.scopes), found.team_slug) == ("ada@new.example.com", ["admin"], "ours")
    assert second is not None and second.expires is not None and second.expires > now() + timedelta(days=6)


def test_who_is_called_the_same_elsewhere_is_somebody_else(session: Session, people: People) -> None:
    user, _ = comes(session, Grant("ours", "convert"))
    other, _ = comes(session, Grant("ours", "read"), Person("https://other.example.com", "u1", "ada@example.com"))
    assert user.id != other.id
    with pytest.raises(NotFound, match="2 users are called"):
        users.disable(session, LOCAL, "ada@example.com")


def test_nobody_is_kept_from_being_shut_out_by_how_another_is_called(session: Session, people: People) -> None:
    """Two who had called one of them by the other's identifier at the provider could not be shut out any more."""
    user, _ = comes(session, Grant("ours", "convert"))
    comes(session, Grant("ours", "convert"), Person(ADA.issuer, "u2", user.id))
    assert users.disable(session, people.admin, user.id).disabled is not None


def test_who_is_shut_out_stays_in_sight_of_who_may_let_them_in(session: Session, people: People) -> None:
    """Whoever was shut out and tried to sign in all the same was in no team's list any more: no admin could enable."""
    user, key = comes(session, Grant("ours", "convert"))
    users.disable(session, people.admin, user.id)
    for grant in (Grant("ours", "convert"), Grant("theirs", "convert"), None):
        assert comes(session, grant)[1] is None
    assert [found.id for found in users.listed(session, people.admin)] == [user.id]
    assert users.enable(session, people.admin, user.id).disabled is None
    with pytest.raises(NoKey):
        caller_of(session, key)
    assert comes(session, Grant("ours", "convert"))[1] is not None


def test_other_keys_of_a_user_never_allow_more_than_their_groups(session: Session, people: People) -> None:
    user, _ = comes(session, Grant("ours", "admin"))
    strong, weak = laptop(session, user, "admin"), laptop(session, user, "read")
    comes(session, Grant("ours", "convert"))
    assert keys.authenticate(session, strong).scopes == {"convert"}
    assert keys.authenticate(session, weak).scopes == {"read"}
    comes(session, Grant("ours", "admin"))
    assert keys.authenticate(session, strong).scopes == {"convert"}


def test_who_changes_the_team_leaves_what_is_private_to_it(session: Session, people: People) -> None:
    user, key = comes(session, Grant("ours", "convert"))
    raw, old = laptop(session, user, "convert"), caller_of(session, key)
    model = a_model(session, old, "Hers", visibility="private")
    _, moved = comes(session, Grant("theirs", "convert"))
    with pytest.raises(NoKey):
        keys.authenticate(session, raw)
    with pytest.raises(NoKey):
        keys.holder(session, str(old.key_id))
    assert caller_of(session, moved).team_slug == "theirs"
    session.flush()
    assert model.team_id == people.ours.id and model.owner_key_id == user.id


def test_a_users_keys_see_the_same_private_models_and_a_colleague_none(session: Session, people: People) -> None:
    user, key = comes(session, Grant("ours", "convert"))
    model = a_model(session, caller_of(session, key), "Hers", visibility="private")
    own = keys.authenticate(session, laptop(session, user, "read"))
    assert access.seen(session, own, Model, model.id) is model
    assert access.seen(session, people.admin, Model, model.id) is model
    with pytest.raises(NotFound):
        access.seen(session, people.mine, Model, model.id)


def test_a_team_that_is_not_there_is_told(session: Session, people: People) -> None:
    with pytest.raises(NotFound, match="no team 'nowhere'"):
        comes(session, Grant("nowhere", "read"))


def test_keys_of_the_team_that_a_leaver_made_are_named(session: Session, people: People) -> None:
    user, key = comes(session, Grant("ours", "admin"))
    made, _ = keys.create(session, people.ours, name="ci", scopes=["convert"], by=caller_of(session, key))
    assert [found.id for found in users.keys_made(session, user)] == [made.id]
    users.disable(session, people.admin, user.id)
    assert keys.is_live(made)
    with pytest.raises(NotFound):
        users.enable(session, people.stranger, user.id)


def test_two_first_sign_ins_at_once_make_one_user(db: Database) -> None:
    with db.session() as session:
        teams.create(session, name="Ours")
    together, wrong = threading.Barrier(2), list[Exception]()

    def sign_in() -> None:
        together.wait()
        try:
            with db.session() as session:
                comes(session, Grant("ours", "read"))
        except Exception as error:  # noqa: BLE001 - told below, in the test's own thread
            wrong.append(error)

    threads = [threading.Thread(target=sign_in) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    with db.reading() as session:
        assert len(session.scalars(select(User)).all()) == 1
        assert len(session.scalars(select(Key).where(Key.revoked.is_(None))).all()) == 1

"""Aliases: what they point to is what an address with one means, and moves are remembered and do not race."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from oakmill.errors import Conflict, Forbidden, NotFound, SpecError
from oakmill.registry import aliases, deletion, resolve, variants
from oakmill.registry.identifiers import slugify
from oakmill.registry.tables import Alias, Model, Version
from oakmill.storage.database import Database
from tests.unit.registry.conftest import People, a_model, a_version, an_instance
from tests.unit.registry.racing import behind, race


@pytest.fixture
def versions(session: Session, people: People) -> list[Version]:
    """1.0.0 and 1.1.0 of My Net's small, each with a source."""
    model = a_model(session, people.mine)
    made = [a_version(session, people.mine, model, "small", number) for number in ("1.0.0", "1.1.0")]
    for number, version in enumerate(made):
        an_instance(session, people.mine, version, digest=f"{number}a" * 32)
    return made


def test_an_address_with_an_alias_means_the_version_it_points_to(
    session: Session, people: People, versions: list[Version]
) -> None:
    old, new = versions
    aliases.move(session, people.mine, old.id, "prod", why="signed off")
    for address in ("my-net:small@prod", "ours/my-net:small@prod", "my-net@prod", f"{old.model_id}@prod"):
        assert resolve.version(session, people.reader, address).id == old.id, address
        assert resolve.resolve(session, people.reader, address).version_id == old.id, address
    aliases.move(session, people.colleague, new.id, "prod", why="more images")
    assert resolve.resolve(session, people.reader, "my-net:small@prod").version_id == new.id
    aliases.back(session, people.mine, new.variant_id, "prod")
    assert resolve.resolve(session, people.reader, "my-net:small@prod").version_id == old.id
    told = [
        (move.from_version, move.to_version, move.why, move.key_id)
        for move in aliases.history(session, people.reader, old.model_id)
    ]
    assert told == [
        ("1.1.0", "1.0.0", aliases.BACK, people.mine.key_id),
        ("1.0.0", "1.1.0", "more images", people.colleague.key_id),
        (None, "1.0.0", "signed off", people.mine.key_id),
    ]
    aliases.remove(session, people.mine, old.variant_id, "prod")
    with pytest.raises(NotFound, match="alias"):
        resolve.resolve(session, people.reader, "my-net:small@prod")
    assert aliases.history(session, people.reader, old.model_id)[0].to_version is None


def test_an_alias_of_several_variants_needs_the_variant(
    session: Session, people: People, versions: list[Version]
) -> None:
    big = a_version(session, people.mine, session.get_one(Model, versions[0].model_id), "big", "3.0.0")
    for version in (versions[0], big):
        aliases.move(session, people.mine, version.id, "prod")
    with pytest.raises(Conflict, match="big, small") as told:
        resolve.version(session, people.reader, "my-net@prod")
    assert "my-net:big@prod" in told.value.remedy
    assert resolve.version(session, people.reader, "my-net:big@prod").id == big.id
    with pytest.raises(NotFound, match="available instance"):
        resolve.resolve(session, people.reader, "my-net:big@prod")  # never that of another version


def test_who_may_move_what_where(session: Session, people: People, versions: list[Version]) -> None:
    old, new = versions
    aliases.move(session, people.mine, old.id, "prod")
    with pytest.raises(Forbidden):
        aliases.move(session, people.reader, new.id, "prod")
    with pytest.raises(NotFound):
        aliases.move(session, people.stranger, new.id, "prod")
    with pytest.raises(NotFound):
        aliases.back(session, people.mine, old.variant_id, "prod")  # it pointed to nothing before
    for wrong in ("Prod", "1st", "latest", "a b", "", "x" * 33):
        with pytest.raises(SpecError):
            aliases.move(session, people.mine, old.id, wrong)
    with pytest.raises(Conflict, match=r"points to 1\.0\.0 by now"):
        aliases.move(session, people.mine, new.id, "prod", expected=new.id)
    with pytest.raises(Conflict, match="1 uploaded instance, 1 alias would go"):
        variants.delete_version(session, people.mine, old.id)
    assert deletion.dependants(session, old).aliases == 1


def test_a_name_does_not_end_as_an_alias_does() -> None:
    """A model called "net@prod" could not be told from the alias prod of "net"."""
    assert slugify("net@prod") == "net-prod" and slugify("a@b@c") == "a-b-c"
    assert slugify("net@2x") == "net@2x"


def test_an_alias_that_is_moved_while_its_version_is_deleted_points_to_what_is_there(
    db: Database, session: Session, people: People, versions: list[Version]
) -> None:
    """The move read the version, the deletion was committed, and the alias was written: it pointed to nothing."""
    new, mine = versions[1].id, people.mine
    session.commit()

    def move(racing: Session) -> None:
        aliases.move(racing, mine, new, "prod")

    def delete(racing: Session) -> None:
        variants.delete_version(racing, mine, new, force=True)

    assert isinstance(behind(db, delete, move), NotFound)
    with db.session() as after:
        assert not after.query(Alias).all()


def test_of_two_who_move_it_from_where_it_was_one_is_told(
    db: Database, session: Session, people: People, versions: list[Version]
) -> None:
    old, new, mine = versions[0].id, versions[1].id, people.mine
    aliases.move(session, mine, old, "prod")
    session.commit()

    def move(racing: Session) -> None:
        aliases.move(racing, mine, new, "prod", expected=old)

    ends = race(db, move, move)
    assert sorted(type(end).__name__ for end in ends) == ["Conflict", "NoneType"], ends


def test_who_moved_an_alias_and_why_is_not_told_to_strangers(session: Session, people: People) -> None:
    """A public model told everybody, with no key, the e-mails of who moved its aliases, and what they wrote of why."""
    model = a_model(session, people.mine, visibility="public")
    version = a_version(session, people.mine, model, "small", "1.0.0")
    aliases.move(session, people.mine, version.id, "prod", why="the customer complained")
    (own,), (strange,) = (aliases.listed(session, who, model.id) for who in (people.reader, people.stranger))
    assert own.last is not None and own.last.why == "the customer complained"
    assert strange.alias.version_id == version.id and strange.last is None
    assert len(aliases.history(session, people.reader, model.id)) == 1
    assert aliases.history(session, people.stranger, model.id) == []

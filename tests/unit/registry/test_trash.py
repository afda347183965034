"""The trash: out of sight with all below, the name free, and back as it was, unless its time is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from oakmill.errors import Conflict, NotFound
from oakmill.registry import access, aliases, datasets, instances, models, resolve, search, teams, trash, variants
from oakmill.registry.callers import HOUSEKEEPING
from oakmill.registry.tables import Dataset, Instance, Model, Trash, Variant, Version
from oakmill.storage.database import Database, now
from tests.unit.registry.conftest import People, a_model, a_version, an_instance
from tests.unit.registry.racing import behind


@pytest.fixture
def source(session: Session, people: People) -> Instance:
    """The source of My Net's small 1.0.0, of which there is a result for RVC2."""
    model = a_model(session, people.mine)
    made = an_instance(session, people.mine, a_version(session, people.mine, model, "small", "1.0.0"))
    version = session.get_one(Version, made.version_id)
    an_instance(session, people.mine, version, "RVC2", made, "cd" * 32)
    return made


def count(session: Session, kind: type[Model | Variant | Version | Instance | Trash | Dataset]) -> int:
    return session.scalar(select(func.count()).select_from(kind)) or 0


def seen(session: Session, people: People) -> list[int]:
    return [search.count(session, people.admin, kind) for kind in (Model, Version, Instance)]


@pytest.mark.parametrize("kind", ["model", "variant", "version", "instance"])
def test_what_is_deleted_is_out_of_sight_and_comes_back_as_it_was(
    session: Session, people: People, source: Instance, kind: str
) -> None:
    ids = {"model": source.model_id, "variant": source.variant_id, "version": source.version_id, "instance": source.id}
    delete = {
        "model": models.delete, "variant": variants.delete, "version": variants.delete_version,
        "instance": instances.delete,
    }[kind]  # fmt: skip
    aliases.move(session, people.mine, source.version_id, "prod")
    before, used = seen(session, people), teams.used_bytes(session, people.ours.id)
    with pytest.raises(Conflict):
        delete(session, people.mine, ids[kind], keep=True)
    entry = delete(session, people.mine, ids[kind], force=True, keep=True)
    assert entry is not None and seen(session, people)[2] == 0
    for address in ("my-net", "my-net:small@prod", "my-net:small:abababa", source.id):
        with pytest.raises(NotFound):
            resolve.resolve(session, people.admin, address)
    with pytest.raises(NotFound):
        access.seen(session, people.admin, Instance, source.id)
    tally = models.counts(session, [source.model_id])[source.model_id]
    assert (tally.variants, tally.versions) == ((1, 1) if kind == "instance" else (0, 0)) and not tally.instances
    assert teams.used_bytes(session, people.ours.id) == used == teams.trash_bytes(session, people.ours.id)
    (row,) = trash.listed(session, people.mine)
    assert (row.id, row.kind, trash.sizes(session, [row])[row.id]) == (entry.id, kind, 200)
    assert not trash.listed(session, people.stranger)

    trash.restore(session, people.colleague, entry.id)
    assert seen(session, people) == before and not trash.listed(session, people.admin)
    assert resolve.resolve(session, people.reader, "my-net:small@prod", "RVC2").parent_id == source.id
    assert teams.trash_bytes(session, people.ours.id) == 0


def test_the_name_is_free_and_a_clash_is_told_when_it_comes_back(
    session: Session, people: People, source: Instance
) -> None:
    entry = models.delete(session, people.mine, source.model_id, force=True, keep=True)
    other = a_model(session, people.mine)
    again = variants.delete_version(
        session, people.mine, an_instance(session, people.mine, a_version(session, people.mine, other)).version_id,
        force=True, keep=True,
    )  # fmt: skip
    assert entry is not None and again is not None
    assert a_version(session, people.mine, other).version == "0.1.0"
    with pytest.raises(Conflict, match=r"a version '0.1.0' by now"):
        trash.restore(session, people.mine, again.id)
    trash.restore(session, people.mine, again.id, name="0.2.0")
    assert resolve.version(session, people.mine, "my-net").version == "0.2.0"
    with pytest.raises(Conflict, match="a model 'my-net' by now"):
        trash.restore(session, people.mine, entry.id)
    trash.restore(session, people.mine, entry.id, name="My old net")
    assert resolve.resolve(session, people.mine, "my-old-net:small:1.0.0", "RVC2").model_id == source.model_id


def test_what_went_alone_stays_where_its_model_comes_back_and_not_the_other_way_round(
    session: Session, people: People, source: Instance
) -> None:
    models.update_card(session, people.mine, source.model_id, visibility="public")
    (result,) = instances.children(session, source)
    alone = instances.delete(session, people.mine, result.id, force=True, keep=True)
    whole = models.delete(session, people.mine, source.model_id, force=True, keep=True)
    assert alone is not None and whole is not None
    with pytest.raises(Conflict, match=r"model of .* is in the trash, too") as told:
        trash.restore(session, people.mine, alone.id)
    assert whole.id in told.value.remedy
    trash.restore(session, people.mine, whole.id)
    models.update_card(session, people.mine, source.model_id, visibility="team")
    assert [row.id for row in search.instances(session, people.mine).items] == [source.id]
    trash.restore(session, people.mine, alone.id)
    assert access.seen(session, people.mine, Instance, result.id).visibility == "team"


def test_a_private_models_trash_is_its_makers_and_the_admins(session: Session, people: People) -> None:
    model = a_model(session, people.mine, visibility="private")
    an_instance(session, people.mine, a_version(session, people.mine, model))
    entry = models.delete(session, people.mine, model.id, force=True, keep=True)
    assert entry is not None and not trash.listed(session, people.colleague)
    narrow = people.key(people.ours, "convert", model_id=a_model(session, people.mine, "Other").id)
    for caller in (people.colleague, narrow, people.stranger):
        with pytest.raises(NotFound):
            trash.restore(session, caller, entry.id)
    trash.restore(session, people.admin, entry.id)
    assert access.seen(session, people.mine, Model, model.id).visibility == "private"


def test_where_nothing_would_be_lost_nothing_is_kept(session: Session, people: People) -> None:
    """An upload that failed deletes the model that it has made: the trash would fill with empty ones."""
    model = a_model(session, people.mine)
    version = a_version(session, people.mine, model)
    assert variants.delete_version(session, people.mine, version.id, keep=True) is None
    assert count(session, Variant) == 0
    assert models.delete(session, people.mine, model.id, keep=True) is None
    assert count(session, Model) == 0 and count(session, Trash) == 0


def test_a_calibration_set_comes_back(session: Session, people: People) -> None:
    made = datasets.create(session, people.mine, name="Road", sha256="ef" * 32, size=7)
    entry = datasets.delete(session, people.mine, "road", keep=True)
    assert entry is not None and not datasets.listed(session, people.mine)
    datasets.create(session, people.mine, name="Road", sha256="ee" * 32, size=7)
    with pytest.raises(Conflict):
        trash.restore(session, people.mine, entry.id)
    trash.restore(session, people.mine, entry.id, name="Old road")
    assert datasets.seen(session, people.mine, "old-road").id == made.id


def test_what_has_lain_long_enough_goes_for_good(session: Session, people: People, source: Instance) -> None:
    kept = a_version(session, people.mine, session.get_one(Model, source.model_id), "small", "2.0.0")
    an_instance(session, people.mine, kept, digest="12" * 32)
    entries = [
        variants.delete_version(session, people.mine, number, force=True, keep=True)
        for number in (source.version_id, kept.id)
    ]
    assert entries[0] is not None
    session.execute(update(Trash).where(Trash.id == entries[0].id).values(at=now() - timedelta(days=31)))
    assert not trash.empty(session, HOUSEKEEPING, older_than=timedelta(days=30))
    assert [row.slug for row in trash.listed(session, people.mine)] == ["2.0.0"]
    assert count(session, Version) == count(session, Instance) == count(session, Variant) == 1
    assert not trash.empty(session, HOUSEKEEPING, older_than=None, team_id=people.theirs.id)
    assert count(session, Trash) == 1
    trash.empty(session, people.admin, older_than=None, team_id=people.ours.id)
    assert count(session, Version) == count(session, Variant) == count(session, Trash) == 0
    assert teams.used_bytes(session, people.ours.id) == 0


def test_a_model_that_goes_for_good_takes_along_what_had_gone_before(
    session: Session, people: People, source: Instance
) -> None:
    for delete, which in ((variants.delete_version, source.version_id), (models.delete, source.model_id)):
        delete(session, people.mine, which, force=True, keep=True)
    assert count(session, Trash) == 2
    trash.empty(session, people.admin, older_than=None, team_id=people.ours.id)
    assert count(session, Trash) == count(session, Version) == 0


def test_restored_while_it_is_emptied_it_is_there_or_told_to_be_gone(
    db: Database, session: Session, people: People, source: Instance
) -> None:
    """The sweep had read the entry, it was restored, and the sweep deleted the model that was in use again."""
    mine, model_id = people.mine, source.model_id
    entry = models.delete(session, mine, model_id, force=True, keep=True)
    assert entry is not None
    entry_id = entry.id
    session.commit()

    def restore(racing: Session) -> None:
        trash.restore(racing, mine, entry_id)

    def sweep(racing: Session) -> None:
        trash.empty(racing, HOUSEKEEPING, older_than=None)

    assert behind(db, restore, sweep) is None
    with db.session() as after:
        assert access.seen(after, mine, Model, model_id).slug == "my-net"
        entry = models.delete(after, mine, model_id, force=True, keep=True)
        assert entry is not None
        entry_id = entry.id
    assert isinstance(behind(db, sweep, restore), NotFound)
    with db.session() as after:
        assert count(after, Model) == count(after, Trash) == 0


def test_what_is_added_while_its_model_is_deleted_is_refused_and_not_left_in_sight(
    db: Database, session: Session, people: People, source: Instance
) -> None:
    """A version was added between the reading and the marking of what goes, and stood in lists without its model."""
    mine, model_id, version_id = people.mine, source.model_id, source.version_id
    session.commit()

    def delete(racing: Session) -> None:
        variants.delete_version(racing, mine, version_id, force=True, keep=True)

    def add(racing: Session) -> None:
        instances.create(racing, mine, version_id, name="late", model_type="ONNX")

    def point(racing: Session) -> None:
        aliases.move(racing, mine, version_id, "prod")

    assert isinstance(behind(db, delete, add), NotFound)
    with db.session() as after:
        trash.restore(after, mine, trash.listed(after, mine)[0].id)
    assert isinstance(behind(db, delete, point), NotFound)

    def delete_model(racing: Session) -> None:
        models.delete(racing, mine, model_id, force=True, keep=True)

    assert isinstance(behind(db, delete_model, lambda racing: a_later_version(racing, people, model_id)), NotFound)


def a_later_version(session: Session, people: People, model_id: str) -> None:
    variants.add_version(session, replace(people.mine), model_id, name="small")

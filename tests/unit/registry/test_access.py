"""Who sees what: each level of visibility, for each kind of caller, for a model and what stands below it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.errors import Forbidden, NoKey, NotFound
from oakmill.registry import access, datasets, instances, models, search, variants
from oakmill.registry.callers import ANONYMOUS, LOCAL, Caller, anonymous
from oakmill.registry.tables import Instance, Model, Version, Visibility
from oakmill.settings import Settings
from tests.unit.registry.conftest import People, a_model, a_version, an_instance

EVERYBODY = {"mine", "colleague", "reader", "admin", "stranger", "operator", "guest"}
SEEN_BY = {
    "private": {"mine", "admin", "operator"},
    "team": {"mine", "colleague", "reader", "admin", "operator"},
    "public": EVERYBODY,
}


def callers(people: People) -> dict[str, Caller]:
    named = {name: getattr(people, name) for name in ("mine", "colleague", "reader", "admin", "stranger")}
    return {**named, "operator": LOCAL, "guest": anonymous(Settings(public_without_key=True))}


@pytest.mark.parametrize("visibility", SEEN_BY)
def test_a_model_and_all_below_it_are_seen_by_whom_they_should_be(
    session: Session, people: People, visibility: str
) -> None:
    model = a_model(session, people.mine, visibility=visibility)
    version = a_version(session, people.mine, model)
    instance = an_instance(session, people.mine, version)
    for name, caller in callers(people).items():
        expected = name in SEEN_BY[visibility]
        assert bool(search.models(session, caller).items) is expected, name
        assert bool(search.versions(session, caller).items) is expected, name
        assert bool(search.instances(session, caller).items) is expected, name
        assert search.count(session, caller, Instance) == int(expected), name
        looks: tuple[Callable[[], Model | Version | Instance], ...] = (
            partial(access.seen, session, caller, Model, model.id),
            partial(access.seen, session, caller, Version, version.id),
            partial(access.seen, session, caller, Instance, instance.id),
        )
        for look, row in zip(looks, (model, version, instance), strict=True):
            if expected:
                assert look() is row
            else:
                with pytest.raises(NotFound):
                    look()


def test_nothing_tells_what_is_not_seen_from_what_is_not_there(session: Session, people: People) -> None:
    hidden = a_model(session, people.mine).id
    told = []
    for row_id in (hidden, "aim_nothing"):
        with pytest.raises(NotFound) as caught:
            access.changeable(session, people.stranger, Model, row_id)
        told.append(str(caught.value.as_dict()).replace(row_id, "ID"))
    assert told[0] == told[1]


def test_without_a_key_and_without_leave_nothing_is_seen(session: Session, people: People) -> None:
    model = a_model(session, people.mine, visibility="public")
    assert anonymous(Settings()) == ANONYMOUS
    assert not search.models(session, ANONYMOUS).items
    with pytest.raises(NoKey):
        access.seen(session, ANONYMOUS, Model, model.id)
    with pytest.raises(NoKey):
        access.changeable(session, anonymous(Settings(public_without_key=True)), Model, model.id)


def test_what_is_seen_is_changed_by_its_team_with_the_right_scope_only(session: Session, people: People) -> None:
    model = a_model(session, people.mine, visibility="public")
    version = a_version(session, people.mine, model)
    for caller in (people.reader, people.stranger):
        with pytest.raises(Forbidden):
            models.update_card(session, caller, model.id, summary="mine now")
        with pytest.raises(Forbidden):
            a_version(session, caller, model)
        with pytest.raises(Forbidden):
            instances.create(session, caller, version.id, name="x", model_type="ONNX")
        with pytest.raises(Forbidden):
            models.delete(session, caller, model.id, force=True)
    models.update_card(session, people.colleague, model.id, summary="ours")


def test_a_key_for_one_model_sees_and_touches_that_model_only(session: Session, people: People) -> None:
    model, other = a_model(session, people.mine), a_model(session, people.mine, "Other", "public")
    version = a_version(session, people.mine, model)
    elsewhere = an_instance(session, people.mine, a_version(session, people.mine, other))
    narrow = people.key(people.ours, "admin", model_id=model.id)
    assert [row.id for row in search.models(session, narrow).items] == [model.id]
    assert [row.id for row in search.versions(session, narrow).items] == [version.id]
    assert not search.instances(session, narrow).items
    assert not search.instances(session, narrow, search.Query(model_id=other.id)).items
    with pytest.raises(NotFound):
        instances.instance(session, narrow, elsewhere.id)
    with pytest.raises(NotFound):
        variants.versions_of(session, narrow, other.id)
    with pytest.raises(Forbidden):
        a_model(session, narrow, "Third")
    with pytest.raises(Forbidden):
        datasets.create(session, narrow, name="x", sha256="ab" * 32, size=1)
    an_instance(session, narrow, version)


def test_a_change_of_visibility_reaches_all_below_and_changes_nothing_else(session: Session, people: People) -> None:
    model = a_model(session, people.mine, visibility="public")
    instance = an_instance(session, people.mine, a_version(session, people.mine, model))
    session.flush()
    before = instance.updated
    assert search.instances(session, people.stranger).items
    models.update_card(session, people.mine, model.id, visibility="private")
    assert not search.instances(session, people.stranger).items
    assert not search.versions(session, people.colleague).items
    session.refresh(instance)
    assert instance.updated == before


def test_calibration_sets_are_the_teams_own(session: Session, people: People) -> None:
    made = datasets.create(session, people.mine, name="My Road", sha256="ab" * 32, size=1, count=3)
    assert datasets.seen(session, people.reader, "my-road").id == datasets.seen(session, LOCAL, made.id).id == made.id
    assert not datasets.listed(session, people.stranger)
    for caller, error in ((people.stranger, NotFound), (people.reader, Forbidden), (ANONYMOUS, NoKey)):
        with pytest.raises(error):
            datasets.delete(session, caller, made.id)
    datasets.delete(session, people.colleague, "my-road")
    assert not datasets.listed(session, people.mine)


def test_a_quick_model_is_seen_as_a_private_one_and_is_in_no_list(session: Session, people: People) -> None:
    model = a_model(session, people.mine, "passing", Visibility.QUICK)
    an_instance(session, people.mine, a_version(session, people.mine, model))
    for caller, sees in (
        (people.mine, True),
        (people.admin, True),
        (people.colleague, False),
        (people.stranger, False),
    ):
        query = select(Model.id).where(Model.id == model.id, access.visible(caller))
        assert bool(session.scalar(query)) is sees
        assert not search.models(session, caller).items
        assert not search.instances(session, caller).items
        assert search.count(session, caller, Model) == 0
        below = search.instances(session, caller, search.Query(model_id=model.id)).items
        assert bool(below) is sees
    mine = search.Query(visibility=(Visibility.QUICK,))
    assert [row.id for row in search.models(session, people.mine, mine).items] == [model.id]

"""The rule on results: what it keeps, what no rule takes, and that what is used meanwhile stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry import aliases, models, retention, teams, trash
from oakmill.registry.tables import AuditEntry, Instance, Trash, Version
from oakmill.storage.database import Database, now
from tests.unit.registry.conftest import People, a_model, a_version, an_instance
from tests.unit.registry.racing import behind


def old(session: Session, row: Instance, days: int, **values: object) -> Instance:
    """A result of so many days ago, which a job made."""
    at = now() - timedelta(days=days)
    named = {"created": at, "updated": at, "job_id": f"aij_{days}", **values}
    session.execute(update(Instance).where(Instance.id == row.id).values(**named))
    return row


@pytest.fixture
def results(session: Session, people: People) -> list[Instance]:
    """Of one source five results for RVC2, of 50, 40, 30, 20 and 10 days ago, and one for RVC4 of 60."""
    version = a_version(session, people.mine, a_model(session, people.mine), "small")
    source = an_instance(session, people.mine, version)
    old(session, source, 90, job_id=None)
    made = [
        old(session, an_instance(session, people.mine, version, "RVC2", source, f"{days}" * 32), days)
        for days in (50, 40, 30, 20, 10)
    ]
    return [*made, old(session, an_instance(session, people.mine, version, "RVC4", source, "60" * 32), 60)]


def places(session: Session, people: People, made: list[Instance], **rule: int | None) -> list[int]:
    """Which of the results would go."""
    team = teams.keep(session, "ours", **{"results": None, "days": None, **rule})
    ids = [row.id for row in made]
    return sorted(ids.index(item.id) for item in retention.due(session, team))


def test_what_either_number_keeps_stays(session: Session, people: People, results: list[Instance]) -> None:
    assert places(session, people, results) == []
    assert places(session, people, results, results=2) == [0, 1, 2]
    assert places(session, people, results, days=25) == [0, 1, 2, 5]
    assert places(session, people, results, results=1, days=25) == [0, 1, 2]
    models.count_download(session, results[0].model_id, results[0].id)
    assert places(session, people, results, days=25) == [1, 2, 5]


def test_what_no_rule_takes(session: Session, people: People, results: list[Instance]) -> None:
    by_hand, source_of, at_work = results[0], results[1], results[2]
    session.execute(update(Instance).where(Instance.id == by_hand.id).values(job_id=None))
    version = session.get_one(Version, results[0].version_id)
    an_instance(session, people.mine, version, "RVC2", source_of, "ff" * 32)
    job = {"team_id": people.ours.id, "number": 1, "name": "job", "source_id": at_work.id}
    session.add(Job(id="aij_live", status=JobStatus.RUNNING, **job))
    session.flush()
    assert places(session, people, results, days=1) == [3, 4, 5]
    aliases.move(session, people.mine, version.id, "prod")
    assert places(session, people, results, days=1) == []


def test_what_goes_is_in_the_trash_and_in_the_log(session: Session, people: People, results: list[Instance]) -> None:
    team = teams.keep(session, "ours", results=3, days=None)
    (model_id,) = retention.models_due(session, team)
    gone = retention.run(session, team, model_id, keep=True)
    assert [item.id for item in gone] == [row.id for row in results[:2]] and gone[0].size == 100
    assert {row.why for row in trash.listed(session, people.mine)} == {trash.RETENTION}
    noted = session.scalars(select(AuditEntry.key_name).where(AuditEntry.action == "instance.retire")).all()
    assert noted == ["housekeeping"] * 2
    assert retention.due(session, team) == []
    trash.restore(session, people.mine, session.scalars(select(Trash.id)).first() or "")
    assert len(retention.due(session, team)) == 1


def test_what_is_downloaded_or_pointed_to_while_the_rule_is_followed_stays(
    db: Database, session: Session, people: People, results: list[Instance]
) -> None:
    """What was due had been read, it was downloaded or became prod, and it went all the same."""
    mine, first, model_id, version_id = people.mine, results[0].id, results[0].model_id, results[0].version_id
    teams.keep(session, "ours", results=3, days=None)
    session.commit()

    def follow(racing: Session) -> None:
        retention.run(racing, teams.named(racing, "ours"), model_id, keep=True)

    def download(racing: Session) -> None:
        models.count_download(racing, model_id, first)

    def point(racing: Session) -> None:
        aliases.move(racing, mine, version_id, "prod")

    assert behind(db, download, follow) is None
    with db.session() as after:
        assert [row.instance_id for row in trash.listed(after, mine)] == [results[1].id]
        trash.restore(after, mine, trash.listed(after, mine)[0].id)
    assert behind(db, point, follow) is None
    with db.session() as after:
        assert trash.listed(after, mine) == []

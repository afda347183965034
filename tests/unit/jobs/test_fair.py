"""Teams that share workers: who is next, and what is told of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from oakmill.jobs import estimates, queue
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry.tables import Key, Team
from tests.unit.jobs.conftest import Hub

MINUTE = timedelta(minutes=1)


@pytest.fixture
def teams(hub: Hub) -> Hub:
    """A hub of three teams."""
    with hub.db.session() as session:
        session.add_all(Team(id=f"ait_{number}", name=f"team {number}", slug=f"team-{number}") for number in (2, 3))
    return hub


def begun(hub: Hub) -> Job | None:
    with hub.db.session() as session:
        return queue.claim(session, "w", MINUTE)


def ended(hub: Hub, job: Job) -> None:
    with hub.db.session() as session:
        assert queue.finish(session, job.id, job.lease_token or "", JobStatus.SUCCEEDED, result={})


def order(hub: Hub, count: int) -> list[str]:
    """The teams whose jobs one worker runs, one after the other."""
    found = []
    for _ in range(count):
        job = begun(hub)
        assert job is not None
        found.append(job.team_id)
        ended(hub, job)
    return found


def test_five_hundred_jobs_of_a_team_do_not_hold_up_another_ones_first(teams: Hub) -> None:
    """A team's batch of a night kept all others waiting until noon: the queue went by age alone."""
    for _ in range(500):
        teams.add_job()
    late = teams.add_job(team_id="ait_2")
    with teams.db.reading() as session:
        assert estimates.position(session, teams.job(late)) == 1 + 1
    assert order(teams, 5) == ["ait_1", "ait_2", "ait_1", "ait_1", "ait_1"]


def test_teams_take_turns_and_the_place_told_is_the_place_had(teams: Hub) -> None:
    jobs = [teams.add_job(team_id=f"ait_{team}") for team in (1, 1, 1, 2, 2, 3)]
    with teams.db.reading() as session:
        places = {name: estimates.position(session, teams.job(name)) for name in jobs}
    done = []
    while job := begun(teams):
        done.append(job.id)
        ended(teams, job)
    assert [teams.job(name).team_id[-1] for name in done] == list("123121")
    assert next(places[name] for name in done if teams.job(name).team_id == "ait_1") == 1
    assert all(abs((places[name] or 0) - place) <= 2 for place, name in enumerate(done, 1))


def test_who_has_least_running_is_next(teams: Hub) -> None:
    for _ in range(4):
        teams.add_job()
    first = begun(teams), begun(teams)
    assert [job.team_id for job in first if job] == ["ait_1", "ait_1"]
    teams.add_job(team_id="ait_2")
    teams.add_job(team_id="ait_2")
    assert [job.team_id for job in (begun(teams), begun(teams), begun(teams)) if job] == ["ait_2", "ait_2", "ait_1"]


def test_priority_goes_before_turns(teams: Hub) -> None:
    teams.add_job(team_id="ait_2")
    urgent = [teams.add_job(priority=3) for _ in range(3)]
    assert order(teams, 4) == ["ait_1", "ait_1", "ait_1", "ait_2"]
    assert all(teams.job(name).status == JobStatus.SUCCEEDED for name in urgent)


def test_a_team_at_its_bound_waits_for_itself(teams: Hub) -> None:
    with teams.db.session() as session:
        session.get_one(Team, "ait_1").most_running = 1
    for _ in range(3):
        teams.add_job()
    first = begun(teams)
    assert first is not None and begun(teams) is None
    other = teams.add_job(team_id="ait_2")
    assert (found := begun(teams)) is not None and found.id == other
    ended(teams, first)
    assert begun(teams) is not None


def test_a_key_at_its_own_bound_lets_the_teams_other_keys_go_first(teams: Hub) -> None:
    """A key of a nightly batch had all of the team's workers, and a person of the team waited for it."""
    with teams.db.session() as session:
        for number in (1, 2):
            key = Key(
                id=f"aik_{number}", team_id="ait_1", name="key", prefix="oak_", sha256=str(number), scopes="convert"
            )
            session.add(key)
        session.get_one(Key, "aik_1").most_running = 1
    first, second = (teams.add_job(key_id="aik_1") for _ in range(2))
    other = teams.add_job(key_id="aik_2")
    running = begun(teams)
    assert running is not None and running.id == first
    passing = begun(teams)
    assert passing is not None and passing.id == other
    assert begun(teams) is None
    ended(teams, running)
    last = begun(teams)
    assert last is not None and last.id == second

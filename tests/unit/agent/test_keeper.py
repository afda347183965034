"""What an agent does as the hub answers: tells what there is once, keeps what did not arrive, ends where it is lost."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from oakmill.agent.keeper import Cancelled, Keeper, Lost, passes
from oakmill.errors import Conflict, DeviceError, HubError, HubUnreachable, NoKey, OakmillError
from oakmill.hub.wire import Job
from oakmill.hub.wire_agents import Claimed, Standing

JOB = Job(id="aij_1", number=1, name="net", status="running", queued=datetime.now(UTC))


class Agents:
    """A hub's side, which answers with a state, or raises."""

    def __init__(self, *answers: str | OakmillError) -> None:
        self.answers, self.words = list(answers), list[dict[str, Any]]()

    def tell(self, job_id: str, word: dict[str, Any]) -> Standing:
        answer = self.answers.pop(0) if self.answers else "held"
        if isinstance(answer, OakmillError):
            raise answer
        self.words.append(word)
        return Standing(state=answer)


def keeper(agents: Agents, lease: float = 30) -> Keeper:
    held = Claimed(job=JOB, token="t", lease_seconds=lease, beat_seconds=0.2, job_seconds=60)
    return Keeper(SimpleNamespace(agents=agents), "m:1", held)  # type: ignore[arg-type]


def lines(agents: Agents) -> list[str]:
    return [line["text"] for word in agents.words for line in word["lines"]]


def test_what_did_not_arrive_is_told_with_the_next() -> None:
    agents = Agents(HubUnreachable(), HubUnreachable())
    kept = keeper(agents)
    for number in range(700):
        kept.add_line(f"line {number}")
    kept.deliver()
    assert lines(agents) == [f"line {number}" for number in range(700)]
    assert max(len(word["lines"]) for word in agents.words) == 500


def test_stages_and_progress_are_told_as_they_stand() -> None:
    agents = Agents()
    kept = keeper(agents)
    with kept:
        kept.add_event({"stage": "verify", "kind": "started"})
        kept.add_event({"stage": "verify", "kind": "progress", "text": "images", "done": 3, "total": 8})
        time.sleep(1)
    assert agents.words[-1]["stages"][0]["status"] == "running"
    assert agents.words[-1]["progress"] == {"stage": "verify", "text": "images", "done": 3, "total": 8}
    assert len(agents.words) > 2, "a lease is kept also where there is nothing to tell"


def test_an_error_of_the_hubs_own_loses_no_job() -> None:
    """One answer of 500 was taken for a lease that is lost, and asking for a job it ended the agent."""
    agents = Agents(HubError("The hub met an error that it does not know."))
    kept = keeper(agents)
    kept.add_line("once more")
    kept.deliver()
    assert lines(agents) == ["once more"]
    assert not passes(NoKey()) and not passes(DeviceError())


@pytest.mark.parametrize("answer", ["lost", Conflict()])
def test_a_lost_job_is_told_of_no_more(answer: str | OakmillError) -> None:
    agents = Agents(answer)
    kept = keeper(agents)
    kept.add_line("late")
    with pytest.raises(Lost):
        kept.deliver()
    with pytest.raises(Lost):
        kept.require()


def test_a_cancelled_job_is_to_be_ended_and_may_still_be_told_of() -> None:
    agents = Agents("cancel", "cancel")
    kept = keeper(agents)
    kept.add_line("going on")
    kept.deliver()
    with pytest.raises(Cancelled):
        kept.require()
    kept.add_line("the job was cancelled")
    kept.deliver(failed=True)
    assert lines(agents)[-1] == "the job was cancelled"


def test_a_hub_that_is_silent_for_a_lease_has_given_the_job_away() -> None:
    kept = keeper(Agents(*[HubUnreachable()] * 50), lease=0.3)
    kept.add_line("nobody hears")
    with pytest.raises(Lost):
        kept.deliver()
    with pytest.raises(Lost):
        kept.require()

"""Messages arrive, each from one process at a time, again and again until they do, and for a day at most."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from oakmill.jobs.states import DeliveryStatus, Event
from oakmill.jobs.tables import Delivery, Webhook
from oakmill.jobs.webhooks import deliverer, outbox, signing
from oakmill.jobs.webhooks.deliverer import PAUSES, Deliverer, claim, record
from oakmill.jobs.webhooks.sending import Outcome
from oakmill.registry.tables import Team
from oakmill.settings import Settings
from oakmill.storage.database import Database, now
from tests.receiver import LOOPBACK, Receiver, receiving
from tests.unit.jobs.conftest import Hub

LEASE = timedelta(seconds=60)
REFUSED = Outcome(500, "the receiver answers 500", "", 0.1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def webhook(hub: Hub, receiver: Receiver) -> Webhook:
    row = Webhook(id="aiw_1", team_id="ait_1", url=receiver.url, events=[*Event], secret=signing.new_secret())
    with hub.db.session() as session:
        session.add(row)
    return row


def put(hub: Hub, count: int = 1) -> list[str]:
    with hub.db.session() as session:
        return [outbox.put(session, "aiw_1", "webhook.test", {"number": number}).id for number in range(count)]


def make_due(hub: Hub) -> None:
    with hub.db.session() as session:
        session.execute(update(Delivery).values(due=now()))


def rows(hub: Hub) -> list[Delivery]:
    with hub.db.reading() as session:
        return list(session.scalars(select(Delivery).order_by(Delivery.created, Delivery.id)))


def deliver(hub: Hub, receiver: Receiver, count: int, threads: int = 1) -> None:
    """Send with so many processes' deliverers side by side until so many have come."""
    settings = Settings(home=hub.settings.home, webhook_networks=LOOPBACK)
    with ExitStack() as opened:
        for _ in range(threads):
            made = Deliverer(settings, hub.db)
            opened.callback(made.close)
            made.start()
        receiver.wait_for(count)


def test_two_processes_send_each_message_once_and_signed(hub: Hub, webhook: Webhook, receiver: Receiver) -> None:
    sent = put(hub, 30)
    deliver(hub, receiver, 30, threads=2)
    assert sorted(heard.id for heard in receiver.heard) == sorted(sent)
    assert {heard.verified(webhook.secret)["data"]["number"] for heard in receiver.heard} == set(range(30))
    assert {(row.status, row.attempt, row.code, row.token) for row in rows(hub)} == {("delivered", 1, 204, None)}


@pytest.mark.heavy
def test_two_machines_on_postgresql_send_each_message_once(
    tmp_path: Path, postgres_tables: str, receiver: Receiver
) -> None:
    db = Database(postgres_tables)
    other = Hub(Settings(home=tmp_path), db)
    key = signing.new_secret()
    with db.session() as session:
        session.add(Team(id="ait_1", name="team", slug="team"))
        session.flush()
        session.add(Webhook(id="aiw_1", team_id="ait_1", url=receiver.url, events=[*Event], secret=key))
    sent = put(other, 30)
    deliver(other, receiver, 30, threads=3)
    assert sorted(heard.id for heard in receiver.heard) == sorted(sent)
    assert {(row.status, row.attempt) for row in rows(other)} == {("delivered", 1)}
    db.close()


def test_what_is_refused_is_sent_again_with_growing_pauses_for_a_day_and_then_told(
    hub: Hub, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    put(hub)
    waited = []
    for _ in range(len(PAUSES) + 1):
        with hub.db.session() as session:
            found = claim(session, LEASE)
            assert found is not None
        with hub.db.session() as session:
            before, status = now(), record(session, found, REFUSED)
        waited.append((rows(hub)[0].due - before).total_seconds())
        make_due(hub)
    assert status is DeliveryStatus.FAILED
    assert [round(seconds) for seconds in waited[:-1]] == list(PAUSES)
    assert 23 * 3600 < sum(PAUSES) <= 24 * 3600
    assert list(PAUSES) == sorted(PAUSES)
    with hub.db.session() as session:
        assert claim(session, LEASE) is None


def test_a_message_that_failed_is_told_in_the_log(
    hub: Hub, webhook: Webhook, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A receiver that says 410 wants to hear no more."""
    receiver.answers = [410]
    (sent,) = put(hub)
    with caplog.at_level(logging.WARNING):
        deliver(hub, receiver, 1)
    assert f"{sent} was not delivered" in caplog.text
    assert rows(hub)[0].status == DeliveryStatus.FAILED


def test_a_message_is_nobody_elses_while_its_lease_lasts(hub: Hub, webhook: Webhook) -> None:
    """What a process held that was killed is sent by another, and what the first writes later counts for nothing."""
    put(hub)
    with hub.db.session() as session:
        first = claim(session, LEASE)
        assert first is not None
        assert claim(session, LEASE) is None
    make_due(hub)
    with hub.db.session() as session:
        second = claim(session, LEASE)
    assert second is not None
    assert (second.id, second.body, second.attempt) == (first.id, first.body, 2)
    with hub.db.session() as session:
        assert record(session, first, REFUSED) is None
        assert record(session, second, Outcome(200, "", "thanks", 0.1)) is DeliveryStatus.DELIVERED
    assert rows(hub)[0].answer == "thanks"


def test_a_receiver_gets_one_message_at_a_time(hub: Hub, webhook: Webhook) -> None:
    put(hub, 2)
    with hub.db.session() as session:
        assert claim(session, LEASE) is not None
        assert claim(session, LEASE) is None


def test_a_team_whose_receivers_are_slow_leaves_room_for_others(hub: Hub, webhook: Webhook) -> None:
    """One team's twenty webhooks to receivers that never answer held every sender, and other teams heard nothing."""
    slow = [f"aiw_slow{number}" for number in range(deliverer.AT_ONCE)]
    with hub.db.session() as session:
        session.add(Team(id="ait_slow", name="slow", slug="slow"))
        session.flush()
        for name in slow:
            session.add(Webhook(id=name, team_id="ait_slow", url=webhook.url, events=[*Event], secret=webhook.secret))
        session.flush()
        for name in slow:
            outbox.put(session, name, "webhook.test", {})
    put(hub)
    taken = []
    with hub.db.session() as session:
        while found := claim(session, LEASE):
            taken.append(found.webhook_id)
    assert len([name for name in taken if name in slow]) == deliverer.OF_A_TEAM < deliverer.AT_ONCE
    assert "aiw_1" in taken


def test_both_secrets_sign_while_one_is_rotated(hub: Hub, webhook: Webhook, receiver: Receiver) -> None:
    old, new = webhook.secret, signing.new_secret()
    with hub.db.session() as session:
        values = {"secret": new, "old_secret": old, "old_until": now() + timedelta(hours=1)}
        session.execute(update(Webhook).values(values))
    put(hub)
    deliver(hub, receiver, 1)
    assert receiver.heard[0].verified(new) == receiver.heard[0].verified(old)
    with hub.db.session() as session:
        session.execute(update(Webhook).values(old_until=now()))
    put(hub)
    deliver(hub, receiver, 2)
    receiver.heard[1].verified(new)
    with pytest.raises(Exception, match="No matching signature"):
        receiver.heard[1].verified(old)


def test_messages_of_old_are_removed_and_those_that_wait_are_not(hub: Hub, webhook: Webhook) -> None:
    put(hub, 2)
    with hub.db.session() as session:
        found = claim(session, LEASE)
        assert found is not None
        record(session, found, Outcome(200, "", "", 0.1))
        session.execute(update(Delivery).values(created=now() - timedelta(days=91)))
        assert not deliverer.trim(session, 0)
    assert len(rows(hub)) == 2
    with hub.db.session() as session:
        deliverer.trim(session, 90)
    assert [row.status for row in rows(hub)] == [DeliveryStatus.PENDING]

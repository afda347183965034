"""`oakmill webhooks`: what a hub tells of its jobs to addresses of the team, and what came of it."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from oakmill.cli.connecting import connected, hub_option
from oakmill.cli.listing import json_option, print_rows
from oakmill.jobs.states import DeliveryStatus, Event

if TYPE_CHECKING:
    from oakmill.client import Hub
    from oakmill.hub.wire import Delivery, NewWebhook

_LOOK_SECONDS = 0.3


@click.group(name="webhooks")
def command() -> None:
    """Tell addresses of yours when a hub's jobs end. Needs an admin's key.

    Each message is signed as standardwebhooks.com describes it, and sent again, for a day, until it is answered by 2xx.
    """


@command.command()
@click.argument("address", metavar="URL")
@click.option(
    "--event", "events", multiple=True, type=click.Choice([item.value for item in Event]),
    help="What to tell of; repeat for more.  [default: all]",
)  # fmt: skip
@json_option
@hub_option
def add(address: str, events: tuple[str, ...], as_json: bool, url: str | None) -> None:
    """Tell URL of the team's jobs from now on. The secret that messages are signed with is shown this once."""
    with connected(url) as hub:
        _tell(hub.webhooks.add(address, events), as_json)


def _tell(made: NewWebhook, as_json: bool) -> None:
    if as_json:
        click.echo(made.model_dump_json(indent=1))
        return
    click.echo(f"{made.id} tells {made.url} of {', '.join(made.events)}", err=True)
    click.echo("its secret, shown this once:", err=True)
    click.echo(made.secret)


@command.command(name="list")
@json_option
@hub_option
def list_(as_json: bool, url: str | None) -> None:
    """Show the team's webhooks, each with its last message."""
    with connected(url) as hub:
        found = [(item, next(iter(hub.webhooks.deliveries(item.id, 1)), None)) for item in hub.webhooks.list()]
    rows: list[dict[str, Any]] = [
        {
            "id": item.id,
            "url": item.url,
            "events": ", ".join(item.events),
            "last": f"{last.created:%Y-%m-%d %H:%M} {last.event}" if last else "",
            "status": f"{last.status} {last.code or ''}".strip() if last else "",
        }
        for item, last in found
    ]
    print_rows([item.model_dump(mode="json") for item, _ in found] if as_json else rows, as_json=as_json)


@command.command()
@click.argument("webhook")
@hub_option
def remove(webhook: str, url: str | None) -> None:
    """Tell WEBHOOK nothing more; what waited for it goes with it."""
    with connected(url) as hub:
        hub.webhooks.remove(webhook)
    click.echo(f"{webhook} is removed")


@command.command()
@click.argument("webhook")
@json_option
@hub_option
def rotate(webhook: str, as_json: bool, url: str | None) -> None:
    """Give WEBHOOK a new secret; the one of before signs too for another day."""
    with connected(url) as hub:
        _tell(hub.webhooks.rotate(webhook), as_json)


@command.command()
@click.argument("webhook")
@click.option("--wait", type=click.IntRange(0), default=30, show_default=True, help="Seconds to wait for the answer.")
@json_option
@hub_option
def test(webhook: str, wait: int, as_json: bool, url: str | None) -> None:
    """Send WEBHOOK a message that tells of nothing, and say what it answered. The exit code is 1 if it did not."""
    with connected(url) as hub:
        _say(_tried(hub, hub.webhooks.test(webhook), wait), as_json)


@command.command()
@click.argument("webhook")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many at most.")
@json_option
@hub_option
def deliveries(webhook: str, limit: int, as_json: bool, url: str | None) -> None:
    """Show what WEBHOOK was sent last, or is to be sent."""
    with connected(url) as hub:
        found = hub.webhooks.deliveries(webhook, limit)
    rows: list[dict[str, Any]] = [
        {
            "id": item.id,
            "event": item.event,
            "created": f"{item.created:%Y-%m-%d %H:%M:%S}",
            "status": item.status,
            "tries": item.attempt,
            "code": item.code,
            "error": item.error,
        }
        for item in found
    ]
    print_rows([item.model_dump(mode="json") for item in found] if as_json else rows, as_json=as_json)


@command.command()
@click.argument("delivery")
@click.option("--wait", type=click.IntRange(0), default=30, show_default=True, help="Seconds to wait for the answer.")
@json_option
@hub_option
def again(delivery: str, wait: int, as_json: bool, url: str | None) -> None:
    """Send a message again, under the same identifier, and say what was answered."""
    with connected(url) as hub:
        _say(_tried(hub, hub.webhooks.again(delivery), wait), as_json)


def _tried(hub: Hub, sent: Delivery, seconds: float) -> Delivery:
    """The message once it was tried, or as it stands when the time is over."""
    until = time.monotonic() + seconds
    while sent.status == DeliveryStatus.PENDING and not sent.error and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
        sent = hub.webhooks.delivery(sent.id)
    return sent


def _say(sent: Delivery, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(sent.model_dump(mode="json"), indent=1, ensure_ascii=False))
    elif sent.status == DeliveryStatus.DELIVERED:
        click.echo(f"{sent.id} was delivered: answered {sent.code} after {sent.seconds or 0:.2f} s")
    else:
        click.echo(f"{sent.id} was not delivered: {sent.error or 'it was not sent yet'}", err=True)
    if sent.status != DeliveryStatus.DELIVERED:
        sys.exit(1)

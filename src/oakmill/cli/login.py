"""`oakmill login` and `logout`: keep a hub's address with a key, which a person approves on a page, or end it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import click

from oakmill.cli.connecting import Kept, of_root
from oakmill.errors import HubError, NotFound
from oakmill.settings import Settings, current

if TYPE_CHECKING:
    from oakmill.client import Hub

_ASKED = "\0"


@click.command()
@click.argument("url", required=False)
@click.option("--hub", "hub_url", metavar="URL", help="The same as URL.")
@click.option(
    "--key", is_flag=False, flag_value=_ASKED, metavar="[KEY]",
    help="A key that you have, alone to be asked for it.  [default: OAKMILL_KEY, or one that you approve in a browser]",
)  # fmt: skip
def command(url: str | None, hub_url: str | None, key: str | None) -> None:
    """Keep the address of the hub at URL and a key to it, so that other commands speak to it.

    Without a key, a code is shown, which you approve on a page of the hub where you are signed in; what it gets is
    kept for you alone. Without URL it is the hub of the last login, or else the one that `oakmill serve` starts on this
    machine.
    """
    from oakmill.client import Hub

    settings = current()
    kept = Kept.read(settings)
    hub = Hub(url or hub_url or of_root() or settings.hub_url or kept.last or f"http://127.0.0.1:{settings.port}")
    version = hub.version()
    key = _key(hub, key, settings)
    me = Hub(hub.url, key).me()
    kept.last, kept.keys[hub.url] = hub.url, key
    if signer := hub.evidence_key():
        kept.signers[signer] = hub.url
    place = kept.write(settings)
    scopes = ", ".join(me.scopes)
    who = f"{me.user_name}: " if me.user_name else ""
    click.echo(
        f"{hub.url} (Oakmill {version}): {who}the key {me.key_name!r} of the team {me.team.slug} allows {scopes}"
    )
    click.echo(f"kept in {place}")


def _key(hub: Hub, given: str | None, settings: Settings) -> str:
    """The key that was given or is set, the one that is typed, or else the one that somebody approves."""
    if given == _ASKED:
        return _typed(hub)
    if found := given or settings.key:
        return found.strip()
    try:
        code = hub.logins.begin(f"oakmill on {socket.gethostname()}")
    except NotFound:  # a hub from before there were such logins
        return _typed(hub)
    click.echo(f"Open {code.verification_uri_complete}\nand approve the code {code.user_code}", err=True)
    click.echo(f"(it works for {code.expires_in // 60} minutes; `oakmill login --key` takes a key instead)", err=True)
    return hub.logins.wait(code).access_token


def _typed(hub: Hub) -> str:
    return str(click.prompt(f"Key to {hub.url}", hide_input=True, err=True)).strip()


@click.command()
@click.argument("url", required=False)
@click.option("--hub", "hub_url", metavar="URL", help="The same as URL.")
def logout(url: str | None, hub_url: str | None) -> None:
    """Forget the key to the hub at URL, and end it there if a login gave it. Without URL: the hub of the last login."""
    from oakmill.client import Hub
    from oakmill.client.connection import address_of

    settings = current()
    kept = Kept.read(settings)
    named = url or hub_url or of_root() or settings.hub_url or kept.last
    address = address_of(named) if named else ""
    key = kept.keys.pop(address, None)
    if key is None:
        raise NotFound(f"No key to {address or 'any hub'} is kept.", remedy="See `oakmill login`.")
    kept.write(settings)
    click.echo(f"{address}: {_ended(Hub(address), key)}")


def _ended(hub: Hub, key: str) -> str:
    try:
        ended = hub.logins.end(key)
    except HubError as error:
        return f"the key is forgotten here. The hub could not be told, so it may still be in force: {error}"
    if ended:
        return "logged out; the key is over"
    return "the key is forgotten here. It came by no login, so it goes on until an admin revokes it"

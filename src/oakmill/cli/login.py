"""`oakmill login`: keeps a hub's address and a key to it, once the hub has said that the key is in force."""

from __future__ import annotations

import click

from oakmill.cli.connecting import Kept, of_root
from oakmill.settings import current


@click.command()
@click.argument("url", required=False)
@click.option("--key", help="The key; by default OAKMILL_KEY, or else it is asked for.")
def command(url: str | None, key: str | None) -> None:
    """Keep the address of the hub at URL and a key to it, so that other commands speak to it.

    Without URL it is the hub of the last login, or else the one that `oakmill serve` starts on this machine.
    """
    from oakmill.client import Hub

    settings = current()
    kept = Kept.read(settings)
    hub = Hub(url or of_root() or settings.hub_url or kept.last or f"http://127.0.0.1:{settings.port}")
    version = hub.version()
    key = key or settings.key or click.prompt(f"Key to {hub.url}", hide_input=True, err=True)
    me = Hub(hub.url, key.strip()).me()
    kept.last, kept.keys[hub.url] = hub.url, key.strip()
    if signer := hub.evidence_key():
        kept.signers[signer] = hub.url
    place = kept.write(settings)
    scopes = ", ".join(me.scopes)
    click.echo(f"{hub.url} (Oakmill {version}): the key {me.key_name!r} of the team {me.team.slug} allows {scopes}")
    click.echo(f"kept in {place}")

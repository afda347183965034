"""`oakmill download`: fetches a model from a hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oakmill.cli.connecting import connected, hub_option, moving
from oakmill.cli.listing import json_option, size_of
from oakmill.cli.options import PlatformWord

if TYPE_CHECKING:
    from oakmill.client import Hub, Instance


@click.command()
@click.argument("address", metavar="ADDRESS")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path(), show_default=True, help="Folder for it."
)
@click.option(
    "--platform", type=PlatformWord(), help="The platform that it was converted for; without "
    "it, what was uploaded or converted last.",
)  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="Its recipe, its passport and the hub's signature, too.")
@click.option("--overwrite", is_flag=True, help="Replace a file of the same name that has other bytes.")
@json_option
@hub_option
def command(
    address: str, output: Path, platform: str | None, everything: bool, overwrite: bool, as_json: bool, url: str | None
) -> None:
    """Fetch what stands at ADDRESS: [team/]model[:variant[:version or short hash]], or an instance's identifier.

    What was interrupted goes on where it was; the sha256 is checked, and the file has its name only when it is whole.
    """
    with connected(url) as hub, moving(address) as progress:
        instance = _found(hub, address, platform)
        paths = hub.instances.download(
            instance.id, output, everything=everything, overwrite=overwrite, progress=progress
        )
    if as_json:
        own = instance.model_dump(mode="json", include={"id", "name", "model_type", "sha256", "size"})
        click.echo(json.dumps({"files": list(map(str, paths)), "instance": own}, ensure_ascii=False))
        return
    for path in paths:
        click.echo(path)
    click.echo(f"{instance.model_type} {size_of(instance.size)}, sha256 {instance.sha256}", err=True)


def _found(hub: Hub, address: str, platform: str | None) -> Instance:
    if address.startswith("aimi_"):
        return hub.instances.get(address)
    return hub.instances.resolve(address, platform)

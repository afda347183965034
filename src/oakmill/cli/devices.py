"""`oakmill devices`: the cameras that are attached to this machine."""

from __future__ import annotations

import click

from oakmill.cli.listing import json_option, print_rows


@click.command(context_settings={"max_content_width": 110})
@json_option
def command(as_json: bool) -> None:
    """List the cameras at this machine's USB and in its network; one that is in use is listed too.

    Their identifiers and names are what `--device` of run, benchmark and prove takes.
    """
    from oakmill import devices
    from oakmill.devices.vendor import UDEV, words_apart

    with words_apart():
        found = devices.find()
    if not found and not as_json:
        click.echo(f"{devices.looked_for()}.")
        return
    print_rows([camera.as_dict() for camera in found], as_json=as_json)
    if any(camera.problem for camera in found) and not as_json:
        click.echo(f"try: {UDEV}", err=True)

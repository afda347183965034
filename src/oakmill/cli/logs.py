"""`oakmill logs`: what a hub's job tells."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from oakmill.cli.connecting import connected, hub_option
from oakmill.cli.listing import json_option

if TYPE_CHECKING:
    from oakmill.client import Line


@click.command()
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come, until the job has ended.")
@json_option
@hub_option
def command(job: str, follow: bool, as_json: bool, url: str | None) -> None:
    """Show the log of a JOB. The exit code says nothing of how the job ended; `oakmill jobs show` does."""
    from oakmill.client import Line

    with connected(url) as hub:
        hub.jobs.get(job)
        for told in hub.jobs.follow(job) if follow else hub.jobs.log(job):
            if isinstance(told, Line):
                _print(told, as_json)


def _print(line: Line, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(line.model_dump(mode="json"), ensure_ascii=False))
    else:
        mark = {"warning": "! ", "error": "error: ", "finished": "done, "}.get(line.kind, "")
        click.echo(f"{line.at:%H:%M:%S} {line.stage:<10} {mark}{line.text}")
    sys.stdout.flush()

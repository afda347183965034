"""`oakmill agent`: the cameras of this machine, at a hub's service."""

from __future__ import annotations

import logging
import sys

import click

from oakmill.cli.connecting import connected, hub_option

NOTHING_TO_DO = 3


@click.command(context_settings={"max_content_width": 110})
@hub_option
@click.option("--device", "camera", metavar="ID", help="One camera alone: its identifier, address or USB port.")
@click.option(
    "--once", is_flag=True,
    help="Run one job and end. The exit code is 0 when there was one, however it ended, and 3 when there was none.",
)  # fmt: skip
def command(url: str | None, camera: str | None, once: bool) -> None:
    """Prove and time a hub's results on the cameras of this machine, as people ask for it on the hub's pages.

    The key is that of `oakmill login`, or OAKMILL_KEY; its scope is `convert`. The hub's files are fetched, run on the
    camera as `oakmill prove` and `oakmill benchmark` do, and what was measured is sent to the hub. Ctrl-C ends the
    agent; a job that it runs then is given back.
    """
    from oakmill.agent.agent import Agent
    from oakmill.hub.log_lines import log_to_stderr
    from oakmill.settings import current

    log_to_stderr(current().log_format, logging.WARNING)
    logging.getLogger("oakmill").setLevel(logging.INFO)
    with connected(url) as hub:
        agent = Agent(hub, camera)
        team = hub.me().team.slug
        click.echo(f"agent {agent.name} works for the team {team} at {hub.url}", err=True)
        if not once:
            agent.run()
        elif not agent.run_once():
            sys.exit(NOTHING_TO_DO)

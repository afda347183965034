"""`oakmill jobs`: what a hub is doing, and has done."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from oakmill.cli.connecting import connected, hub_option
from oakmill.cli.listing import json_option, print_facts, print_rows

if TYPE_CHECKING:
    from oakmill.client import Job

STATUS = ["waiting", "queued", "running", "succeeded", "failed", "cancelled"]


@click.group(name="jobs", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List, show, cancel and retry a hub's jobs; without a further word, list them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@command.command(name="list")
@click.option("--status", multiple=True, type=click.Choice(STATUS), help="Only such jobs; repeat for more.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many at most.")
@json_option
@hub_option
def list_(status: tuple[str, ...] = (), limit: int = 20, as_json: bool = False, url: str | None = None) -> None:
    """Show the team's jobs, the latest first."""
    with connected(url) as hub:
        found = list(islice(hub.jobs.list(status=status), limit))
    rows: list[dict[str, Any]] = [
        {
            "id": job.id,
            "name": job.name,
            "platform": job.platform,
            "status": job.status,
            "stage": job.progress.get("stage") if job.is_live else None,
            "queued": f"{job.queued:%Y-%m-%d %H:%M}",
            "seconds": seconds_of(job),
        }
        for job in found
    ]
    print_rows([job.model_dump(mode="json") for job in found] if as_json else rows, as_json=as_json)


@command.command()
@click.argument("job")
@json_option
@hub_option
def show(job: str, as_json: bool, url: str | None) -> None:
    """Show a JOB: where it stands, what is expected of it, and why it failed."""
    with connected(url) as hub:
        _show(hub.jobs.get(job), as_json)


@command.command()
@click.argument("job")
@json_option
@hub_option
def cancel(job: str, as_json: bool, url: str | None) -> None:
    """Cancel a JOB; one that has ended stays as it ended."""
    with connected(url) as hub:
        _show(hub.jobs.cancel(job), as_json)


@command.command()
@click.argument("job")
@json_option
@hub_option
def retry(job: str, as_json: bool, url: str | None) -> None:
    """Ask for a JOB that has ended again; with other options, use `oakmill convert MODEL --hub`."""
    with connected(url) as hub:
        _show(hub.jobs.retry(job), as_json)


def seconds_of(job: Job) -> str:
    """How long it ran."""
    return f"{(job.finished - job.started).total_seconds():.1f}" if job.started and job.finished else ""


def _show(job: Job, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(job.model_dump(mode="json"), indent=1, ensure_ascii=False))
        return
    expected = {"position": job.position, "wait": job.wait, "run": job.run}
    print_facts(
        {
            "job": job.id,
            "name": job.name,
            "status": job.status,
            "platform": job.platform,
            **{name: value for name, value in expected.items() if value is not None},
            "stages": [f"{stage['name']} {stage['seconds']:.2f} s" for stage in job.stages],
            "seconds": seconds_of(job),
            "result": job.result_id if job.status == "succeeded" else None,
            "answered by": job.answered_by,
            "retry of": job.retry_of,
        }
    )
    if job.failure:
        from oakmill.cli.failing import in_words
        from oakmill.conversion.failures import Failure

        for line in in_words(Failure.model_validate(job.failure)):
            click.echo(line)

"""`oakmill worker`: a process that runs the hub's jobs, one at a time, or sends them to a Ray cluster."""

from __future__ import annotations

import logging
import re
import sys

import click

from oakmill.processes.loading import loading


def _a_name(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}", value):
        raise click.BadParameter("letters, digits and . _ : - only, 100 at most")
    return value


@click.command()
@click.option(
    "--once", is_flag=False, flag_value="", default=None, metavar="[JOB]",
    help="Run one job, the next or the one named, and end: what an engine of your own places on its machines. The exit "
    "code is 0 when there was one, however it ended, 3 when there was none to take, and 10 when the database does not "
    "answer.",
)  # fmt: skip
@click.option(
    "--most", type=click.IntRange(1), default=None, metavar="N",
    help="As --once, but the next job, and the next, N at most, until none waits: what is loaded serves them all.",
)  # fmt: skip
@click.option(
    "--none-ok", is_flag=True,
    help="With --once or --most: the exit code is 0 also when there was none to take, where your engine takes others "
    "for failures.",
)  # fmt: skip
@click.option(
    "--name", default=None, metavar="NAME", callback=_a_name,
    help="What the worker is called in lists and logs, as your engine's own name of it; one name, one process.  "
    "[default: made of machine and process]",
)  # fmt: skip
@click.option(
    "--ray", is_flag=True,
    help="Run none here: for each job that may begin, send a worker to the Ray cluster that RAY_ADDRESS names, or to "
    "one that is started on this machine, as a task of one core. Needs PostgreSQL and S3.",
)  # fmt: skip
def command(once: str | None, most: int | None, none_ok: bool, name: str | None, ray: bool) -> None:
    """Run jobs of the hub whose database and store the settings name.

    `oakmill serve` starts workers by itself; this adds one, on the same machine, or on another one with a hub on
    PostgreSQL and S3.
    """
    with loading():
        from oakmill.hub.log_lines import log_to_stderr
        from oakmill.jobs.notify import Notifier
        from oakmill.jobs.worker import NOTHING_TO_DO, Worker
        from oakmill.settings import current
        from oakmill.storage.database import Database
        from oakmill.storage.stores import open_store

    settings = current()
    log_to_stderr(settings.log_format, logging.WARNING)
    logging.getLogger("oakmill").setLevel(logging.INFO)
    if ray and (once is not None or most):
        raise click.UsageError("--ray sends all jobs; --once and --most run some here.")
    if once and most:
        raise click.UsageError(f"--once {once} names the job; --most takes what comes.")
    db = Database.of(settings)
    notifier = Notifier.of(settings, db)
    if ray:
        from oakmill.jobs.executors.ray import RayPlacer

        RayPlacer(settings, db, notifier).run()
        return
    worker = Worker(settings, db, open_store(settings), notifier, name)
    if once is None and most is None:
        worker.run()
    elif not worker.run_some(most or 1, once or None) and not none_ok:
        sys.exit(NOTHING_TO_DO)

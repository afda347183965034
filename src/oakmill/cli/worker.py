"""`oakmill worker`: a process that runs the hub's jobs, one at a time, or sends them to a Ray cluster."""

from __future__ import annotations

import logging
import sys

import click

NOTHING_TO_DO = 3


@click.command()
@click.option(
    "--once", is_flag=False, flag_value="", default=None, metavar="[JOB]",
    help="Run one job, the next or the one named, and end: what an engine of your own places on its machines. The exit "
    "code is 0 when there was one, however it ended, and 3 when there was none to take.",
)  # fmt: skip
@click.option(
    "--ray", is_flag=True,
    help="Run none here: send each to the Ray cluster that RAY_ADDRESS names, or to one that is started on this "
    "machine, as a task of one core. Needs PostgreSQL and S3.",
)  # fmt: skip
def command(once: str | None, ray: bool) -> None:
    """Run jobs of the hub whose database and store the settings name.

    `oakmill serve` starts workers by itself; this adds one, on the same machine, or on another one with a hub on
    PostgreSQL and S3.
    """
    from oakmill.hub.log_lines import log_to_stderr
    from oakmill.settings import current

    settings = current()
    log_to_stderr(settings.log_format, logging.WARNING)
    logging.getLogger("oakmill").setLevel(logging.INFO)
    if ray and once is not None:
        raise click.UsageError("--ray sends all jobs; --once runs one here.")
    from oakmill.jobs.notify import Notifier
    from oakmill.storage.database import Database

    db = Database.of(settings)
    notifier = Notifier.of(settings, db)
    if ray:
        from oakmill.jobs.executors.ray import RayPlacer

        RayPlacer(settings, db, notifier).run()
        return
    from oakmill.jobs.worker import Worker
    from oakmill.storage.stores import open_store

    worker = Worker(settings, db, open_store(settings), notifier)
    if once is None:
        worker.run()
    elif not worker.run_once(once or None):
        sys.exit(NOTHING_TO_DO)

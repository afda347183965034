"""`oakmill worker`: a process that runs the hub's jobs, one at a time."""

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
def command(once: str | None) -> None:
    """Run jobs of the hub whose database and store the settings name.

    `oakmill serve` starts workers by itself; this adds one, on the same machine, or on another one with a hub on
    PostgreSQL and S3.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("oakmill").setLevel(logging.INFO)
    from oakmill.api.hub import open_database
    from oakmill.jobs.bell import Bell
    from oakmill.jobs.worker import Worker
    from oakmill.settings import current
    from oakmill.storage.blobs import BlobStore

    settings = current()
    db = open_database(settings)
    worker = Worker(settings, db, BlobStore.of(settings), Bell.of(settings, db))
    if once is None:
        worker.run()
    elif not worker.run_once(once or None):
        sys.exit(NOTHING_TO_DO)

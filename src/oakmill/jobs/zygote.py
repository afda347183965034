"""The zygote of a worker, which forks the processes that run jobs: `python -P -m oakmill.jobs.zygote SOCKET`."""

from __future__ import annotations

from oakmill.jobs import runner
from oakmill.processes import zygote

if __name__ == "__main__":
    zygote.serve(runner.load, runner.main)

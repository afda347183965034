"""The zygote of a hub's looks, which forks the processes that look: `python -P -m oakmill.untrusted.zygote SOCKET`."""

from __future__ import annotations

from oakmill.processes import zygote
from oakmill.untrusted import worker

if __name__ == "__main__":
    zygote.serve(worker.load, worker.main)

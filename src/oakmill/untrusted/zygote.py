"""The zygote of a hub's looks, which forks the processes that look: `python -P -m oakmill.untrusted.zygote SOCKET`."""

from __future__ import annotations

from oakmill.processes import zygote
from oakmill.processes.loading import loading

if __name__ == "__main__":
    with loading():
        from oakmill.untrusted import worker
    zygote.serve(worker.load, worker.main)

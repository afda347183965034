"""Webhooks of a hub whose processes are killed: nothing that was to be told is lost."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.hub_servers import ServedHub
from tests.in_process import run
from tests.receiver import receiving

ALLOWED = {"OAKMILL_WEBHOOK_NETWORKS": '["127.0.0.0/8"]', "OAKMILL_WEBHOOK_SECONDS": "3"}


@pytest.mark.heavy
def test_a_hub_that_is_killed_while_it_tells_tells_it_again(tmp_path: Path) -> None:
    """A message that was being sent when its process was killed would have counted as sent, or been forgotten."""
    killed = threading.Event()

    def hang(handler: Any) -> None:
        killed.wait(240)

    served = ServedHub(tmp_path / "home", variables=ALLOWED)
    with receiving(hang, 204) as receiver, served:
        variables = {"OAKMILL_HUB_URL": served.url, "OAKMILL_KEY": served.key}
        made = json.loads(run("webhooks", "add", receiver.url, "--event", "job.failed", "--json", **variables).stdout)
        run("webhooks", "test", made["id"], "--wait", "0", **variables)
        receiver.wait_for(1)
        for process in descendants(served.process.pid):
            os.kill(process, signal.SIGKILL)
        served.process.wait(240)
        killed.set()

        served.start()
        first, second = receiver.wait_for(2)[:2]
        assert (second.id, second.body) == (first.id, first.body)
        assert second.verified(made["secret"])["type"] == "webhook.test"

        done = run("webhooks", "test", made["id"], **{**variables, "OAKMILL_HUB_URL": served.url})
        assert done.returncode == 0, done.stderr
        assert "was delivered: answered 204" in done.stdout
        assert "delivered 204" in run("webhooks", "list", **variables).stdout
        assert made["id"] in run("webhooks", "remove", made["id"], **variables).stdout


def descendants(pid: int) -> list[int]:
    """A process of ours and all below it, the parents first, so that none is started anew."""
    import psutil

    parent = psutil.Process(pid)
    return [parent.pid, *(child.pid for child in parent.children(recursive=True))]

"""hubai-sdk's own test suite, which ships in its wheel, against the hub: all of it passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.compat.conftest import Sdk
from tests.hub_servers import ServedHub

TESTS = 59


@pytest.mark.slow
@pytest.mark.timeout(1900)
def test_the_clients_own_suite_passes(hub: ServedHub, sdk: Sdk, tmp_path: Path) -> None:
    suite = next((sdk.python.parent.parent / "lib").glob("python3.*/site-packages/tests"))
    done = sdk.run(hub, tmp_path, "-m", "pytest", suite, "-q", "-p", "no:cacheprovider", "--durations=15")
    summary = done.stdout.strip().splitlines()[-1]
    print(summary)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert dict(re.findall(r"(\w+)=(\d+)", re.sub(r"(\d+) (\w+)", r"\2=\1", summary))) == {"passed": str(TESTS)} | (
        {"warnings": warned[1]} if (warned := re.search(r"(\d+) warnings?", summary)) else {}
    ), summary

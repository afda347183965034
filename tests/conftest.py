"""Fixtures that all tests share."""

from __future__ import annotations

import gc
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.hub_servers import kept_postgres, postgres_server, postgres_tables, postgres_url, s3_server, s3_store

__all__ = ["kept_postgres", "postgres_server", "postgres_tables", "postgres_url", "s3_server", "s3_store"]

PROJECT = Path(__file__).resolve().parent.parent
NAMED_BYTES = 16
LONGEST_NAME = 500
"""Letters of a test's name, with its parameters; the workers send all names to one another."""
TOGETHER = ("tests/compat/", "tests/web/")
"""Folders whose files share one hub, and so one worker: each further worker would fill a hub of its own first."""
LONG = (
    *TOGETHER,
    "tests/conversion/test_rvc4_real_models.py",
    "tests/conversion/test_rvc3_real_models.py",
    "tests/conversion/test_real_models.py",
    "tests/crash/",
    "tests/toolchains/",
    "tests/conversion/",
    "tests/client/",
    "tests/",
    "tests/unit/",
)
"""What takes long, longest first; a test is where the longest of these begins its name."""

# A shell that starts the tests in the background makes them, and all that they start, deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real models and photos beside the checkout; a user who clones the project has none."""
    folder = PROJECT.parent / "shared" / "data"
    if not (folder / "MANIFEST.csv").is_file():
        pytest.skip("the folder of real models (../shared/data) is not beside this checkout")
    return folder


def pytest_make_parametrize_id(val: object) -> str | None:
    """A short name for long bytes: workers refuse to share tests whose names differ.

    Once a gzip file was part of a name; it holds the second it was made, and two workers made it in different ones.
    """
    return f"{len(val)}bytes" if isinstance(val, bytes) and len(val) > NAMED_BYTES else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Nothing that is found is garbage: to look for some took a fifth of the time, and as long again between tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, so that all workers are busy until the end; who reads real models is heavy."""
    for item in items:
        if len(item.nodeid) > LONGEST_NAME:
            raise pytest.UsageError(f"{item.nodeid[:LONGEST_NAME]}... is a name of {len(item.nodeid)} letters")
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.heavy)
    items.sort(key=lambda item: _place(item.nodeid))


def _place(name: str) -> int:
    return LONG.index(max((start for start in LONG if name.startswith(start)), key=len))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """As `--dist loadfile`, but that the files of some folders stay together."""
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

    class Together(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            together = [folder for folder in TOGETHER if nodeid.startswith(folder)]
            return together[0] if together else str(super()._split_scope(nodeid))

    return Together(config, log) if config.getoption("dist") == "loadfile" else None

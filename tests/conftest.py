"""Fixtures that all tests share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
NAMED_BYTES = 16

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, so that all workers are busy until the end; who reads real models is heavy."""
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.heavy)
    items.sort(key=lambda item: item.path.is_relative_to(PROJECT / "tests" / "unit"))

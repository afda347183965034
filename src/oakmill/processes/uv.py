"""Finds the uv program that came with Oakmill: it fetches packages by lock files, for whoever needs some."""

from __future__ import annotations

from pathlib import Path

from oakmill.errors import ToolchainMissing


def uv() -> Path:
    """The uv program that was installed with Oakmill.

    Raises:
        ToolchainMissing: it is not there.
    """
    from uv import find_uv_bin

    try:
        return Path(find_uv_bin())
    except FileNotFoundError as error:
        raise ToolchainMissing(
            f"uv, which fetches toolchains and photos, is not installed: {error}", remedy="Run ./run again."
        ) from None

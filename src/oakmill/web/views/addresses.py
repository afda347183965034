"""Addresses of lists: every filter that says something stands in them, and where the page begins."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode


def address(path: str, asked: Mapping[str, str], **more: str | int | None) -> str:
    """The address of a list that is asked for with these filters."""
    said = {name: value for name, value in {**asked, **more}.items() if value}
    return f"{path}?{urlencode(said)}" if said else path

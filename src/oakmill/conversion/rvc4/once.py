"""Measures once what the cache does not have: takes it, goes on where a killed run was, and keeps what is found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from oakmill.conversion.cache.store import Store
from oakmill.conversion.events import Progress

Document = Mapping[str, Any]


def measured_once(
    store: Store,
    kind: str,
    key: str,
    tensors: Collection[str],
    measure: Callable[[Path | None], Document],
    progress: Progress,
) -> Document:
    """What is known of each of the tensors, as plain JSON; measured where the cache does not have exactly them.

    Args:
        measure: given where it may keep what it has so far, so that a run that is killed goes on there; None where
            nothing can be written. What it raises goes on to the caller, and what it kept stays.
    """
    known = store.load(kind, key)
    if known is not None and known.keys() == set(tensors):
        progress.note(f"the ranges of {len(known)} tensors were measured before, on the same images")
        return known
    partial = store.partial(kind, key)
    found = measure(partial)
    store.save(kind, key, found)
    if partial:
        partial.unlink(missing_ok=True)
    return found

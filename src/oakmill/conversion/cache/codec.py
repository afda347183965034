"""Writes what a stage found as JSON and reads it back as the same objects, for the cache.

Only plain data, arrays, paths, enumerations and Oakmill's own records pass: reading a file runs no code of its choice.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

_OWN = "oakmill."


def encode(value: Any) -> Any:
    """As data that JSON can write.

    Raises:
        TypeError: a part of it is neither plain data nor a record of Oakmill's.
    """
    if isinstance(value, Enum):
        return {"$": "enum", "of": _name(type(value)), "value": value.value}
    if value is None or isinstance(value, bool | int | float | str):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, tuple | frozenset | set):
        kind = next(kind for kind in _SERIES if isinstance(value, _SERIES[kind]))
        return {"$": kind, "items": [encode(item) for item in value]}
    if isinstance(value, Mapping):
        return {"$": "map", "items": [[encode(key), encode(item)] for key, item in value.items()]}
    return _encode_object(value)


_SERIES: dict[str, type[tuple[Any, ...]] | type[frozenset[Any]] | type[set[Any]]] = {
    "tuple": tuple,
    "frozenset": frozenset,
    "set": set,
}


def _encode_object(value: Any) -> Any:
    if isinstance(value, Path):
        return {"$": "path", "value": str(value)}
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise TypeError("an array of objects cannot be stored")
        data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        return {"$": "array", "dtype": array.dtype.str, "shape": list(array.shape), "data": data}
    if type(value).__module__.startswith(_OWN) and hasattr(value, "__dict__"):
        return {"$": "record", "of": _name(type(value)), "fields": {k: encode(v) for k, v in vars(value).items()}}
    raise TypeError(f"{type(value).__name__} cannot be stored")


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def decode(data: Any) -> Any:
    """What `encode` was given.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is something else.
    """
    if isinstance(data, list):
        return [decode(item) for item in data]
    if not isinstance(data, dict):
        return data
    kind = data["$"]
    if kind in _SERIES:
        return _SERIES[kind](decode(item) for item in data["items"])
    if kind == "map":
        return {decode(key): decode(item) for key, item in data["items"]}
    return Path(data["value"]) if kind == "path" else _decode_object(data)


def _decode_object(data: Mapping[str, Any]) -> Any:
    if data["$"] == "array":
        flat = np.frombuffer(base64.b64decode(data["data"]), np.dtype(data["dtype"]))
        return flat.reshape(data["shape"]).copy()[()]  # one number comes back as one
    kind = _find(data["of"])
    if data["$"] == "enum":
        return kind(data["value"])
    made = object.__new__(kind)
    vars(made).update({name: decode(item) for name, item in data["fields"].items()})
    return made


def _find(name: str) -> Any:
    """A class of Oakmill's that is loaded already: nothing is imported because a file says so."""
    module, _, qualname = name.partition(":")
    found = vars(sys.modules[module])[qualname] if module.startswith(_OWN) else None
    if not isinstance(found, type) or found.__module__ != module:
        raise ValueError(f"{name!r} is no record of Oakmill's")
    return found

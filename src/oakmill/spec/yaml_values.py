"""Checks the keys and values of a configuration that somebody wrote by hand; each error names the key."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from oakmill.errors import SpecError

_UPLOAD = "results stay in the output folder"
_FROZEN = "an input that is frozen must be a constant in the model itself"
_STAGED = "what another stage computes cannot calibrate this one: convert them one by one, each with its own images"
_DRAWN = "calibration data is not drawn from a distribution; give images, or the word random"
_REFUSED = {
    "output_remote_url": _UPLOAD,
    "intermediate_outputs_remote_url": _UPLOAD,
    "put_file_plugin": f"it runs the code of a plugin, and {_UPLOAD}",
    "yolo_input_shape": "it is for PyTorch checkpoints, which are not read; export the model to ONNX",
    "frozen_value": _FROZEN,
    "freeze_value": _FROZEN,
    "script": "it is a program, and none is run",
    "stage": _STAGED,
    "output": _STAGED,
    **dict.fromkeys(("min_value", "max_value", "mean", "std"), _DRAWN),
}


def given(said: Mapping[str, Any]) -> dict[str, Any]:
    """Without the keys that have no value."""
    return {key: value for key, value in said.items() if value is not None}


def checked(said: Mapping[str, Any], known: Collection[str], where: str) -> dict[str, Any]:
    """The keys that have a value, once it is certain that none is refused or unknown.

    Raises:
        SpecError: one is; it is named, with those that look like it.
    """
    for key in said:
        path = f"{where}.{key}" if where else str(key)
        if key in known:
            continue
        if key in _REFUSED and said[key] is not None:
            raise cannot(path, _REFUSED[str(key)])
        if key not in _REFUSED:
            raise _unknown(path, str(key), known)
    return given({key: value for key, value in said.items() if key in known})


def _unknown(path: str, key: str, known: Collection[str]) -> SpecError:
    close = difflib.get_close_matches(key, known, n=3, cutoff=0.6)
    meant = f"did you mean {' or '.join(close)}?" if close else f"known here: {', '.join(known)}"
    return SpecError(f"the configuration has the unknown key {path[:200]!r}", subject=path[:200], remedy=meant)


def cannot(path: str, why: str) -> SpecError:
    """The error for a key whose value cannot be carried out."""
    return SpecError(f"the key {path!r} cannot be carried out: {why}", subject=path, remedy=f"take {path} out")


def mapping(key: str, value: Any) -> dict[str, Any]:
    """Keys with values; none where there is nothing.

    Raises:
        SpecError: it is something else; so with all that follow.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SpecError(f"{key} is {_shown(value)}, not keys with values", subject=key)
    return {str(name): item for name, item in value.items()}


def sequence(key: str, value: Any) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise SpecError(f"{key} is {_shown(value)}, not a list", subject=key)
    return value


def text(key: str, value: Any) -> str:
    """Text."""
    if not isinstance(value, str):
        raise SpecError(f"{key} is {_shown(value)}, not text", subject=key)
    return value


def flag(key: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise SpecError(f"{key} is {_shown(value)}, neither true nor false", subject=key)
    return value


def whole(key: str, value: Any) -> int:
    """A whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise SpecError(f"{key} is {_shown(value)}, not a whole number", subject=key)
    return value


def _shown(value: Any) -> str:
    return repr(value)[:80]

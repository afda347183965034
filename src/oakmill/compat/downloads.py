"""Links to an instance's files for clients that save a file under the last part of its address."""

from __future__ import annotations

import re

from fastapi import Request

from oakmill.hub import files
from oakmill.hub.state import Hub
from oakmill.registry.callers import Caller
from oakmill.registry.instances import SHORT
from oakmill.registry.tables import Instance, InstanceFile, Role

_PACKED = re.compile(r"^(?P<stem>.+?)(?P<suffix>\.(tar(\.\w{2,3})?|rvc\d\.tar\.\w+|\w{1,10}))$")
_OTHERS = re.compile(r"[^A-Za-z0-9._+-]+")


def links(at: Hub, request: Request, caller: Caller, row: Instance) -> list[str]:
    """Absolute addresses that work for a while without a key: the model's, then what belongs to it."""
    wanted = [file for role in (Role.MODEL, Role.PART) for file in row.files if file.role == role]
    return [_link(at, request, caller, file) for file in wanted]


def _link(at: Hub, request: Request, caller: Caller, file: InstanceFile) -> str:
    """The hub's own link, whose last part is a name for people; parts of a model keep the name that it calls them."""
    place = files.link(at, request, caller, file).url.rpartition("/")[0]
    return f"{place}/{distinct(file.name, file.sha256) if file.role == Role.MODEL else plain(file.name)}"


def distinct(name: str, sha256: str) -> str:
    """A plain name that no other file has: clients keep a file that is there already."""
    found = _PACKED.match(plain(name))
    stem, suffix = (found["stem"], found["suffix"]) if found else (plain(name), "")
    return f"{stem}-{sha256[:SHORT]}{suffix}"


def plain(name: str) -> str:
    """The name in letters that stand in an address as they are: some clients do not decode it."""
    return _OTHERS.sub("_", name).strip(".") or "model"

"""The vendors' tools of this machine over HTTP: how they stand, how they are kept apart, and their installation."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from subprocess import DEVNULL, PIPE, STDOUT, Popen
from typing import Annotated, Any

from fastapi import Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from oakmill.hub import visibility
from oakmill.hub.auth import Admin, Reader, TheHub, Writing
from oakmill.hub.routing import router
from oakmill.registry import audit
from oakmill.toolchains import catalog, machine
from oakmill.toolchains.base import Managed, State
from oakmill.toolchains.installing import accepting

routes = router("toolchains")

_AS_LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": 'Lines of JSON: {"line": ...} as it goes on, at last {"installed": true or false}.',
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    }
}


class ToolchainOut(BaseModel):
    """A toolchain, and how it stands here."""

    name: str
    state: State
    summary: str
    detail: str
    licence: str = ""
    unaccepted: str = Field("", description="The licence to accept by its name before it is installed.")
    needs_source: bool = Field(
        False, description="Whether the operator has to name the archive that it is made out of first."
    )


class ToolchainsOut(BaseModel):
    """The toolchains of this machine, and how they are kept apart from it."""

    items: list[ToolchainOut]
    isolation: dict[str, Any] = Field(
        description="level, detail, gaps (what a tool could still do), and the remedy where it could be better."
    )


@routes.get("/toolchains")
def list_toolchains(caller: Reader, at: TheHub) -> ToolchainsOut:
    """The vendors' tools, installed or not."""
    found = [toolchain.status() for toolchain in catalog.all_toolchains(at.settings)]
    items = [ToolchainOut.model_validate(one, from_attributes=True) for one in found]
    return ToolchainsOut(items=items, isolation=machine.examine(at.settings)["isolation"])


@routes.post("/toolchains/{name:path}/install", response_class=StreamingResponse, responses=_AS_LINES)
def install(
    name: Annotated[str, Path(max_length=100)],
    session: Writing,
    caller: Admin,
    at: TheHub,
    accept_licence: Annotated[str, Query(max_length=100)] = "",
) -> StreamingResponse:
    """Install a toolchain, and tell how it goes. It downloads packages; it goes on when the connection breaks.

    One whose licence is to be accepted by its name is installed with that name alone.
    """
    visibility.require_tools(caller)
    toolchain = catalog.find(name, accepting(at.settings, accept_licence))
    if isinstance(toolchain, Managed):
        toolchain.require_leave()
    audit.record(session, caller, "toolchain.install", toolchain.name)
    return StreamingResponse(_installing(toolchain.name, accept_licence), media_type="application/x-ndjson")


def _installing(name: str, licence: str) -> Iterator[str]:
    command = [sys.executable, "-m", "oakmill", "toolchains", "install", name, f"--accept-licence={licence}"]
    process = Popen(command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, text=True, errors="replace")
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            yield json.dumps({"line": line.rstrip()}) + "\n"
    yield json.dumps({"installed": process.wait() == 0}) + "\n"

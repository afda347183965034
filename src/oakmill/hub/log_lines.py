"""The log's lines, for people or for machines; each tells the request in which it was written."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

REQUEST: ContextVar[str] = ContextVar("request_id", default="")
_TEXT = "%(asctime)s %(levelname)s %(name)s%(of_request)s: %(message)s"
_FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s"

Form = Literal["text", "json"]


def request_id() -> str:
    """What the request is called that is being answered here; nothing outside of one."""
    return REQUEST.get()


class _OfRequest(logging.Filter):
    """Gives each record the request in which it was written."""

    def filter(self, record: logging.LogRecord) -> bool:
        name = request_id()
        record.request_id, record.of_request = name, f" [{name}]" if name else ""
        return True


class _OneLine(logging.Formatter):
    """Writes a record's message as one line, so that nobody's words begin another; a traceback follows it as ever."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - so the library calls it
        line = super().formatMessage(record)
        return line if line.isprintable() else "".join(map(_shown, line))


def _shown(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


def handler(form: Form) -> logging.Handler:
    """What writes to stderr: lines for people, or one JSON object a line for machines that gather them."""
    made = logging.StreamHandler(sys.stderr)
    made.addFilter(_OfRequest())
    renamed = {"asctime": "time", "levelname": "level", "name": "logger"}
    made.setFormatter(JsonFormatter(_FIELDS, rename_fields=renamed) if form == "json" else _OneLine(_TEXT))
    return made


def log_to_stderr(form: Form, level: int = logging.INFO) -> None:
    """Write all logs of this process so."""
    logging.basicConfig(level=level, handlers=[handler(form)])

"""Every command that a page or the docs tell people to type is one that there is."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from oakmill.cli.main import cli
from tests.conftest import PROJECT

MARKED = re.compile(
    r"<code>(.*?)</code>|`([^`\n]+)`|^ {4}(oakmill .*)$|m\.code\('(.*?)'|data-copy[^>]*>(.*?)</button>", re.M
)
TOLD = re.compile(r"oakmill ([a-z][^\n`'\"<|#\\&(]*)")
PLACES = [*PROJECT.glob("src/oakmill/web/templates/**/*.html"), *PROJECT.glob("docs/howto/*.md"), PROJECT / "README.md"]


def commands(text: str) -> list[str]:
    """Commands between code marks, with what a template fills in left out."""
    marked = MARKED.findall(text.replace("./run ", "oakmill "))
    plain = [re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "X", part) for parts in marked for part in parts if part]
    return [found for part in plain for found in TOLD.findall(part.replace("\\n", "\n"))]


def wrong(line: str) -> str | None:
    """What of it there is not."""
    command: click.Command = cli
    words, within = line.split(), click.Context(cli)
    while words and isinstance(command, click.Group):
        if words[0].strip(",.;:") in ("X", "example"):  # filled in, or a word of ./run's own
            return None
        found = command.get_command(within, words.pop(0).strip(",.;:"))
        if found is None:
            return f"no such command: {line}"
        command = found
    known = {"--help"} | {name for item in command.get_params(within) for name in (*item.opts, *item.secondary_opts)}
    return next((word for word in words if word.startswith("--") and word.partition("=")[0] not in known), None)


def test_what_there_is_not_is_found() -> None:
    assert wrong("keys create --name me") == "--name"
    assert wrong("keys make me") == "no such command: keys make me"


@pytest.mark.parametrize("place", PLACES, ids=lambda path: Path(path).name)
def test_commands_that_are_told_exist(place: Path) -> None:
    found = {line: fault for line in commands(place.read_text()) if (fault := wrong(line))}
    assert not found

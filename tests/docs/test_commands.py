"""Commands that the docs give are taken: each names a command that there is, with options that it has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from oakmill.cli.main import cli
from tests.conftest import PROJECT

PAGES = [*sorted(PROJECT.glob("docs/**/*.md")), PROJECT / "README.md"]
_COMMAND = re.compile(
    r"^(?:    |- run: |)\s*(?:export \w+=\$\(.*|(?:[A-Z_]+=(?:'[^']*'|\S+) )*)(?:oakmill|\./run) (?P<rest>.+)$"
)
_AFTER = re.compile(r"\s(?:#|\||&&|;|>|<|\().*|[;`].*|\s+\[.*")
"""A comment, another program, or what may be left out."""


_OF_RUN = "example"
"""The one word that ./run has of its own."""


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of each command in indented or fenced lines."""
    fenced = False
    for line in page.read_text().splitlines():
        fenced ^= line.lstrip().startswith("```")
        found = _COMMAND.match(line) if fenced or line.startswith("    ") else None
        if found and not found["rest"].endswith("\\") and found["rest"].split()[0] != _OF_RUN:
            yield shlex.split(_AFTER.sub("", f" {found['rest']}"))


def refused(words: list[str]) -> str:
    """What the command line says to it; nothing where it takes it."""
    command: click.Command = cli
    context = click.Context(cli, info_name="oakmill")
    try:
        while isinstance(command, click.Group):
            words = command.make_parser(context).parse_args(args=list(words))[1]
            if not words:
                return ""
            _, found, words = command.resolve_command(context, words)
            assert found is not None
            command, context = found, click.Context(found, info_name=found.name, parent=context)
        command.make_parser(context).parse_args(args=list(words))
    except click.UsageError as error:
        return error.format_message()
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_commands_of_a_page_are_taken(page: Path) -> None:
    """An option that was renamed lived on in the docs."""
    assert [(words, said) for words in commands(page) if (said := refused(words))] == []


def test_it_sees_commands_and_what_is_wrong_with_them() -> None:
    assert sum(len(list(commands(page))) for page in PAGES) > 60
    assert refused(["keys", "create", "me", "--scope", "admin"]) == ""
    assert "--scoop" in refused(["keys", "create", "me", "--scoop", "admin"])
    assert "No such command" in refused(["keis"])

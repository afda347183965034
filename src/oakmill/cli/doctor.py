"""`oakmill doctor`: what works on this machine, and what to do about what does not."""

from __future__ import annotations

import json
from typing import Any

import click

from oakmill.cli.severities import marked
from oakmill.findings import Severity
from oakmill.settings import current
from oakmill.toolchains.base import State
from oakmill.toolchains.machine import examine

_STATES = {State.INSTALLED: Severity.OK, State.MISSING: Severity.WARNING, State.BROKEN: Severity.ERROR}
LITTLE_SPACE_GB = 2.0


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option("--store", is_flag=True, help="Hold the hub's rows against the files in its store, instead.")
@click.option("--read", is_flag=True, help="With --store: read every file, and take its sha256 anew.")
def command(as_json: bool, store: bool, read: bool) -> None:
    """Show what works on this machine, and what to do about what does not.

    With --store it says which files the hub's database names and its store has not; the exit code is 10 then.
    """
    if store:
        from oakmill.cli.store_doctor import examine_store

        examine_store(current(), read=read, as_json=as_json)
        return
    found = examine(current())
    if as_json:
        click.echo(json.dumps(found, default=str, indent=1))
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    python, system = found["python"], found["system"]
    console.print(f"[bold]Oakmill {found['oakmill']}[/] on Python {python['version']}")
    console.print(escape(f"  {python['executable']}\n  {system['name']}, {system['cores']} cores"))
    for title, lines in (
        ("Packages", _package_lines(found["packages"])),
        ("Sandbox for vendors' tools", _isolation_lines(found["isolation"])),
        ("Toolchains", _toolchain_lines(found["toolchains"])),
        ("Folders", _folder_lines(found["folders"])),
        ("Settings that differ from their defaults", _setting_lines(found["settings"])),
    ):
        console.print(f"\n[bold]{title}[/]")
        for severity, text in lines:
            first, *rest = text.splitlines()
            console.print(f"  {marked(severity) if severity else ' '} {escape(first)}")
            for line in rest:
                console.print(f"    [dim]{escape(line)}[/]")


Lines = list[tuple[Severity | None, str]]
"""What is said, and how it stands; None where it is neither good nor bad."""


def _package_lines(packages: dict[str, str | None]) -> Lines:
    return [
        (Severity.OK if number else Severity.ERROR, f"{name} {number or 'is missing'}")
        for name, number in packages.items()
    ]


def _isolation_lines(isolation: dict[str, Any]) -> Lines:
    level, setting = isolation["level"], isolation["setting"]
    severity = Severity.WARNING if level == "none" else Severity.OK
    if isolation["refused"]:
        severity = Severity.ERROR
    refused = "\nOAKMILL_ISOLATION=required: no tool will be run" if isolation["refused"] else ""
    wall = f"{level} (setting: {setting}): {isolation['detail']}{refused}\n{isolation['remedy']}"
    return [(severity, wall), *((Severity.WARNING, gap) for gap in isolation["gaps"])]


def _toolchain_lines(toolchains: list[dict[str, Any]]) -> Lines:
    return [
        (_STATES.get(item["state"]), f"{item['name']}: {item['state']}\n{item['detail'] or item['summary']}")
        for item in toolchains
    ]


def _folder_lines(folders: list[dict[str, Any]]) -> Lines:
    return [
        (
            _of_folder(item),
            f"{item['name']}: {item['path']}, {item['free_gb']} GB free"
            + ("" if item["writable"] else ", cannot be written"),
        )
        for item in folders
    ]


def _of_folder(item: dict[str, Any]) -> Severity:
    if not item["writable"]:
        return Severity.ERROR
    return Severity.WARNING if item["free_gb"] < LITTLE_SPACE_GB else Severity.OK


def _setting_lines(changed: dict[str, dict[str, Any]]) -> Lines:
    lines: Lines = [(None, f"{name}={item['value']} (default: {item['default']})") for name, item in changed.items()]
    return lines or [(None, "none")]

"""Whose work is in this hub: the packages that are installed, and the licences that came with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from oakmill.errors import NotFound
from oakmill.settings import Settings
from oakmill.toolchains import catalog, environments
from oakmill.toolchains.base import State
from oakmill.web.render import STATIC

HERE = "This hub"
OURS = "Oakmill"
_PAGES = ("htmx.org", "htmx.LICENSE")
_TEXT = re.compile(r"(?:^|/)(?:licen[cs]es?|copying|notice|authors)[^/]*$|/licen[cs]es/[^/]+$", re.IGNORECASE)
_LARGEST = 1 << 20
_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Work:
    """A package: its name, version, what it says of its licence, and the files with the licence's text."""

    name: str
    version: str
    licence: str
    texts: tuple[Path, ...] = ()


def groups(settings: Settings) -> dict[str, list[Work]]:
    """The hub's own environment, and that of each toolchain that is installed, with their packages by name."""
    found = {HERE: [*_pages(), *_works(distributions())]}
    for tool in catalog.all_toolchains(settings):
        if tool.status().state is State.INSTALLED:
            folder = environments.folder_of(tool.name, settings)
            found[tool.name] = _works(distributions(path=[*map(str, _sites(folder))]))
    return {name: works for name, works in found.items() if works}


def _sites(folder: Path) -> list[Path]:
    inner = "lib/python*/site-packages"
    return [*folder.glob(inner), *folder.glob(f"python/{inner}"), folder / environments.LIBRARIES]


def _pages() -> Iterator[Work]:
    """The library of the pages, which came by npm."""
    name, file = _PAGES
    text = STATIC / "vendor" / file
    if text.is_file():
        yield Work(name, "", "0BSD", (text,))


def _works(found: Iterable[Distribution]) -> list[Work]:
    works = {work.name.lower(): work for work in map(_work, found)}
    return [works[name] for name in sorted(works)]


def _work(found: Distribution) -> Work:
    said = found.metadata
    texts = [Path(str(found.locate_file(file))) for file in found.files or () if _is_text(str(file))]
    return Work(said["Name"] or "?", found.version, _licence(found), tuple(texts))


def _is_text(file: str) -> bool:
    return ".dist-info/" in file and bool(_TEXT.search(file))


def _licence(found: Distribution) -> str:
    """By the expression, else by the classifiers, else by the first line of what is said."""
    said = found.metadata
    if "License-Expression" in said:
        return said["License-Expression"]
    words = " ".join(said.get_all("License") or ())
    classes = [line.rpartition(" :: ")[2] for line in said.get_all("Classifier") or () if line.startswith("License")]
    return ", ".join(classes) or words.strip().partition("\n")[0][:80] or "not said"


def text_of(group: str, name: str, settings: Settings) -> tuple[Work, str]:
    """A package with all of its licence's text.

    Raises:
        NotFound: there is no such package, or no text came with it.
    """
    if name == OURS:
        return _own()
    work = next((item for item in groups(settings).get(group, ()) if item.name == name), None)
    texts = [_read(path) for path in work.texts if path.is_file()] if work else []
    if work is None or not texts:
        raise NotFound(f"No licence text of {name!r} came with it.", subject=name)
    return work, "\n\n".join(texts)


def _own() -> tuple[Work, str]:
    from oakmill import __version__

    file = next((path for path in (_PACKAGE / "LICENSE", _PACKAGE.parents[1] / "LICENSE") if path.is_file()), None)
    if file is None:
        raise NotFound("Oakmill's licence did not come with this installation: it is Apache-2.0.", subject=OURS)
    return Work(OURS, __version__, "Apache-2.0", (file,)), _read(file)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LARGEST).decode(errors="replace")

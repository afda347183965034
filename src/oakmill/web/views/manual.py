"""The docs as the hub shows them: Markdown that comes with the package, with links and images that stay on the hub."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

from oakmill.errors import NotFound

_PACKAGE = Path(__file__).resolve().parents[2]
ROOTS = (_PACKAGE / "docs", _PACKAGE.parents[1] / "docs")
"""In a wheel the docs lie within the package, in a checkout beside it."""
SECTIONS = {"": "Begin", "howto": "How to", "reference": "Reference", "explain": "How it works"}
IMAGE = re.compile(r"[a-z0-9-]+\.webp")
_HIDDEN = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Chapter:
    """One page of the docs: where it lies below their folder, and its title."""

    path: str
    title: str


def root() -> Path:
    """The folder of the docs.

    Raises:
        NotFound: this installation has none.
    """
    found = next((folder for folder in ROOTS if (folder / "quickstart.md").is_file()), None)
    if found is None:
        raise NotFound("The docs did not come with this installation.", remedy="They are in the project's folder docs.")
    return found


@lru_cache(maxsize=1)
def chapters() -> Mapping[str, tuple[Chapter, ...]]:
    """All pages by the title of their section."""
    there = root()
    return {
        title: tuple(Chapter(path.relative_to(there).as_posix(), _title(path)) for path in _pages(there / section))
        for section, title in SECTIONS.items()
    }


def _pages(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob("*.md"))


def _title(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ").replace("`", "").strip() or path.stem


def chapter(path: str) -> tuple[Chapter, Markup]:
    """A page of the docs, as HTML.

    Raises:
        NotFound: there is no such page.
    """
    found = next((item for items in chapters().values() for item in items if item.path == path), None)
    if found is None:
        raise NotFound(f"The docs have no page {path!r}.", subject=path, remedy="Choose one of the list: /docs.")
    return found, _drawn((root() / found.path).read_text(encoding="utf-8"))


def image(name: str) -> Path:
    """An image of the docs.

    Raises:
        NotFound: there is none of that name.
    """
    found = root() / "images" / name
    if not IMAGE.fullmatch(name) or not found.is_file():
        raise NotFound(f"The docs have no image {name!r}.", subject=name)
    return found


@lru_cache(maxsize=64)
def _drawn(text: str) -> Markup:
    reader = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    reader.add_render_rule("heading_open", _heading)
    _, _, body = text.partition("\n")  # the title stands above the page
    return Markup(reader.render(body))


def _heading(self: RendererHTML, tokens: Sequence[Token], at: int, options: Mapping[str, Any], env: Any) -> str:
    """A heading that links can lead to, by its words as code hosts write them."""
    token = tokens[at]
    token.attrSet("id", _HIDDEN.sub("", tokens[at + 1].content.lower()).replace(" ", "-"))
    return self.renderToken(tokens, at, options, env)  # type: ignore[arg-type]

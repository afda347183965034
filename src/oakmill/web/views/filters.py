"""Values as people read them: sizes, counts, shapes, words of the API, and Markdown that cannot do harm."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

from oakmill.findings import severity_of
from oakmill.registry.tables import Model
from oakmill.web.views import measured

OWN_WORDS = frozenset({"edit", "delete", "new"})
"""Last parts of pages' addresses below a model's identifier."""
_FOR_TERMINALS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_ACRONYMS = {"OPTICAL_CHARACTER_RECOGNITION": "OCR"}


def size(count: int | None) -> str:
    """12.3 MB."""
    if count is None:
        return "–"
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"


def number(count: int | None) -> str:
    """12 345, with a thin space that does not break."""
    return "–" if count is None else f"{count:,}".replace(",", "\u202f")


def amount(count: float) -> str:
    """1.2 M: a number of which the size matters."""
    for unit in ("", "k", "M", "G"):
        if count < 1000:
            return f"{count:.0f}" if not unit else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} T"


def counted(count: int, word: str) -> str:
    """3 models, 1 model."""
    return f"{number(count)} {word}{'' if count == 1 else 's'}"


def duration(seconds: float | None) -> str:
    """0.06 s, 12.3 s, 4 min 5 s, 2 h 3 min."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def readable(text: str) -> str:
    """A line of a tool's log without what is meant for a terminal."""
    return _FOR_TERMINALS.sub("", text)


def shape(dimensions: Iterable[Any]) -> str:
    """1 × 3 × 224 × 224; an open dimension by its name."""
    return " × ".join("?" if item is None else str(item) for item in dimensions)


def task(word: str) -> str:
    """OBJECT_DETECTION as a person writes it."""
    return _ACRONYMS.get(word) or word.replace("_", " ").capitalize()


def precision(word: str) -> str:
    """INT8_STANDARD is INT8; the other modes in full."""
    return (
        word
        if word == "AUTO"
        else word.removesuffix("_STANDARD").replace("_", " ").lower().replace("int", "INT").replace("fp", "FP")
    )


def plain(value: Any) -> str:
    """A value of a spec as a form's field or a table has it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(plain(item) for item in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def coded(text: str) -> Markup:
    """Text whose words between backticks are code."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def short(digest: str | None) -> str:
    """The beginning of a hash."""
    return (digest or "")[:12]


def segment(text: str) -> str:
    """A name as a part of an address."""
    return quote(text, safe="")


def model_path(row: Model) -> str:
    """The address of a model's page, for people to read; by its identifier where its slug is a page's own word."""
    if row.slug in OWN_WORDS:
        return f"/models/{row.id}"
    return f"/models/{segment(row.team.slug)}/{segment(row.slug)}"


def initials(name: str) -> str:
    """Up to two letters that stand for a name."""
    words = [word for word in name.replace("-", " ").replace("_", " ").split() if word[0].isalnum()]
    return "".join(word[0] for word in words[:2]).upper() or name[:1].upper()


def safe_link(address: str) -> str:
    """An address that a link may lead to; nothing for what would run in the page."""
    return address if address.lower().startswith(("https://", "http://", "mailto:")) else ""


@lru_cache(maxsize=256)
def markdown(text: str) -> Markup:
    """A card's Markdown: no HTML of its own, and no image that the browser would fetch from elsewhere."""
    # markdown-it-py escapes all text and refuses javascript: links itself; html is off in this preset.
    return Markup(_reader().render(text))


@lru_cache(maxsize=1)
def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    reader.add_render_rule("image", _image)
    return reader


def _image(self: RendererHTML, tokens: Sequence[Token], at: int, options: Mapping[str, Any], env: Any) -> str:
    token = tokens[at]
    address = str(token.attrGet("src") or "")
    text = token.content or address
    return str(Markup('<a href="{}" rel="noreferrer nofollow">{}</a>').format(safe_link(address), escape(text)))


def severity(word: str) -> str:
    """One of ok, note, warning and error, which are classes too; also for the words of older documents."""
    return severity_of(word).value


ALL: Mapping[str, Callable[..., Any]] = {
    "size": size,
    "number": number,
    "amount": amount,
    "counted": counted,
    "duration": duration,
    "readable": readable,
    "shape": shape,
    "task": task,
    "precision": precision,
    "plain": plain,
    "coded": coded,
    "short": short,
    "segment": segment,
    "model_path": model_path,
    "initials": initials,
    "safe_link": safe_link,
    "severity": severity,
    "markdown": markdown,
    "measured": measured.words,
    "measured_on": measured.on,
    "came_of": measured.came_of,
}

"""The few icons of the pages, drawn in line, so that they take the text's colour and cost no request."""

from __future__ import annotations

from functools import cache

from markupsafe import Markup

_PATHS = {
    "models": "M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
    "jobs": "M4 6h16M4 12h10M4 18h7M17 14l4 3-4 3z",
    "datasets": "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M9 9h.01",
    "toolchains": "M14.5 6.5a4 4 0 0 0-5 5L4 17l3 3 5.5-5.5a4 4 0 0 0 5-5L15 12l-3-3z",
    "quick": "M13 3L5 14h6l-1 7 8-11h-6z",
    "key": "M11.5 12.5a4 4 0 1 0-3 3.5 4 4 0 0 0 3-3.5H20v3M16.5 12.5v2.5",
    "book": "M5 4h6a2 2 0 0 1 2 2v14a2 2 0 0 0-2-2H5zM19 4h-4a2 2 0 0 0-2 2",
    "scales": "M12 4v16M7 20h10M5 7h14M5 7l-3 7h6zM19 7l-3 7h6z",
    "theme": "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
    "download": "M12 4v11M7 11l5 5 5-5M5 20h14",
    "upload": "M12 16V5M7 9l5-5 5 5M5 20h14",
    "check": "M5 12l5 5 9-10",
    "cross": "M6 6l12 12M18 6L6 18",
    "lock": "M6 11h12v9H6zM9 11V8a3 3 0 0 1 6 0v3",
    "convert": "M5 8h12l-3-3M19 16H7l3 3",
    "edit": "M5 19h3L19 8l-3-3L5 16z",
    "plus": "M12 5v14M5 12h14",
}
_BRAND = (
    '<svg viewBox="0 0 26 26" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" '
    'stroke-linejoin="round" aria-hidden="true"><circle cx="13" cy="13" r="10.5"/>'
    '<path d="M13 7v12M13 13l-4.5-3.5M13 16l4.5-4M13 10.5l3.5-2.6"/></svg>'
)
_SVG = (
    '<svg class="icon" width="18" height="18" viewBox="0 0 24 24" fill="none" stroke="currentColor" '
    'stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="{}"/></svg>'
)


@cache
def icon(name: str) -> Markup:
    """The icon of that name; our own drawings only."""
    return Markup(_BRAND if name == "brand" else _SVG.format(_PATHS[name]))

"""Reads what a page's form sends: fields as text, no more than a megabyte of them, and no files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from oakmill.errors import SpecError, TooLarge

LARGEST = 1 << 20
MOST = 5000


class Fields:
    """The fields of a form, in their order; one may come several times."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def get(self, name: str, default: str = "") -> str:
        """The last value of that name: a checkbox stands behind the hidden field that says no."""
        return self._values.get(name, [default])[-1]

    def all(self, name: str) -> list[str]:
        """All values of that name that say something."""
        return [value for value in self._values.get(name, []) if value.strip()]

    def with_value(self, name: str, value: str) -> Fields:
        """The same with one value of that name, whatever was there."""
        kept = [(other, text) for other, texts in self._values.items() if other != name for text in texts]
        return Fields([*kept, (name, value)])

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)


async def read(request: Request) -> Fields:
    """The form that was sent.

    Raises:
        TooLarge: there is more of it than a form of ours has.
        SpecError: it is no form.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise TooLarge("The form is larger than 1 MB.", remedy="Send files as uploads.")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST, errors="strict")
    except ValueError as error:
        raise SpecError("The form cannot be read.", remedy="Reload the page, and send it again.") from error
    if any("\0" in text for pair in pairs for text in pair):
        raise SpecError("The form holds a zero byte.", remedy="Leave it out.")
    return Fields(pairs)


Form = Annotated[Fields, Depends(read)]

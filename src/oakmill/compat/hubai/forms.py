"""Reads an upload's form (multipart/form-data) as it comes: its fields, then a file that is never held whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from oakmill.errors import SpecError, TooLarge

FILE = "file"
_MOST = 64 << 10
"""How much all that is not the file may be."""


@contextmanager
def _as_ours() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        raise SpecError(f"The form cannot be read: {error}") from error


class UploadForm:
    """A form on its way in; `fields` holds what came before the file."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or b"boundary" not in options:
            raise SpecError("The file is to come in a form: multipart/form-data.", subject="content-type")
        self.fields: dict[str, str] = {}
        self._name = ""
        self._header = self._value = self._part = b""
        self._rest = 0
        self._pieces: list[bytes] = []
        with _as_ours():
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._on_header_name,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header,
                    "on_part_data": self._on_data,
                    "on_part_end": self._end,
                },
            )

    async def file(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The file's bytes.

        Raises:
            SpecError: it is no such form.
            TooLarge: what is not the file is too much.
        """
        async for chunk in stream:
            with _as_ours():
                self._parser.write(chunk)
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                yield piece

    def _begin(self) -> None:
        self._name, self._part = "", b""

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += self._counted(data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += self._counted(data[start:end])

    def _on_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._name = parse_options_header(self._value)[1].get(b"name", b"").decode("utf-8", "replace")
        self._header = self._value = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == FILE:
            self._pieces.append(data[start:end])
        else:
            self._part += self._counted(data[start:end])

    def _end(self) -> None:
        if self._name != FILE:
            self.fields[self._name] = self._part.decode("utf-8", "replace")

    def _counted(self, data: bytes) -> bytes:
        self._rest += len(data)
        if self._rest > _MOST:
            raise TooLarge(f"The form's fields have more than {_MOST >> 10} KB.")
        return data

"""Reads an upload's form (multipart/form-data) as it comes: its fields, and files that are never held whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from oakmill.errors import SpecError, TooLarge

FILE = "file"
_MOST = 64 << 10
"""How much all that is not the file may be."""


@dataclass(frozen=True)
class FilePiece:
    """Some bytes of a file: which of the form's files it is, from 0 on, and the name of its part."""

    number: int
    name: str
    data: bytes


@contextmanager
def _as_ours() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        raise SpecError(f"The form cannot be read: {error}") from error


class UploadForm:
    """A form on its way in; `fields` holds what has come by now of what is no file."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or b"boundary" not in options:
            raise SpecError("The file is to come in a form: multipart/form-data.", subject="content-type")
        self.fields: dict[str, str] = {}
        self._name = ""
        self._file: int | None = None
        self._files = 0
        self._header = self._value = self._part = b""
        self._rest = 0
        self._pieces: list[FilePiece] = []
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
        """The bytes of the only file.

        Raises: as `files`.
        """
        async for piece in self.files(stream):
            yield piece.data

    async def files(self, stream: AsyncIterator[bytes]) -> AsyncIterator[FilePiece]:
        """The bytes of the files, one after the other.

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
        self._name, self._part, self._file = "", b"", None

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += self._counted(data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += self._counted(data[start:end])

    def _on_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            said = parse_options_header(self._value)[1]
            self._name = said.get(b"name", b"").decode("utf-8", "replace")
            if b"filename" in said or self._name == FILE:
                self._file, self._files = self._files, self._files + 1
        self._header = self._value = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._pieces.append(FilePiece(self._file, self._name, data[start:end]))
        else:
            self._part += self._counted(data[start:end])

    def _end(self) -> None:
        if self._file is None:
            self.fields[self._name] = self._part.decode("utf-8", "replace")

    def _counted(self, data: bytes) -> bytes:
        self._rest += len(data)
        if self._rest > _MOST:
            raise TooLarge(f"The form's fields have more than {_MOST >> 10} KB.")
        return data

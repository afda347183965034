"""Parses XML that nobody vouches for: no entities, no document types, within limits of size and depth."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from oakmill.errors import BrokenModel, SourceError, UnsafeSource

MAX_BYTES = 128 << 20  # a network of 478 layers takes 250 kB
MAX_DEPTH = 64
MAX_ELEMENTS = 4_000_000


class _Guarded(TreeBuilder):
    """Builds the tree, and refuses what a model does not need."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._depth = 0
        self._count = 0

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse a document type: entities are declared there."""
        raise UnsafeSource(f"{self._name} declares a document type, which no OpenVINO IR has", subject=self._name)

    def start(self, tag: str, attrs: dict[str, str]) -> Element:
        """Count an element that begins."""
        self._depth += 1
        self._count += 1
        if self._depth > MAX_DEPTH or self._count > MAX_ELEMENTS:
            what = "nested deeper" if self._depth > MAX_DEPTH else "longer"
            raise UnsafeSource(f"{self._name} is {what} than any network", subject=self._name)
        return super().start(tag, attrs)

    def end(self, tag: str) -> Element:
        """Count an element that ends."""
        self._depth -= 1
        return super().end(tag)


def parse(path: Path) -> Element:
    """The root element of an XML file in UTF-8.

    Raises:
        BrokenModel: it is not well formed, or in another encoding.
        UnsafeSource: it is beyond the limits, or declares a document type.
        SourceError: it cannot be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnsafeSource(f"{path.name} is larger than {MAX_BYTES >> 20} MB, which no network's XML is")
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}", subject=str(path)) from error
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise UnsafeSource(f"{path.name} declares a document type, which no OpenVINO IR has", subject=str(path))
    parser = XMLParser(target=_Guarded(path.name), encoding="utf-8")
    try:
        parser.feed(data)
        root: Element = parser.close()
    except (ParseError, ValueError) as error:
        raise BrokenModel(
            f"{path.name} is not well-formed XML: {error}",
            subject=str(path),
            remedy="Compare its size with the original's, and copy or download it again.",
        ) from error
    return root

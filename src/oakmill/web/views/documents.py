"""Reads the documents that lie beside a converted model in the store: passport, recipe; and marks YAML for the eye."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from oakmill.conversion.passport import Passport, report
from oakmill.conversion.recipe.read import parse
from oakmill.errors import OakmillError, TooLarge
from oakmill.hub.state import Hub
from oakmill.registry.tables import InstanceFile

LARGEST = 32 << 20
_KEY = re.compile(r"^(\s*(?:- )?)([\w./ -]+)(:)(\s|$)(.*)$")


def read(at: Hub, file: InstanceFile) -> bytes:
    """A document's bytes.

    Raises:
        TooLarge: it is larger than a document is.
        NotFound, StoreUnreachable: as `BlobStore.stream`.
    """
    if file.size > LARGEST:
        raise TooLarge(f"{file.name} has more than {LARGEST >> 20} MB.", remedy="Download it.")
    return b"".join(at.blobs.stream(file.sha256))


def json_of(at: Hub, file: InstanceFile | None) -> dict[str, Any]:
    """A JSON document; empty where there is none, or no mapping in it."""
    if file is None:
        return {}
    try:
        found = json.loads(read(at, file))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def passport_in(document: Mapping[str, Any]) -> Passport | None:
    """The accuracy passport that a document is; None where it is none that can be read."""
    try:
        return report.read(document)
    except ValueError:
        return None


def yaml_of(at: Hub, file: InstanceFile | None) -> dict[str, Any]:
    """A YAML document; empty where there is none, or none that can be read."""
    if file is None:
        return {}
    try:
        return parse(read(at, file), file.name)
    except OakmillError:
        return {}


def marked(text: str) -> list[Markup]:
    """The lines of a YAML document, keys and values told apart."""
    return list(_marked(text))


def _marked(text: str) -> Iterator[Markup]:
    for line in text.splitlines():
        found = _KEY.match(line)
        if found is None:
            yield Markup('<span class="value">{}</span>').format(line)
            continue
        indent, key, colon, space, value = found.groups()
        yield Markup('{}<span class="key">{}</span>{}{}<span class="value">{}</span>').format(
            indent, key, colon, space, value
        )

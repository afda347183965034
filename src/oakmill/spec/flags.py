"""The option on the command line that a field of a spec has."""

from __future__ import annotations

from pydantic.fields import FieldInfo


def flag_of(name: str, field: FieldInfo) -> str:
    """The option of a field: its own name, or the shorter one that the spec gives it."""
    extra = field.json_schema_extra
    own = extra.get("flag") if isinstance(extra, dict) else None
    return str(own) if own else "--" + name.replace("_", "-")

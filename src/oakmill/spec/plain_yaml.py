"""Keeps YAML that may come from anybody small: no references, and no nesting that would end the process."""

from __future__ import annotations

import io
from typing import Any

import yaml

_STARTS = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_ENDS = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


def check(data: bytes, loader: Any, deepest: int) -> None:
    """Look at a text's words, which takes no recursion, before libyaml's, whose stack ends, builds anything of it.

    Raises:
        ValueError: it holds a reference, with which a small text could describe an endless one, or lists and mappings
            lie in one another more than `deepest` times.
        yaml.YAMLError: it is no YAML.
    """
    depth = 0
    for token in yaml.scan(io.BytesIO(data), loader):
        if isinstance(token, yaml.AliasToken):
            raise ValueError(f"it holds a YAML reference (*{token.value})")
        depth += isinstance(token, _STARTS) - isinstance(token, _ENDS)
        if depth > deepest:
            raise ValueError(f"lists and mappings lie in one another more than {deepest} times")

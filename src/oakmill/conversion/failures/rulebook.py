"""The book of rules: which failures are known, what they mean, and what helps. The rules are data, in rules.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

BOOK = Path(__file__).with_name("rules.yaml")


class RuleRemedy(BaseModel):
    """A way out, as a template."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(description="What to do; {name} is put in from what the patterns caught and from the error.")
    edit: dict[str, Any] = Field(
        default_factory=dict,
        description="The change of the spec; a value of the form `$word` is computed, see `values`.",
    )
    command: str = Field("", description="A command to run before trying again.")
    settings: dict[str, str] = Field(default_factory=dict, description="Environment variables to set.")


class Rule(BaseModel):
    """One known failure. All that it states must fit; the first rule in the book that fits is taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str = Field(description="The failure in a few words.")
    code: tuple[str, ...] = Field((), description="Names of the error's class; none fits any.")
    stage: tuple[str, ...] = Field((), description="Stages that it fails in; none fits any.")
    platform: tuple[str, ...] = Field((), description="Platforms; none fits any.")
    message: str = Field("", description="Pattern for the error's message; its named groups are caught.")
    remedy: str = Field("", description="Pattern for the remedy that the error itself states.")
    log: str = Field("", description="Pattern for the end of the tool's log.")
    ops: tuple[str, ...] = Field((), description="Operators; the source's first node of one is the place at fault.")
    sentence: str = Field("", description="What went wrong, where the error's own message does not say it well.")
    cause: str = Field(description="Why this happens, in one to three sentences.")
    remedies: tuple[RuleRemedy, ...] = Field(min_length=1)

    def fits(self, problem: Mapping[str, str]) -> dict[str, str] | None:
        """What its patterns catch in a problem (code, stage, platform, message, remedy, log); None if it is another."""
        for field in ("code", "stage", "platform"):
            allowed = getattr(self, field)
            if allowed and problem.get(field, "") not in allowed:
                return None
        caught: dict[str, str] = {}
        for field, pattern in self._patterns.items():
            found = pattern.search(problem.get(field, ""))
            if found is None:
                return None
            caught |= {name: text for name, text in found.groupdict().items() if text}
        return caught

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        given = {"message": self.message, "remedy": self.remedy, "log": self.log}
        return {field: re.compile(text, re.DOTALL) for field, text in given.items() if text}


@lru_cache(maxsize=1)
def rules() -> tuple[Rule, ...]:
    """All rules, in the order in which they are tried; read when first needed."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return tuple(Rule.model_validate(item) for item in yaml.load(BOOK.read_text(), loader))

"""Explains an error: finds the rule that fits, the place in the source, and remedies as edits that can be applied."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from oakmill.conversion.events import stage_of
from oakmill.conversion.failures.edits import apply, differences
from oakmill.conversion.failures.facts import SourceFacts, prepared
from oakmill.conversion.failures.failure import Failure, Place, Remedy
from oakmill.conversion.failures.rulebook import Rule, RuleRemedy, rules
from oakmill.errors import (
    OakmillError,
    PreparationFailed,
    SpecError,
    ToolFailed,
    UnsupportedModel,
    VerificationFailed,
)
from oakmill.spec import ConversionSpec

BEFORE = "ask"
"""The stage of what fails before the conversion begins: the request itself, or the installation of a toolchain."""

_AFTER_SOURCE = {"prepare", "calibrate", "compile", "package", "verify"}
_OF_THE_GRAPH = {kind.exit_code for kind in (UnsupportedModel, PreparationFailed, ToolFailed, VerificationFailed)}
"""Exit codes of the errors whose subject may be a node; others name a file, a parameter, a calibration set."""
_TOOL_SAYS = (". The compiler says: ", ". Compiler: ")
_TAIL = 40
_SIDE = 224
_USUAL = (1, 3, _SIDE, _SIDE)


@dataclass(frozen=True)
class Problem:
    """An error as plain data, as it stands in a JSON line too."""

    code: str
    message: str
    exit_code: int = 1
    remedy: str = ""
    subject: str = ""
    log: str = ""
    stage: str = BEFORE

    @classmethod
    def of(cls, error: BaseException, stage: str = "") -> Problem:
        """Of any error; one that is not ours is called Unexpected, and its log is where it happened."""
        stage = stage or stage_of(error) or BEFORE
        if isinstance(error, OakmillError):
            return cls(error.code, error.message, error.exit_code, error.remedy, error.subject, error.log, stage)
        words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        log = "".join(traceback.format_exception(error))
        return cls("Unexpected", f"Oakmill itself failed: {words}", log=log, stage=stage)


def explain(
    error: BaseException | Problem,
    stage: str = "",
    spec: ConversionSpec | None = None,
    facts: SourceFacts | None = None,
    *,
    platform: str = "",
) -> Failure:
    """Why a conversion failed, and what to change.

    Args:
        error: what was raised.
        stage: where; by default the stage that `pipeline.convert` noted on the error.
        spec: what was asked; its edits are checked against it. None where it could not even be read.
        facts: the source's names; without them, names in tools' logs stay as they are.
        platform: where there is no spec to say it.
    """
    platform = spec.platform if spec else platform
    problem = error if isinstance(error, Problem) else Problem.of(error, stage)
    facts = facts or SourceFacts()
    rule, caught = _rule(problem, platform)
    place = _place(problem, rule, caught, facts)
    values = _Values(_words(problem, platform, caught, facts, place), facts, place, spec)
    sentence, details = _sentence(problem)
    return Failure(
        stage=problem.stage,
        code=problem.code,
        exit_code=problem.exit_code,
        rule=rule.id if rule else "",
        title=rule.title if rule else _title(problem.code),
        sentence=values.text(rule.sentence) if rule and rule.sentence else sentence,
        details=details,
        subject=problem.subject,
        place=place,
        cause=values.text(rule.cause) if rule else "",
        remedies=tuple(values.remedy(item) for item in rule.remedies) if rule else _own(problem),
        log=tuple(problem.log.strip().splitlines()[-_TAIL:]),
        platform=platform,
        spec=spec.model_dump(mode="json", exclude_unset=True) if spec else {},
    )


def _rule(problem: Problem, platform: str) -> tuple[Rule | None, dict[str, str]]:
    said = {**vars(problem), "platform": platform}
    for rule in rules():
        caught = rule.fits(said)
        if caught is not None:
            return rule, caught
    return None, {}


def _title(code: str) -> str:
    """What is known of an error that no rule explains: its class says what went wrong."""
    kind = next((kind for kind in _kinds(OakmillError) if kind.__name__ == code), None)
    said = (kind.__doc__ or "").partition("\n")[0].rstrip(".") if kind else ""
    return said or "Unknown failure"


def _kinds(kind: type[OakmillError]) -> Iterator[type[OakmillError]]:
    for below in kind.__subclasses__():
        yield below
        yield from _kinds(below)


def _sentence(problem: Problem) -> tuple[str, str]:
    """What went wrong, and the tool's own words about it."""
    for mark in _TOOL_SAYS:
        if mark in problem.message:
            said, _, details = problem.message.partition(mark)
            return said, details
    first, _, rest = problem.message.partition("\n")
    return first, rest


def _own(problem: Problem) -> tuple[Remedy, ...]:
    return (Remedy(text=problem.remedy),) if problem.remedy else ()


def _place(problem: Problem, rule: Rule | None, caught: Mapping[str, str], facts: SourceFacts) -> Place | None:
    """By what the rule caught, or the error names; else by the operator that the rule looks for or the error names."""
    for name in (caught.get("place", ""), caught.get("input", ""), problem.subject):
        if name and (found := facts.place(name)):
            return found
    ops = (*(rule.ops if rule else ()), caught.get("custom", ""))
    if found := facts.first_of(ops):
        return found
    after = problem.stage in _AFTER_SOURCE and facts.nodes and problem.exit_code in _OF_THE_GRAPH
    return prepared(caught.get("place") or problem.subject) if after else None


def _words(
    problem: Problem, platform: str, caught: Mapping[str, str], facts: SourceFacts, place: Place | None
) -> _Blank:
    """What templates may speak of: the error's fields, the place, and what the patterns caught."""
    only = next(iter(facts.inputs), "") if len(facts.inputs) == 1 else ""
    where = {"place": place.name if place else problem.subject, "op": place.op if place else ""}
    return _Blank({**vars(problem), "platform": platform, "input": only, **where, **caught})


class _Values:
    """Fills a rule's templates."""

    def __init__(self, words: _Blank, facts: SourceFacts, place: Place | None, spec: ConversionSpec | None) -> None:
        self._words, self._facts, self._place, self._spec = words, facts, place, spec

    def text(self, template: str) -> str:
        """A template with its words put in, as one sentence."""
        return template.format_map(self._words).strip()

    def remedy(self, template: RuleRemedy) -> Remedy:
        """A remedy; an edit that this spec cannot take is left out, its words stay."""
        edit = {self.text(place): self._value(value) for place, value in template.edit.items()}
        plain = Remedy(
            text=self.text(template.text),
            command=self.text(template.command),
            settings={name: self.text(value) for name, value in template.settings.items()},
        )
        if not edit or _UNKNOWN in edit.values() or self._spec is None:
            return plain
        try:
            changed = apply(edit, self._spec)
        except SpecError:
            return plain
        added, gone = differences(self._spec, changed)
        if not added and not gone:
            return plain
        return plain.model_copy(update={"edit": edit, "options": added, "without": gone})

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._value(item) for key, item in value.items()}
        if not isinstance(value, str):
            return value
        if not value.startswith("$"):
            return self.text(value)
        word, _, argument = value[1:].partition(" ")
        return _COMPUTED[word](self, argument)

    def _listed(self, name: str) -> Any:
        """The caught text, cut at its commas."""
        return [item.strip() for item in self._words[name].split(",") if item.strip()] or _UNKNOWN

    def _before(self, _: str) -> Any:
        """What the node at fault reads of other nodes: where the network can end instead."""
        node = self._facts.nodes.get(self._place.name) if self._place else None
        return list(node.reads) if node and node.reads else _UNKNOWN

    def _shape(self, _: str) -> Any:
        """The input's shape with usual sizes for what is open: one image, of a size that most networks take."""
        known = self._facts.inputs.get(self._words["input"])
        if known is None:
            return _UNKNOWN
        usual = _USUAL if len(known) in (0, 4) else (1,) * len(known)
        if len(known) == 4 and known[3] in (1, 3) and known[1] not in (1, 3):
            usual = (1, _SIDE, _SIDE, 3)
        known = known or (None,) * len(usual)
        return [size if isinstance(size, int) else given for size, given in zip(known, usual, strict=True)]

    def _half_shape(self, _: str) -> Any:
        """Half of each large size."""
        shape = self._shape("")
        asked = [item.shape for item in self._spec.inputs if item.shape] if self._spec else []
        shape = list(asked[0]) if len(asked) == 1 and asked[0] else shape
        return shape if shape is _UNKNOWN else [size // 2 if size >= 64 else size for size in shape]


_UNKNOWN = object()
_COMPUTED: Mapping[str, Callable[[_Values, str], Any]] = {
    "list": _Values._listed,
    "before": _Values._before,
    "shape": _Values._shape,
    "half_shape": _Values._half_shape,
}


class _Blank(dict[str, str]):
    """Words by name; what is not known is blank."""

    def __missing__(self, key: str) -> str:
        return ""

"""What a preflight finds: each finding with its node, in the source's names, and an edit that helps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad a finding is: the conversion would fail; the result may disappoint; good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Verdict(StrEnum):
    """Whether a model can go to a platform."""

    YES = "yes"
    WARNINGS = "with warnings"
    NO = "no"


class Code(StrEnum):
    """What a finding is about."""

    UNSUPPORTED_OP = "unsupported_op"
    MISREAD_OP = "misread_op"
    UNCERTAIN_OP = "uncertain_op"
    UNKNOWN_DOMAIN = "unknown_domain"
    POOR_IN_8_BITS = "poor_in_8_bits"
    OPEN_SHAPE = "open_shape"
    SHAPE = "shape"
    SCALAR = "scalar"
    STRIDE = "stride"
    BATCH = "batch"
    WIDE_INTEGERS = "wide_integers"
    ENCODING = "encoding"
    RANK = "rank"
    FORMAT = "format"
    WEIGHTS = "weights"
    NOT_MEASURED = "not_measured"


@dataclass(frozen=True)
class Finding:
    """One thing found. `node` is the first node or input it is about, `others` those it is about too."""

    code: Code
    level: Level
    message: str
    node: str = ""
    op: str = ""
    remedy: str = ""
    others: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "code": self.code.value,
            "level": self.level.value,
            "message": self.message,
            "node": self.node,
            "op": self.op,
            "remedy": self.remedy,
            "others": list(self.others),
        }


@dataclass(frozen=True)
class Report:
    """All findings for one platform in one mode, the worst first; `table` is the toolchain that was measured."""

    platform: str
    mode: str
    table: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """By the worst finding."""
        levels = {finding.level for finding in self.findings}
        if Level.ERROR in levels:
            return Verdict.NO
        return Verdict.WARNINGS if Level.WARNING in levels else Verdict.YES

    def at(self, level: Level) -> tuple[Finding, ...]:
        """The findings of a level."""
        return tuple(finding for finding in self.findings if finding.level is level)

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "platform": self.platform,
            "verdict": self.verdict.value,
            "mode": self.mode,
            "table": self.table,
            "findings": [finding.as_dict() for finding in self.findings],
        }

"""What a preflight finds: the names of its findings, and the report on a platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from oakmill.findings import Finding, Severity, finding_of, worst_of


class Code(StrEnum):
    """What a finding is about."""

    UNSUPPORTED_OP = "unsupported_op"
    MISREAD_OP = "misread_op"
    UNCERTAIN_OP = "uncertain_op"
    UNTRIED_OP = "untried_op"
    UNKNOWN_DOMAIN = "unknown_domain"
    POOR_IN_8_BITS = "poor_in_8_bits"
    OPEN_SHAPE = "open_shape"
    SHAPE = "shape"
    SCALAR = "scalar"
    STRIDE = "stride"
    BATCH = "batch"
    PORT_TYPE = "port_type"
    UNUSED = "unused"
    WIDE_INTEGERS = "wide_integers"
    ENCODING = "encoding"
    RANK = "rank"
    PASSED_ON = "passed_on"
    CONSTANT = "constant"
    FORMAT = "format"
    ROOM = "room"
    WEIGHTS = "weights"
    NOT_MEASURED = "not_measured"


def of_node(code: Code, severity: Severity, message: str, node: str, op: str, remedy: str = "") -> Finding:
    """A finding on a node, in the source's names."""
    return Finding(code, severity, message, remedy=remedy, subject=node, evidence={"op": op})


@dataclass(frozen=True)
class Report:
    """All findings for one platform in one mode, the worst first; `table` is the toolchain that was measured.

    A finding's `subject` is the first node or input that it is about; of a node, `evidence` has its `op`.
    """

    platform: str
    mode: str
    table: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Severity:
        """Whether the model can go to the platform: ok, perhaps (warning), or not as it is (error)."""
        return worst_of(finding.severity for finding in self.findings)

    def at(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of a severity."""
        return tuple(finding for finding in self.findings if finding.severity is severity)

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "verdict": self.verdict}


def reports_of(facts: Mapping[str, Any]) -> dict[str, Report]:
    """The reports by platform among what is stored of a source, by this version or an earlier one."""
    return {name: report_of(document) for name, document in (facts.get("preflight") or {}).items()}


def report_of(document: Mapping[str, Any]) -> Report:
    """A report out of stored JSON, of this version or an earlier one."""
    findings = tuple(map(finding_of, document["findings"]))
    return Report(document["platform"], document["mode"], document["table"], findings)

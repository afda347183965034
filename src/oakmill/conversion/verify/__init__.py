"""Looks at a finished file again: whether it is what its recipe says, opens, runs, and computes as its source does."""

from oakmill.conversion.verify.again import NoLongerHolds, Verified, verify
from oakmill.conversion.verify.artefact import Artefact, NotAResult

__all__ = ["Artefact", "NoLongerHolds", "NotAResult", "Verified", "verify"]

"""The hub's signature on a file, as `oakmill verify` looks at it: with the keys of hubs that the user knows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from oakmill.cli.connecting import Kept
from oakmill.cli.listing import print_line
from oakmill.errors import SpecError
from oakmill.settings import Settings

if TYPE_CHECKING:
    from oakmill.conversion.verify.signature import Signature

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Signing:
    """What the user says of a signature: the evidence, the hub's key, and whether it is all that is to be looked at."""

    evidence: Path | None
    hub_key: str | None
    alone: bool

    def look(self, file: Path, settings: Settings) -> Signature:
        """What the evidence says that was given, or lies beside the file; nothing where there is none.

        Raises:
            NoEvidence: it cannot be read, or there is none and it was asked for.
            SpecError: the key is none.
        """
        from oakmill.conversion.verify import signature

        known = {_key(self.hub_key): "the hub of --hub-key"} if self.hub_key else Kept.read(settings).signers
        path = self.evidence or (signature.beside(file) if file.is_file() else None)
        if path is not None:
            return signature.check(file, signature.read(path), known)
        if not self.alone and not self.hub_key:
            return signature.Signature()
        raise signature.NoEvidence(
            f"No hub's evidence lies beside {file.name}.",
            subject=str(file),
            remedy="Fetch it with the file: oakmill download --all; or name it: --evidence FILE.",
        )


def signing_options(command: Command) -> Command:
    """The options of a signature, which become one argument, `signing`."""

    @wraps(command)
    def signed(*, evidence: Path | None, hub_key: str | None, alone: bool, **others: Any) -> Any:
        return command(signing=Signing(evidence, hub_key, alone), **others)

    of = click.option(
        "--evidence", type=click.Path(path_type=Path),
        help="What a hub has signed of it.  [default: the .evidence.json beside it, if there is one]",
    )  # fmt: skip
    by = click.option(
        "--hub-key", help="The hub's public key (64 digits, or a file of them).  [default: those of hubs logged in to]"
    )
    alone = click.option("--signature", "alone", is_flag=True, help="Look at the hub's signature alone.")
    return cast(Command, of(by(alone(signed))))


def show(file: Path, found: Signature, *, as_json: bool) -> None:
    """Tell it alone.

    Raises:
        NoLongerHolds: it does not hold, or nobody who is known has signed it.
    """
    from oakmill.conversion.verify import NoLongerHolds

    if as_json:
        findings = [asdict(item) for item in found.findings]
        print_line("result", {"file": str(file), "holds": list(found.holds), "findings": findings})
    else:
        for line in found.holds:
            click.echo(line)
    for wrong in found.findings:
        raise NoLongerHolds(wrong.message, subject=str(file), remedy=wrong.remedy)


def _key(given: str) -> str:
    text = given.strip().lower()
    path = Path(given)
    if not re.fullmatch(r"[0-9a-f]{64}", text) and path.is_file():
        text = path.read_text(errors="replace")[:200].strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise SpecError(
            f"{given!r} is no hub's public key, nor a file with one.",
            subject="hub_key",
            remedy="It has 64 digits: GET /api/v1/evidence-key of the hub tells it.",
        )
    return text

"""`oakmill verify`: look at a finished file again, and say what no longer holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oakmill.cli.failing import Attempt, debug_bundle_option, explained, verbose_option
from oakmill.cli.listing import print_line
from oakmill.cli.signing import Signing, show, signing_options
from oakmill.errors import OakmillError

if TYPE_CHECKING:
    from oakmill.conversion.events import Observer
    from oakmill.conversion.verify import Verified
    from oakmill.conversion.verify.signature import Signature
    from oakmill.spec import ConversionSpec


@click.command(context_settings={"max_content_width": 110})
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--source", type=click.Path(path_type=Path), help="The model that it was made of, to compare with.")
@click.option("--images", type=click.Path(path_type=Path), help="Images to run it on; by default generated ones.")
@signing_options
@click.option("--json", "as_json", is_flag=True, help="Print events and the result as JSON lines.")
@verbose_option
@debug_bundle_option
def command(
    file: Path,
    source: Path | None,
    images: Path | None,
    signing: Signing,
    as_json: bool,
    verbose: bool,
    debug_bundle: Path | None,
) -> None:
    """Verify FILE, an NN Archive or a bare .superblob, .blob, .dlc or IR, beside which its recipe may lie.

    The bytes are held against the recipe's digests, the vendor's own reader opens the file, and it runs on this
    machine where the platform has an emulation. With --source it is compared with that model as a conversion's
    passport does. What a hub has signed of it is checked, too. The exit code is 8 where something no longer holds.
    """
    from oakmill.settings import current

    settings = current()
    signed = signing.look(file, settings)
    if signing.alone:
        show(file, signed, as_json=as_json)
        return
    attempt = Attempt(source or file, "", Path(), settings, debug_bundle, as_json, verbose)
    with explained(attempt):
        verified = (_for_machines if as_json else _for_people)(attempt, file, source, images, signed)
    try:
        verified.require()
    except OakmillError as error:
        if as_json:
            print_line("error", error.as_dict())
        raise


def _for_machines(
    attempt: Attempt, file: Path, source: Path | None, images: Path | None, signed: Signature
) -> Verified:
    verified = _verified(
        attempt, file, source, images,
        lambda event: print_line("event", event.as_dict()),
        lambda words: print_line("event", {"kind": "log", "text": words}),
    ).also(signed.holds, signed.findings)  # fmt: skip
    print_line("result", verified.as_dict())
    return verified


def _for_people(attempt: Attempt, file: Path, source: Path | None, images: Path | None, signed: Signature) -> Verified:
    from oakmill.cli.progress import Display

    with Display(verbose=attempt.verbose) as display:
        verified = _verified(attempt, file, source, images, display.show, display.installing)
        verified = verified.also(signed.holds, signed.findings)
        display.verified(verified)
    return verified


def _verified(
    attempt: Attempt,
    file: Path,
    source: Path | None,
    images: Path | None,
    observer: Observer,
    installing: Callable[[str], None],
) -> Verified:
    from oakmill.cli.convert import install_needed
    from oakmill.conversion.verify import verify

    def install(spec: ConversionSpec) -> None:
        attempt.spec = spec
        install_needed(spec, attempt.settings, installing, source)

    watching = attempt.watching(observer)
    return verify(file, source, images, settings=attempt.settings, observer=watching, install=install)

"""`oakmill evaluate`: how often a finished file is right, on labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oakmill.cli.failing import Attempt, debug_bundle_option, explained, verbose_option
from oakmill.cli.listing import print_line
from oakmill.errors import OakmillError
from oakmill.spec import ConversionSpec, Resize

if TYPE_CHECKING:
    from oakmill.conversion.verify.evaluate import Asked, Evaluated


@click.command(context_settings={"max_content_width": 110})
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--data", required=True, metavar="NAME", help="The labelled set: oakmill datasets add NAME ... --labels.")
@click.option("--source", type=click.Path(path_type=Path), help="The model that it was made of, to compare with.")
@click.option(
    "--max-drop", type=click.FloatRange(0, 1), help="How much may be lost, in parts of 1; more has the exit code 11."
)
@click.option("--max-images", type=click.IntRange(1, 4096), default=256, show_default=True, help="Images at most.")
@click.option(
    "--resize", type=click.Choice([item.value for item in Resize]),
    help="How images are brought to the input's size; by default as in the conversion.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print events and the result as JSON lines.")
@verbose_option
@debug_bundle_option
def command(as_json: bool, verbose: bool, debug_bundle: Path | None, **values: Any) -> None:
    """Evaluate FILE, an NN Archive or a bare file with its recipe beside it, on labelled images.

    It runs on this machine, where the platform has an emulation: RVC4's is slow. With --source the model that it was
    made of runs on the same images, and the difference is told with a 95 % interval. Images that calibrated the file
    are left out.
    """
    from oakmill.conversion.verify.evaluate import Asked
    from oakmill.settings import current

    settings, file = current(), values["file"]
    resize = Resize(values["resize"]) if values["resize"] else None
    asked = Asked(values["data"], values["source"], values["max_drop"], values["max_images"], resize)
    attempt = Attempt(asked.source or file, "", Path(), settings, debug_bundle, as_json, verbose)
    with explained(attempt):
        found = (_for_machines if as_json else _for_people)(attempt, file, asked)
    try:
        found.require(asked.max_drop)
    except OakmillError as error:
        if as_json:
            print_line("error", error.as_dict())
        raise


def _for_machines(attempt: Attempt, file: Path, asked: Asked) -> Evaluated:
    found = _evaluated(
        attempt, file, asked,
        lambda event: print_line("event", event.as_dict()),
        lambda words: print_line("event", {"kind": "log", "text": words}),
    )  # fmt: skip
    print_line("result", found.as_dict())
    return found


def _for_people(attempt: Attempt, file: Path, asked: Asked) -> Evaluated:
    from oakmill.cli.progress import Display

    with Display(verbose=attempt.verbose) as display:
        found = _evaluated(attempt, file, asked, display.show, display.installing)
    accuracy = found.accuracy
    for reason in found.verified.reasons:
        click.echo(f"! {reason}", err=True)
    click.echo(f"{accuracy.name} on {accuracy.images} images ({accuracy.labels})")
    for score in accuracy.scores:
        click.echo(f"  {score.text}")
    click.echo(f"  {accuracy.note}; by {found.method}")
    if found.left_out:
        click.echo(f"  {found.left_out} labelled images calibrated it, and were left out")
    return found


def _evaluated(attempt: Attempt, file: Path, asked: Asked, observer: Any, installing: Any) -> Evaluated:
    from oakmill.cli.convert import install_needed
    from oakmill.conversion.verify.evaluate import evaluate

    def install(spec: ConversionSpec) -> None:
        attempt.spec = spec
        install_needed(spec, attempt.settings, installing, asked.source)

    watching = attempt.watching(observer)
    return evaluate(file, asked, settings=attempt.settings, observer=watching, install=install)

"""`oakmill replay`: follow a recipe again, and say whether the bytes are the same."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oakmill.cli.failing import Attempt, debug_bundle_option, explained, verbose_option
from oakmill.cli.listing import print_line

if TYPE_CHECKING:
    from oakmill.conversion.events import Event


@click.command(context_settings={"max_content_width": 110})
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--source", type=click.Path(path_type=Path), help="The source model, or a folder with it.")
@click.option("--quantization-data", help="The images that calibrated the quantization: a folder, zip or set, as then.")
@click.option("--images", type=click.Path(path_type=Path), help="Images for the accuracy passport, as then.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("replayed"), show_default=True,
    help="Folder for the new result, its passport and its recipe.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files of the same name in the output folder.")
@click.option("--json", "as_json", is_flag=True, help="Print events and the comparison as JSON lines.")
@verbose_option
@debug_bundle_option
def command(  # noqa: PLR0913, PLR0917 - one for each option
    recipe: Path,
    source: Path | None,
    quantization_data: str | None,
    images: Path | None,
    output: Path,
    overwrite: bool,
    as_json: bool,
    verbose: bool,
    debug_bundle: Path | None,
) -> None:
    """Convert again as RECIPE says (a recipe.yaml, or the NN Archive that holds it), and compare the bytes.

    The source model and images are known by their sha256 and looked for beside the recipe. Where the bytes differ,
    what was otherwise is named, and the exit code is 8.
    """
    from oakmill.cli.convert import install_needed
    from oakmill.conversion.recipe import read
    from oakmill.conversion.replay import Given, ReplayDiffers, replay
    from oakmill.settings import current

    settings, given = current(), Given(source, quantization_data, images)
    model = source if source and source.is_file() else recipe
    attempt = Attempt(model, "", output, settings, debug_bundle, as_json, verbose)
    with explained(attempt), _Shown(as_json=as_json, verbose=verbose) as shown:
        attempt.spec = read.read(recipe, settings).spec
        install_needed(attempt.spec, settings, shown.installing)
        watching = attempt.watching(shown.event)
        done = replay(recipe, output, given, settings=settings, observer=watching, overwrite=overwrite)
        shown.said(done.as_dict(), list(done.lines()))
        if not done.same:
            known = f"{len(done.causes)} things were otherwise than recorded" if done.causes else "nothing says why"
            raise ReplayDiffers(f"the recipe gives other bytes here; {known}", subject=str(recipe))


class _Shown(ExitStack):
    """Tells people on the terminal, or machines in JSON lines."""

    def __init__(self, *, as_json: bool, verbose: bool) -> None:
        from oakmill.cli.progress import Display

        super().__init__()
        self._display = None if as_json else self.enter_context(Display(verbose=verbose))

    def event(self, event: Event) -> None:
        if self._display:
            self._display.show(event)
        else:
            print_line("event", event.as_dict())

    def installing(self, words: str) -> None:
        if self._display:
            self._display.installing(words)

    def said(self, document: dict[str, Any], lines: list[str]) -> None:
        if self._display:
            click.echo("\n".join(lines))
        else:
            print_line("result", document)

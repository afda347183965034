"""`oakmill infer`: what a finished file gives on images, as .npy files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oakmill.cli.failing import Attempt, debug_bundle_option, explained, verbose_option
from oakmill.cli.listing import print_line
from oakmill.spec import ConversionSpec, Resize

if TYPE_CHECKING:
    from oakmill.conversion.verify.infer import Asked, Inferred


@click.command(context_settings={"max_content_width": 110})
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--images", type=click.Path(path_type=Path), help="A folder of images or .npy files, or one; else generated ones."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("outputs"), show_default=True,
    help="Folder for the outputs: OUTPUT/<output>/<image>.npy.",
)  # fmt: skip
@click.option(
    "--source", type=click.Path(path_type=Path), help="The model that it was made of, where a file is not run."
)
@click.option("--max-images", type=click.IntRange(1, 4096), default=64, show_default=True, help="Images at most.")
@click.option(
    "--resize", type=click.Choice([item.value for item in Resize]),
    help="How images are brought to the input's size; by default as in the conversion.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files of the same name in the output folder.")
@click.option("--json", "as_json", is_flag=True, help="Print events and the result as JSON lines.")
@verbose_option
@debug_bundle_option
def command(as_json: bool, verbose: bool, debug_bundle: Path | None, **values: Any) -> None:
    """Run FILE, an NN Archive or a bare file with its recipe beside it, and write its outputs as .npy files.

    A DLC runs on Qualcomm's emulated processor, which is slow, an IR for RVC3 in OpenVINO. Nothing but the camera runs
    a blob: with --source MODEL the network runs that was compiled.
    """
    from oakmill.conversion.verify.infer import Asked
    from oakmill.settings import current

    resize = Resize(values["resize"]) if values["resize"] else None
    asked = Asked(values["images"], values["source"], values["max_images"], resize)
    attempt = Attempt(asked.source or values["file"], "", values["output"], current(), debug_bundle, as_json, verbose)
    with explained(attempt):
        if as_json:
            found = _inferred(
                attempt, asked, values,
                lambda event: print_line("event", event.as_dict()),
                lambda words: print_line("event", {"kind": "log", "text": words}),
            )  # fmt: skip
            print_line("result", found.as_dict())
        else:
            _for_people(attempt, asked, values)


def _for_people(attempt: Attempt, asked: Asked, values: dict[str, Any]) -> None:
    from oakmill.cli.progress import Display

    with Display(verbose=attempt.verbose) as display:
        found = _inferred(attempt, asked, values, display.show, display.installing)
    click.echo(f"{found.method}: {len(found.images)} images", err=True)
    for name, files in found.files.items():
        click.echo(f"{files[0].parent} {len(files)} files: {name}")


def _inferred(attempt: Attempt, asked: Asked, values: dict[str, Any], observer: Any, installing: Any) -> Inferred:
    from oakmill.cli.convert import install_needed
    from oakmill.conversion.verify.infer import infer

    def install(spec: ConversionSpec) -> None:
        attempt.spec = spec
        install_needed(spec, attempt.settings, installing, asked.source)

    watching = attempt.watching(observer)
    return infer(
        values["file"], values["output"], asked,
        settings=attempt.settings, observer=watching, install=install, overwrite=values["overwrite"],
    )  # fmt: skip

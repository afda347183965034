"""`oakmill convert`: one model in, one verified file out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oakmill.cli.options import build_spec, spec_options
from oakmill.errors import OakmillError
from oakmill.spec import Rvc2Spec

if TYPE_CHECKING:
    from oakmill.settings import Settings

PLATFORMS = {"rvc2": Rvc2Spec}


@click.command(context_settings={"max_content_width": 110})
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--to", "platform", type=click.Choice(list(PLATFORMS)), required=True, help="Platform to convert for.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("converted"), show_default=True,
    help="Folder for the result, its passport and its recipe.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files of the same name in the output folder.")
@click.option("--json", "as_json", is_flag=True, help="Print events and the result as JSON lines.")
@click.option("-v", "--verbose", is_flag=True, help="Show what the vendors' tools print.")
@spec_options(Rvc2Spec)
def command(
    model: Path, platform: str, output: Path, overwrite: bool, as_json: bool, verbose: bool, **values: Any
) -> None:
    """Convert MODEL (ONNX, or an NN Archive that holds it) and prove the result's accuracy.

    Values for one input are given bare (--mean-values 104,117,123), for several inputs with the input's name
    (--mean-values left=104,117,123).
    """
    if as_json:
        with _told_to_machines():
            spec = build_spec(PLATFORMS[platform], values)
            _convert_for_machines(model, spec, output, overwrite)
    else:
        spec = build_spec(PLATFORMS[platform], values)
        _convert_for_people(model, spec, output, overwrite, verbose)


def _convert_for_people(model: Path, spec: Rvc2Spec, output: Path, overwrite: bool, verbose: bool) -> None:
    from oakmill.cli.progress import Display
    from oakmill.conversion.pipeline import convert
    from oakmill.settings import current

    with Display(verbose=verbose) as display:
        try:
            _install_missing(spec, current(), display.installing)
            converted = convert(model, spec, output, settings=current(), observer=display.show, overwrite=overwrite)
        except OakmillError as error:
            display.failed(error)
            raise
        display.finished(converted)


def _convert_for_machines(model: Path, spec: Rvc2Spec, output: Path, overwrite: bool) -> None:
    from oakmill.conversion.pipeline import convert, summary
    from oakmill.settings import current

    _install_missing(spec, current(), lambda words: _line("event", {"kind": "log", "text": words}))
    converted = convert(
        model,
        spec,
        output,
        settings=current(),
        observer=lambda event: _line("event", event.as_dict()),
        overwrite=overwrite,
    )
    _line("result", summary(converted))


def _install_missing(spec: Rvc2Spec, settings: Settings, tell: Callable[[str], None]) -> None:
    """Install the toolchains that are needed and missing, where the settings allow it."""
    from oakmill.conversion.rvc2 import needed_toolchains
    from oakmill.toolchains.base import State

    if not settings.install_toolchains:
        return
    for toolchain in needed_toolchains(spec, settings):
        if toolchain.status().state is State.MISSING:
            tell(f"installing {toolchain.name}: {toolchain.summary}")
            toolchain.install(lambda event: tell(event.line or event.what))


@contextmanager
def _told_to_machines() -> Iterator[None]:
    """An error becomes the last JSON line too."""
    try:
        yield
    except OakmillError as error:
        _line("error", error.as_dict())
        raise


def _line(kind: str, content: Any) -> None:
    click.echo(json.dumps({kind: content}, ensure_ascii=False))
    sys.stdout.flush()

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
from oakmill.spec import AnySpec, Rvc2Spec, Rvc4Spec

if TYPE_CHECKING:
    from oakmill.settings import Settings

PLATFORMS: dict[str, type[AnySpec]] = {"rvc2": Rvc2Spec, "rvc4": Rvc4Spec}


@click.command(context_settings={"max_content_width": 110})
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--to", "platform", type=click.Choice(list(PLATFORMS)), required=True, help="Platform to convert for.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("converted"), show_default=True,
    help="Folder for the result, its passport and its recipe.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files of the same name in the output folder.")
@click.option(
    "--qairt-root", type=click.Path(path_type=Path),
    help="[RVC4] Folder of your own Qualcomm SDK, whose version is then used; not tried with a real one.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print events and the result as JSON lines.")
@click.option("-v", "--verbose", is_flag=True, help="Show what the vendors' tools print.")
@spec_options(*PLATFORMS.values())
def command(
    model: Path,
    platform: str,
    output: Path,
    overwrite: bool,
    qairt_root: Path | None,
    as_json: bool,
    verbose: bool,
    **values: Any,
) -> None:
    """Convert MODEL (ONNX, or an NN Archive that holds it) and prove the result's accuracy.

    Values for one input are given bare (--mean-values 104,117,123), for several inputs with the input's name
    (--mean-values left=104,117,123).
    """
    if as_json:
        with _told_to_machines():
            spec = build_spec(PLATFORMS[platform], values)
            _convert_for_machines(model, spec, output, _settings(qairt_root), overwrite=overwrite)
    else:
        spec = build_spec(PLATFORMS[platform], values)
        _convert_for_people(model, spec, output, _settings(qairt_root), overwrite=overwrite, verbose=verbose)


def _settings(qairt_root: Path | None) -> Settings:
    from oakmill.settings import current

    return current().model_copy(update={"qairt_root": qairt_root}) if qairt_root else current()


def _convert_for_people(
    model: Path, spec: AnySpec, output: Path, settings: Settings, *, overwrite: bool, verbose: bool
) -> None:
    from oakmill.cli.progress import Display
    from oakmill.conversion.pipeline import convert

    with Display(verbose=verbose) as display:
        try:
            _install_missing(spec, settings, display.installing)
            converted = convert(model, spec, output, settings=settings, observer=display.show, overwrite=overwrite)
        except OakmillError as error:
            display.failed(error)
            raise
        display.finished(converted)


def _convert_for_machines(model: Path, spec: AnySpec, output: Path, settings: Settings, *, overwrite: bool) -> None:
    from oakmill.conversion.pipeline import convert, summary

    _install_missing(spec, settings, lambda words: _line("event", {"kind": "log", "text": words}))
    converted = convert(
        model,
        spec,
        output,
        settings=settings,
        observer=lambda event: _line("event", event.as_dict()),
        overwrite=overwrite,
    )
    _line("result", summary(converted))


def _install_missing(spec: AnySpec, settings: Settings, tell: Callable[[str], None]) -> None:
    """Install the toolchains that are needed and missing, where the settings allow it."""
    from oakmill.conversion.platforms import needed_toolchains
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

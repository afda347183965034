"""`oakmill archive`: packs a file that somebody else made into an NN Archive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from oakmill.cli.options import build_spec, input_options
from oakmill.spec import ConversionSpec


@click.command(context_settings={"max_content_width": 110}, params=input_options())
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path(), show_default="here",
    help="Folder for the archive, NAME.tar.xz.",
)  # fmt: skip
@click.option("--name", default="", help="What the model is called; by default as its file.")
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A config.json to take as it is, with heads and class names; by default one is made of what the file says.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace a file of the same name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def command(
    file: Path, output: Path, name: str, config: Path | None, overwrite: bool, as_json: bool, **values: Any
) -> None:
    """Pack FILE into an NN Archive for DepthAI v3: a blob, superblob or DLC, or a source to be converted later.

    Without --config the vendor's reader says what inputs and outputs there are, and the options what they are fed;
    mean and scale are for what is not inside the model.
    """
    from oakmill.conversion.verify.by_hand import pack
    from oakmill.settings import current

    asked = build_spec(ConversionSpec, values).inputs
    made = pack(file, output, settings=current(), name=name, given=config, asked=asked, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps({"file": str(made.file), "config": made.config}, ensure_ascii=False))
        return
    model = made.config["model"]
    click.echo(f"{made.file} {made.file.stat().st_size / 1e6:.2f} MB")
    for kind in ("inputs", "outputs"):
        for item in model[kind]:
            click.echo(f"  {kind[:-1]} {item['name']}: {item.get('shape')} {item.get('dtype')}")

"""`oakmill upload`: brings a model into a hub."""

from __future__ import annotations

import json
from pathlib import Path

import click

from oakmill.cli.connecting import connected, hub_option, moving
from oakmill.cli.listing import json_option


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--to", "address", required=True, metavar="[TEAM/]MODEL[:VARIANT[:VERSION]]",
    help="Where it goes; what is not there is made. Without a version it becomes the next one.",
)  # fmt: skip
@json_option
@hub_option
def command(files: tuple[Path, ...], address: str, as_json: bool, url: str | None) -> None:
    """Upload FILES, which are one model: ONNX, OpenVINO IR, TFLite, TorchScript or an NN Archive.

    The model comes first; files beside it that it names (external data, an IR's weights) go with it. Where the
    connection breaks, the upload goes on.
    """
    from oakmill.cli.places import place, type_of

    with connected(url) as hub, moving(files[0].name) as progress:
        model, version, instance = place(hub, address, files, model_type=type_of(files[0]), progress=progress)
    where = f"{model.team}/{model.slug}:{version.variant_slug}:{version.version}"
    if as_json:
        click.echo(json.dumps({"address": where, "instance": instance.model_dump(mode="json")}, ensure_ascii=False))
        return
    click.echo(where)
    click.echo(f"sha256 {instance.sha256}; oakmill convert {where} --to rvc4 --hub", err=True)

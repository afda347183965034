"""`oakmill bundle`: writes models with all their files into one file, for a hub that this one cannot reach."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oakmill.cli.connecting import connected, hub_option, moving, of_root
from oakmill.cli.listing import json_option, size_of
from oakmill.settings import current

if TYPE_CHECKING:
    from oakmill.spec.bundle import Manifest

local_option = click.option(
    "--local", is_flag=True, help="The hub of this machine itself, by its database and its store; for its operator."
)


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file, NAME.oakbundle."
)
@click.option("--with-datasets", is_flag=True, help="Also the team's own calibration sets that they were made with.")
@click.option("--overwrite", is_flag=True, help="Replace a file of that name.")
@json_option
@local_option
@hub_option
def command(
    models: tuple[str, ...], output: Path, with_datasets: bool, overwrite: bool, as_json: bool, local: bool,
    url: str | None,
) -> None:  # fmt: skip
    """Write each MODEL, as [team/]model, with all that is complete below it into one file.

    That is its card, variants, versions and aliases, what was uploaded, and each result with its recipe and passport.
    `oakmill unbundle` takes them in on another hub, where their addresses mean the same. The sha256 that is printed
    stands for all of it: tell it apart from the file, and it proves there that the file is this one.
    """
    require_one_place(local, url)
    with moving(output.name) as progress:
        if local:
            made, sha256 = _of_this_machine(models, output, with_datasets, overwrite)
        else:
            with connected(url) as hub:
                made, sha256 = hub.bundles.make(
                    models, output, with_datasets=with_datasets, overwrite=overwrite, progress=progress
                )
    if as_json:
        click.echo(json.dumps({"file": str(output), "sha256": sha256, **_counts(made)}, ensure_ascii=False))
        return
    counts = _counts(made)
    sets = f", {counts['datasets']} calibration sets" if made.datasets else ""
    click.echo(
        f"{output}: {', '.join(counts['models'])}; {counts['instances']} instances{sets}, {counts['files']} files, "
        f"{size_of(sum(made.files.values()))}; manifest {sha256}"
    )


def require_one_place(local: bool, url: str | None) -> None:
    """That not both hubs are meant."""
    if local and (url or of_root()):
        raise click.UsageError("--local is the hub of this machine, and --hub another: give one of them.")


def _counts(made: Manifest) -> dict[str, Any]:
    return {
        "models": [model.slug for model in made.models],
        "instances": sum(1 for model in made.models for _ in model.instances()),
        "datasets": len(made.datasets),
        "files": len(made.files),
    }


def _of_this_machine(
    models: tuple[str, ...], output: Path, with_datasets: bool, overwrite: bool
) -> tuple[Manifest, str]:
    from oakmill.hub.model_bundles import making
    from oakmill.hub.state import Hub
    from oakmill.registry import callers
    from oakmill.spec.bundle_file import Write, written

    with closing(Hub.open(current())) as at:

        def fill(write: Write) -> None:
            with at.db.reading() as session:
                made = making.manifest(session, callers.LOCAL, at, models, with_datasets=with_datasets)
            for piece in making.pieces(at, made):
                write(piece)

        return written(output, fill, overwrite=overwrite)

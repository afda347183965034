"""`oakmill unbundle`: takes the models of a bundle in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import click

from oakmill.cli.bundle import local_option, require_one_place
from oakmill.cli.connecting import connected, hub_option, moving
from oakmill.cli.listing import json_option, print_rows, size_of
from oakmill.settings import current

if TYPE_CHECKING:
    from oakmill.hub.wire_bundle import BundlePreview, BundleTaken


class Asked(TypedDict):
    """What is asked of a bundle."""

    file: Path
    names: tuple[str, ...]
    only: tuple[str, ...]
    team: str | None
    sha256: str | None
    dry_run: bool


_WORDS = {"new": "new", "adds": "adds to the one here", "there": "is all here", "taken": "its name is another's"}


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--as", "names", multiple=True, metavar="[MODEL=]NAME",
    help="Another name for a model; MODEL= may be left out where the bundle has one.",
)  # fmt: skip
@click.option("--only", multiple=True, metavar="MODEL", help="Take in this model of the bundle; may be given again.")
@click.option("--into", "team", metavar="TEAM", help="The team that is to own them.  [default: the key's]")
@click.option("--sha256", help="Of its manifest, as `oakmill bundle` told it; another bundle is refused.")
@click.option("--dry-run", is_flag=True, help="Say what would come in, and change nothing.")
@json_option
@local_option
@hub_option
def command(as_json: bool, local: bool, url: str | None, **asked: Unpack[Asked]) -> None:
    """Take in the models of FILE, which `oakmill bundle` has made; nothing is converted again.

    All of it is verified first: a file that has changed, is missing or was added ends it. Each model comes in whole or
    not at all. What is here already is left; a model of the same name with other files ends it, and --as gives another
    name. Run again, it goes on where it was stopped.
    """
    require_one_place(local, url)
    told = _on_this_machine(asked) if local else _on_hub(asked, url)
    _print(told, as_json=as_json, dry_run=asked["dry_run"])


def _on_hub(asked: Asked, url: str | None) -> BundlePreview | BundleTaken:
    from oakmill.errors import Forbidden

    file, team = asked["file"], asked["team"]
    with connected(url) as hub, moving(file.name) as progress:
        own = hub.me().team.slug
        if team not in {None, own}:
            raise Forbidden(f"This key is of the team {own}.", subject=str(team), remedy=f"Use a key of {team}.")
        told = hub.bundles.send(file, expected=asked["sha256"], progress=progress)
        assert told.upload_id is not None  # it is of an upload
        if asked["dry_run"]:
            hub.uploads.abandon(told.upload_id)
            return told
        chosen = _names(asked["names"], [model.slug for model in told.models])
        return hub.bundles.take(told.upload_id, names=chosen, only=asked["only"])


def _on_this_machine(asked: Asked) -> BundlePreview | BundleTaken:
    from oakmill.hub.model_bundles import taking
    from oakmill.hub.state import Hub
    from oakmill.registry import callers, teams
    from oakmill.spec.bundle_file import opened, verify

    file = asked["file"]
    with moving(file.name) as progress:
        verify(file, asked["sha256"], told=progress)
    with closing(Hub.open(current())) as at, opened(file, asked["sha256"]) as bundle:
        chosen = _names(asked["names"], [model.slug for model in bundle.manifest.models])
        with at.db.reading() as session:
            owner = teams.named(session, asked["team"] or "default")
            caller = callers.of_team(owner.id, owner.slug)
            if asked["dry_run"]:
                return taking.preview(session, caller, bundle, chosen)
        return taking.take(at, caller, bundle, names=chosen, only=asked["only"])


def _names(said: tuple[str, ...], slugs: list[str]) -> Mapping[str, str]:
    found = {}
    for text in said:
        slug, mark, name = text.rpartition("=")
        if not mark and len(slugs) != 1:
            raise click.UsageError(f"The bundle has {len(slugs)} models: say --as MODEL={name}.")
        found[slug or slugs[0]] = name
    return found


def _print(told: BundlePreview | BundleTaken, *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        click.echo(json.dumps(told.model_dump(mode="json"), indent=1, ensure_ascii=False))
        return
    rows: list[dict[str, Any]] = [
        {
            "model": model.address,
            "it": _WORDS.get(model.state, model.state),
            "instances": f"{model.coming} of {model.instances}",
            "size": size_of(model.size),
        }
        for model in told.models
    ]
    rows += [
        {
            "model": f"calibration set {item.name}",
            "it": "its name is another's; left out" if item.state == "taken" else _WORDS.get(item.state, item.state),
            "instances": f"{item.count} images",
            "size": size_of(item.size),
        }
        for item in told.datasets
    ]
    print_rows(rows, as_json=False)
    click.echo(f"{'would come in' if dry_run else 'taken in'} from the bundle {told.sha256}", err=True)

"""`oakmill models`: what a hub holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from oakmill.cli.connecting import connected, hub_option
from oakmill.cli.listing import json_option, print_facts, print_rows, size_of

if TYPE_CHECKING:
    from oakmill.client import Instance


@click.group(name="models", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List, show, create and delete a hub's models; without a further word, list them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@command.command(name="list")
@click.argument("text", required=False)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most.")
@json_option
@hub_option
def list_(text: str | None = None, limit: int = 100, as_json: bool = False, url: str | None = None) -> None:
    """Show the models that your key sees, those changed last first; with TEXT, those that hold the words."""
    from itertools import islice

    with connected(url) as hub:
        found = list(islice(hub.models.list(text or ""), limit))
    rows = [
        {
            "model": f"{model.team}/{model.slug}",
            "versions": model.versions,
            "available": " ".join(model.available),
            "visibility": model.visibility,
            "changed": f"{model.updated:%Y-%m-%d %H:%M}",
        }
        for model in found
    ]
    print_rows([model.model_dump(mode="json") for model in found] if as_json else rows, as_json=as_json)


@command.command()
@click.argument("model")
@json_option
@hub_option
def show(model: str, as_json: bool, url: str | None) -> None:
    """Show a MODEL, given as [team/]model or by its identifier, with its instances."""
    from oakmill.cli.places import find_model

    with connected(url) as hub:
        found = hub.models.get(find_model(hub, model).id)
        instances = list(hub.instances.list(model_id=found.id))
        versions = {
            version.id: f"{version.variant_slug}:{version.version}" for version in hub.models.versions(found.id)
        }
    rows = [_row(instance, versions.get(instance.version_id, "")) for instance in instances]
    if as_json:
        own = found.model_dump(mode="json")
        own["instances"] = [instance.model_dump(mode="json") for instance in instances]
        click.echo(json.dumps(own, indent=1, ensure_ascii=False))
        return
    names = ("id", "summary", "license", "tasks", "tags", "visibility")
    print_facts({"model": f"{found.team}/{found.slug}", **{name: getattr(found, name) for name in names}})
    print_rows(rows, as_json=False)


def _row(instance: Instance, place: str) -> dict[str, Any]:
    return {
        "version": place,
        "type": instance.model_type,
        "precision": instance.precision,
        "status": instance.status,
        "verdict": instance.verdict,
        "multiply-adds": (instance.facts.get("cost") or {}).get("multiply_adds"),
        "size": size_of(instance.size),
        "id": instance.id,
    }


@command.command()
@click.argument("name")
@click.option("--visibility", type=click.Choice(["private", "team", "public"]), default="team", show_default=True)
@click.option("--summary", default="", help="A sentence about it.")
@click.option("--license", default="undefined", help="Its licence.")
@json_option
@hub_option
def create(name: str, visibility: str, summary: str, license: str, as_json: bool, url: str | None) -> None:
    """Make a model called NAME, to which `oakmill upload` brings files."""
    with connected(url) as hub:
        made = hub.models.create(name, visibility=visibility, summary=summary, license=license)
    click.echo(json.dumps(made.model_dump(mode="json"), indent=1) if as_json else f"{made.team}/{made.slug}")


@command.command()
@click.argument("model")
@click.option("--force", is_flag=True, help="Delete it with all that was uploaded to it and converted from it.")
@hub_option
def delete(model: str, force: bool, url: str | None) -> None:
    """Delete a MODEL, given as [team/]model or by its identifier."""
    from oakmill.cli.places import find_model

    with connected(url) as hub:
        found = find_model(hub, model)
        hub.models.delete(found.id, force=force)
    click.echo(f"{found.team}/{found.slug} is deleted")

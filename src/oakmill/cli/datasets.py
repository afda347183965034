"""`oakmill datasets`: list, install, add, show and examine calibration sets."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oakmill.cli.listing import json_option
from oakmill.cli.severities import named
from oakmill.settings import current
from oakmill.spec import Encoding, Precision

if TYPE_CHECKING:
    from rich.table import Table

    from oakmill.calibration.datasets import Added, Entry, SetRecord
    from oakmill.calibration.datasets.store import Watcher
    from oakmill.calibration.doctor import Diagnosis, Expectation

COLOURS = {
    "installed": "green",
    "own": "cyan",
    "not installed": "yellow",
    "incomplete": "yellow",
    "damaged": "red",
}
SHOWN = 10  # names, of a set or of what was left out


_PRECISIONS = [item.value for item in Precision if item is not Precision.AUTO]


@click.group(name="datasets")
def command() -> None:
    """List, install, add and examine calibration sets: the images that calibrate a quantization.

    Nothing is fetched but by `install`.
    """


@command.command(name="list")
@json_option
def list_(as_json: bool) -> None:
    """Show every set and how it stands on this machine."""
    from oakmill.calibration import datasets

    found = datasets.entries(current())
    if as_json:
        _print_json([asdict(entry) for entry in found])
        return
    from rich.console import Console

    Console().print(table(found))


def table(found: tuple[Entry, ...]) -> Table:
    """The sets as people read them."""
    from rich.markup import escape
    from rich.table import Table

    rows = Table("set", "state", "images", "MB", "what it is", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in (2, 3):
        rows.columns[column].justify = "right"
    for entry in found:
        state = f"[{COLOURS[entry.state]}]{entry.state}[/]"
        size = [str(entry.images), f"{entry.bytes / 1e6:.1f}"] if entry.images else ["", ""]
        words = "\n".join(escape(text) for text in (entry.description, entry.detail) if text)
        rows.add_row(entry.name, state, *size, words)
    return rows


@command.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@json_option
def install(names: tuple[str, ...], as_json: bool) -> None:
    """Install named sets: 1,024 images each, the same on every machine.

    They come from Open Images V7, about 300 MB each, and once 40 MB of annotations (160 MB where its second part is
    needed); `random` is made here. An installation that was interrupted goes on where it stopped. Without a network,
    bring images from elsewhere and `oakmill datasets add` them.
    """
    from oakmill.calibration import datasets
    from oakmill.calibration.datasets.store import unknown

    for name in names:  # before anything is fetched
        if name.lower() not in datasets.SETS:
            raise unknown(name, current())
    done = []
    for name in map(str.lower, names):
        with _progress(f"Installing {name}") as watch:
            record = datasets.install(name, current(), watch)
        done.append(record)
        if not as_json:
            click.echo(f"{name}: {len(record.files)} images, {record.bytes / 1e6:.1f} MB, sha256 {record.sha256[:16]}")
            _say(record.about.get("licence"))
            _say(record.note)
    if as_json:
        _print_json([_summary(record) for record in done])


@command.command()
@click.argument("name")
@click.argument("source", metavar="FOLDER_OR_ZIP", type=click.Path(path_type=Path))
@click.option("--description", default="", metavar="TEXT", help="What the set shows, for the list.")
@click.option(
    "--labels", default="", metavar="PATH|folders",
    help="What is on the images: COCO's JSON, a folder of YOLO's .txt, a .csv of files with class or text, a folder of "
    "masks, or the word folders, where each class has its folder.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace a set of your own of the same name.")
@json_option
def add(name: str, source: Path, description: str, labels: str, overwrite: bool, as_json: bool) -> None:
    """Make a set of your own out of a folder, a zip, or one file.

    Images, .npy and .raw files are copied; what cannot be decoded and what is a copy of another is left out, and
    named. NAME has small letters, digits, - and _.

    With --labels a passport on these images also states the task's own metric, for the float and the converted model:
    top-1 and top-5, AP and AP50, mean IoU, or texts that are right.
    """
    from oakmill.calibration import datasets

    with _progress(f"Adding {name}") as watch:
        added = datasets.add(
            name, source, current(), overwrite=overwrite, description=description, labels=labels, watch=watch
        )
    if as_json:
        parts = {"left_out": added.left_out, "duplicates": added.duplicates}
        lists = {key: [asdict(item) for item in items] for key, items in parts.items()}
        said = {"labels": {"words": added.labels.words, "notes": added.labels.notes}} if added.labels else {}
        _print_json({**_summary(added.record), **lists, **said})
    else:
        _show_added(added)


def _show_added(added: Added) -> None:
    record = added.record
    click.echo(f"{record.name}: {len(record.files)} images, {record.bytes / 1e6:.1f} MB")
    for title, items in (("left out", added.left_out), ("copies of others, left out", added.duplicates)):
        if items:
            click.echo(f"  {len(items)} {title}:")
            for item in items[:SHOWN]:
                click.echo(f"    {item.name} {item.why}")
            if len(items) > SHOWN:
                click.echo(f"    and {len(items) - SHOWN} more")
    if added.labels:
        click.echo(f"  {added.labels.words} are labelled, by {added.labels.source}")
        for note in added.labels.notes:
            click.echo(f"    {note}")
    click.echo(f"Use it: --quantization-data {record.name}; examine it: oakmill datasets doctor {record.name}")


@command.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show what a set is made of, whose the images are, and what the doctor says in a word."""
    from oakmill.calibration import datasets
    from oakmill.calibration.datasets.store import unknown

    settings = current()
    wanted = name.lower() if name.lower() in datasets.SETS else name
    entry = next((item for item in datasets.entries(settings) if item.name == wanted), None)
    if entry is None:
        raise unknown(name, settings)
    found: dict[str, Any] = asdict(entry)
    if listed := datasets.SETS.get(entry.name):
        found |= {"classes": list(listed.classes), "note": listed.note, "wanted": listed.count}
    if entry.images:
        found |= _details(entry.name)
    if as_json:
        _print_json(found)
    else:
        _show_set(found)


def _details(name: str) -> dict[str, Any]:
    """What is known of a set that is there."""
    from oakmill.calibration import datasets, doctor

    with tempfile.TemporaryDirectory() as work:
        files = datasets.resolve(name, current(), Path(work)).files
    record = datasets.load(name, current())
    assert record is not None  # it was resolved
    diagnosis = doctor.examine(files)
    return {
        **_summary(record),
        "about": record.about,
        "names": [item.name for item in record.files[:SHOWN]],
        "authors": len({item.source.get("author_page") for item in record.files if item.source}),
        "doctor": {key: diagnosis.as_dict()[key] for key in ("verdict", "findings")},
    }


def _show_set(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    state = found["state"]
    console.print(f"[bold]{found['name']}[/]  [{COLOURS[state]}]{state}[/]")
    about = found.get("about", {})
    doctor = found.get("doctor")
    lines = {
        "what it is": found["description"],
        "images": f"{found['images']}, {found['bytes'] / 1e6:.1f} MB" if found["images"] else "",
        "classes": ", ".join(found.get("classes", [])),
        "source": about.get("source") or about.get("from", ""),
        "candidates": about.get("candidates", ""),
        "replaced": len(about.get("replaced", [])) or "",
        "left out": len(about.get("left_out", [])) or "",
        "labels": about.get("labels", ""),
        "licence": about.get("licence", ""),
        "authors": found.get("authors") or "",
        "sha256": found.get("sha256", ""),
        "names": ", ".join(found.get("names", [])),
        "note": found.get("note", "") or (found["detail"] if not found["images"] else ""),
        "install": found["detail"] if found.get("note") and not found["images"] else "",
        "doctor": _headline(doctor) if doctor else "",
    }
    for title, text in lines.items():
        if text:
            console.print(f"  [dim]{title:<11}[/] {escape(str(text))}")


def _headline(doctor: dict[str, Any]) -> str:
    return f"{doctor['verdict']}" + "".join(f", {item['code']}" for item in doctor["findings"])


@command.command()
@click.argument("data", metavar="NAME_OR_PATH")
@click.option("--shape", metavar="N,N,...", help="The model's input shape: 1,3,224,224.")
@click.option("--mean-values", metavar="N,N,...", help="As for the conversion.")
@click.option("--scale-values", metavar="N,N,...", help="As for the conversion.")
@click.option(
    "--encoding", type=click.Choice([item.value for item in Encoding]), default="RGB", show_default=True,
    help="The colour order that the model was trained on.",
)  # fmt: skip
@click.option(
    "--precision", type=click.Choice(_PRECISIONS), default=Precision.INT8_STANDARD.value,
    show_default=True, help="The number format to convert to.",
)  # fmt: skip
@json_option
def doctor(
    data: str, shape: str, mean_values: str, scale_values: str, encoding: str, precision: str, as_json: bool
) -> None:
    """Examine a set as it would calibrate a quantization: enough, different, whole, like what the model expects."""
    from oakmill.calibration import datasets
    from oakmill.calibration.doctor import examine

    expected = _expectation(shape, mean_values, scale_values, encoding, precision)
    with tempfile.TemporaryDirectory(prefix="oakmill-") as work:
        found = datasets.resolve(data, current(), Path(work))
        diagnosis = examine(found.files, expected)
    if as_json:
        _print_json({"name": found.name, "kind": found.kind, "note": found.note, **diagnosis.as_dict()})
    else:
        _show_diagnosis(found.name, found.note, diagnosis)


def _expectation(shape: str | None, mean: str | None, scale: str | None, encoding: str, precision: str) -> Expectation:
    """The model's side, checked as a conversion checks it."""
    from oakmill.calibration.doctor import Expectation
    from oakmill.cli.options import build_spec
    from oakmill.spec import ConversionSpec, InputSpec

    values = {"shape": shape, "mean_values": mean, "scale_values": scale}
    spec = build_spec(ConversionSpec, {name: (text,) for name, text in values.items() if text})
    given = spec.inputs[0] if spec.inputs else InputSpec()
    return Expectation(given.shape, given.mean_values, given.scale_values, Encoding(encoding), Precision(precision))


def _show_diagnosis(name: str, note: str, diagnosis: Diagnosis) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    some = "" if diagnosis.examined == diagnosis.count else f", {diagnosis.examined} examined"
    console.print(f"[bold]{escape(name)}[/]  {named(diagnosis.verdict)}  {diagnosis.count} files{some}")
    if not any(note in finding.message for finding in diagnosis.findings):
        _say(note)
    rows = Table("", "finding", "what to do", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for finding in diagnosis.findings:
        rows.add_row(named(finding.severity), f"{finding.code}: {escape(finding.message)}", escape(finding.remedy))
    if diagnosis.findings:
        console.print(rows)
    if diagnosis.mean:
        mean, std = (", ".join(f"{value:.1f}" for value in values) for values in (diagnosis.mean, diagnosis.std))
        console.print(f"[dim]channels R, G, B at 224 x 224, 0 to 255: mean {mean}; standard deviation {std}[/]")


def _summary(record: SetRecord) -> dict[str, Any]:
    head = {"name": record.name, "kind": record.kind, "images": len(record.files), "bytes": record.bytes}
    folder = current().datasets.absolute() / record.name
    return {**head, "sha256": record.sha256, "folder": str(folder), "note": record.note}


def _say(text: object) -> None:
    if text:
        click.echo(f"  {text}")


def _print_json(data: object) -> None:
    click.echo(json.dumps(data, default=str, indent=1))


@contextmanager
def _progress(title: str) -> Iterator[Watcher]:
    """A watcher that shows a bar on a terminal, and a line for each new thing where there is none."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        with _bar(title, console) as watch:
            yield watch
        return
    click.echo(f"{title} ...", err=True)
    said: set[str] = set()

    def watch_lines(event: Any) -> None:
        if event.what not in said:
            said.add(event.what)
            click.echo(f"  {event.what}", err=True)

    yield watch_lines


@contextmanager
def _bar(title: str, console: Any) -> Iterator[Callable[[Any], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda event: bar.update(
            task, description=f"{title}: {event.what}", completed=event.done, total=event.total or None
        )

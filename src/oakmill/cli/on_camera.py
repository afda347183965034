"""`oakmill run`, `benchmark` and `prove`: a finished file on an attached camera."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oakmill.cli.connecting import hub_option, of_root
from oakmill.cli.failing import Attempt, debug_bundle_option, explained, verbose_option
from oakmill.cli.listing import print_facts, print_line, print_rows
from oakmill.spec import ConversionSpec, Resize

if TYPE_CHECKING:
    from oakmill.conversion.events import Observer
    from oakmill.conversion.on_camera import Asked, Looked, RanOn
    from oakmill.conversion.on_camera.prove import Proved
    from oakmill.conversion.passport.tasks import Seen

Command = TypeVar("Command", bound=Callable[..., Any])
Installing = Callable[[ConversionSpec], None]
SHOWN = 8
"""Things on an image that the table names."""
FRAMES_SHOWN = 20
"""Frames of the camera's own sensor that the table has, the last ones."""
_USUAL, _MOST = 64, 4096

_OPTIONS = (
    click.argument("file", metavar="ARCHIVE", type=click.Path(path_type=Path)),
    click.option("--device", "camera", metavar="ID", help="Its identifier, address or USB port; else the first."),
    click.option("--threads", type=click.IntRange(1, 4), help="Of the network on the camera; by default depthai's."),
    click.option(
        "--resize", type=click.Choice([item.value for item in Resize]),
        help="How images are brought to the input's size; by default as in the conversion.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the result as a line of JSON."),
    verbose_option,
    debug_bundle_option,
)  # fmt: skip


def _options(command: Command) -> Command:
    """The options that all three have."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(context_settings={"max_content_width": 110})
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="A folder of images or .npy files; or the word camera, for what its own sensor sees; else generated ones.",
)
@click.option(
    "--max-images",
    type=click.IntRange(1, 4096),
    help="Images at most; by default 64, and of the camera's own all until Ctrl-C.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("outputs"),
    show_default=True,
    help="Folder for the outputs: OUTPUT/<output>/<image>.npy, and OUTPUT/seen/<image>.png.",
)
@click.option("--overwrite", is_flag=True, help="Replace files of the same name in the output folder.")
@_options
def run(as_json: bool, verbose: bool, debug_bundle: Path | None, **values: Any) -> None:
    """Run ARCHIVE on an attached camera: outputs as .npy files, and what it sees drawn into the images.

    With --images camera the camera's own sensor is looked through: what is seen is told as it comes and drawn into
    the frames, and no outputs are written. A folder of that name is ./camera. Where Oakmill is made no camera is
    attached: this was tried with a stand-in.
    """
    with _attempt(values["file"], values["output"], as_json, verbose, debug_bundle) as (attempt, watch, _):
        from oakmill.conversion import on_camera

        own_sensor = values["images"] == Path(on_camera.CAMERA)
        asked = _asked({**values, "max_images": values["max_images"] or (_MOST if own_sensor else _USUAL)})
        more: Any = {"settings": attempt.settings, "observer": watch, "overwrite": values["overwrite"]}
        found: RanOn | Looked = (
            on_camera.look(values["file"], values["output"], asked, **more)
            if own_sensor
            else on_camera.run(values["file"], values["output"], asked, **more)
        )
    if as_json:
        print_line("result", found.as_dict())
    else:
        _show_look(found) if isinstance(found, on_camera.Looked) else _show_run(found)


@click.command(context_settings={"max_content_width": 110})
@click.option("--seconds", type=click.FloatRange(0.1, 3600), default=10.0, show_default=True, help="To measure.")
@click.option("--warm-up", type=click.FloatRange(0, 600), default=2.0, show_default=True, help="Seconds before that.")
@click.option("--images", type=click.Path(path_type=Path), help="A folder of images; else generated ones.")
@hub_option
@_options
def benchmark(url: str | None, as_json: bool, verbose: bool, debug_bundle: Path | None, **values: Any) -> None:
    """Measure how fast an attached camera runs ARCHIVE: frames each second, and milliseconds of one.

    With --hub, ARCHIVE is the address of a result there, and an agent's camera is measured.
    """
    if hub := url or of_root():
        how = {"seconds": values["seconds"], "warm_up": values["warm_up"]}
        _remotely(hub, "benchmark", values, None, as_json=as_json, verbose=verbose, **how)
        return
    with _attempt(values["file"], Path(), as_json, verbose, debug_bundle) as (attempt, watch, _):
        from oakmill.conversion import on_camera

        found = on_camera.bench(
            values["file"], _asked(values), values["seconds"], values["warm_up"],
            settings=attempt.settings, observer=watch,
        )  # fmt: skip
    if as_json:
        print_line("result", found.as_dict())
        return
    click.echo(found.device.words)
    print_facts({"speed": found.words, "frames": found.frames, "method": found.method})


@click.command(context_settings={"max_content_width": 110})
@click.option("--source", type=click.Path(path_type=Path), help="The model that it was made of; else looked for here.")
@click.option(
    "--images", type=click.Path(path_type=Path), help="Those of the passport, or others; else generated ones."
)
@click.option("--max-images", type=click.IntRange(1, 4096), default=64, show_default=True, help="Images at most.")
@click.option(
    "--seconds", type=click.FloatRange(0.1, 3600), default=3.0, show_default=True, help="To measure its speed, too."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The passport's folder; else beside ARCHIVE.")
@hub_option
@_options
def prove(url: str | None, as_json: bool, verbose: bool, debug_bundle: Path | None, **values: Any) -> None:
    """Measure ARCHIVE on an attached camera as its passport does, beside this machine's numbers, against its source.

    A passport with the camera in it is written as NAME.camera.passport.json and .html. With --hub, ARCHIVE is the
    address of a result there, --images a calibration set of the team's, and an agent's camera is measured.
    """
    if hub := url or of_root():
        how = {"seconds": values["seconds"], "max_images": values["max_images"]}
        _remotely(hub, "prove", values, values["images"], as_json=as_json, verbose=verbose, **how)
        return
    file = values["file"]
    folder = values["output"] or file.absolute().parent
    with _attempt(values["source"] or file, folder, as_json, verbose, debug_bundle) as (attempt, watch, install):
        from oakmill.conversion import on_camera

        proved = on_camera.prove(
            file, values["source"], _asked(values), values["seconds"],
            settings=attempt.settings, observer=watch, install=install,
        )  # fmt: skip
        files = _written(proved, file, folder)
    if as_json:
        print_line("result", {**proved.verified.as_dict(), "files": [str(path) for path in files]})
    else:
        _show_proof(proved, files)
    proved.verified.require()


def _remotely(url: str, kind: str, values: dict[str, Any], images: Path | None, **asked: Any) -> None:
    """An agent measures it; what speaks of a camera or files of this machine is refused."""
    from oakmill.cli.measuring import measure
    from oakmill.cli.remote import refuse_local_options

    local = ("threads", "resize", "source", "output")
    refuse_local_options(device=values["camera"], **{name: values.get(name) for name in local})
    measure(url, kind, str(values["file"]), images=str(images) if images else None, **asked)


def _asked(values: dict[str, Any]) -> Asked:
    from oakmill.conversion.on_camera import Asked

    resize = Resize(values["resize"]) if values["resize"] else None
    return Asked(values["images"], values.get("max_images", 64), resize, values["camera"], values["threads"])


@contextmanager
def _attempt(
    model: Path, output: Path, as_json: bool, verbose: bool, bundle: Path | None
) -> Iterator[tuple[Attempt, Observer, Installing]]:
    """Explained where it fails; with what to tell of progress, and of a toolchain that is installed."""
    from oakmill.cli.convert import install_needed
    from oakmill.cli.progress import Display
    from oakmill.devices.vendor import words_apart
    from oakmill.settings import current

    attempt = Attempt(model, "", output, current(), bundle, as_json, verbose)
    with explained(attempt), words_apart(), Display(verbose=verbose) as display:

        def install(spec: ConversionSpec) -> None:
            attempt.spec = spec
            install_needed(spec, attempt.settings, display.installing)

        yield attempt, attempt.watching(display.show), install


def _show_run(found: RanOn) -> None:
    click.echo(f"{found.device.words}: {len(found.images)} images")
    if found.seen:
        rows = [{"image": image, "seen": _words(found.seen.get(image, ()))} for image in found.images]
        print_rows(rows, as_json=False)
    for name, files in found.files.items():
        click.echo(f"{files[0].parent} {len(files)} files: {name}")
    if found.drawn:
        click.echo(f"{found.drawn[0].parent} {len(found.drawn)} files: what it sees")


def _show_look(found: Looked) -> None:
    click.echo(f"{found.device.words}: {len(found.frames)} frames, and something seen on {len(found.seen)}")
    last = [path.stem for path in found.frames[-FRAMES_SHOWN:]]
    print_rows([{"frame": name, "seen": _words(found.seen.get(name, ()))} for name in last], as_json=False)
    click.echo(f"{found.frames[0].parent} {len(found.frames)} files: what it sees")


def _words(seen: Sequence[Seen]) -> str:
    more = f", and {len(seen) - SHOWN} more" if len(seen) > SHOWN else ""
    return ", ".join(f"{one.label} {one.score:.2f}" for one in seen[:SHOWN]) + more or "nothing"


def _written(proved: Proved, file: Path, folder: Path) -> tuple[Path, ...]:
    """The passport as files of the archive's name."""
    from oakmill.conversion.output.publish import readable_write_errors
    from oakmill.conversion.passport.page import render
    from oakmill.files import atomic_write

    stem = file.name.removesuffix(".xz").removesuffix(".tar")
    found: dict[str, bytes] = {
        ".json": json.dumps(proved.passport.as_dict(drawings=True), indent=1).encode(),
        ".html": render(proved.passport, {"name": stem, "file": file.name, "camera": proved.device.words}).encode(),
    }
    paths = {folder / f"{stem}.camera.passport{ending}": data for ending, data in found.items()}
    with readable_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path, data in paths.items():
            atomic_write(path, data)
    return tuple(paths)


def _show_proof(proved: Proved, files: tuple[Path, ...]) -> None:
    from rich.console import Console

    from oakmill.cli.passport_table import passport_table

    Console(highlight=False).print(passport_table(proved.passport))
    for path in files:
        click.echo(path)

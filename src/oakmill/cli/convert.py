"""`oakmill convert`: one model in, a verified file out for each platform and precision that is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oakmill.cli import several
from oakmill.cli.config_file import Reading, is_config, read_config
from oakmill.cli.failing import Attempt, debug_bundle_option, explained, verbose_option
from oakmill.cli.listing import print_line
from oakmill.cli.options import PlatformWords, SpecCommand, build_spec, together
from oakmill.cli.several import Combination, Take, nothing_taken
from oakmill.conversion.results import Answer, Question, Results
from oakmill.errors import AccuracyDropped
from oakmill.processes import memory
from oakmill.spec import ConversionSpec
from oakmill.spec.platforms import PLATFORMS

if TYPE_CHECKING:
    from oakmill.cli.remote import Remote
    from oakmill.conversion.converted import Converted
    from oakmill.conversion.events import Observer
    from oakmill.settings import Settings


SAYS_PRECISION = frozenset({
    "target_precision", "range_method", "tensor_overrides", "quantizer_search", "silu_int16", "aimet_encodings",
    "snpe_dlc_quant_args", "snpe_onnx_to_dlc_args",
})  # fmt: skip
"""Options that say how to quantize: with one of them, nothing is tried out beside what they say."""


@click.command(cls=SpecCommand, context_settings={"max_content_width": 110})
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--to", "platforms", type=PlatformWords(), multiple=True, callback=together, required=True,
    help="Platform to convert for; several with commas between them, as precisions too: each with each is converted.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("converted"), show_default=True,
    help="Folder for the result, its passport and its recipe.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files of the same name in the output folder.")
@click.option(
    "--qairt-root", type=click.Path(path_type=Path),
    help="[RVC4] Folder of your own Qualcomm SDK, whose version is then used; not tried with a real one.",
)  # fmt: skip
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where the paths in a configuration begin, as for trees with configs/ beside models/; by default, its folder.",
)
@click.option("--stage", default="", help="The stage of a configuration to convert, where it has several.")
@click.option(
    "--no-cache", "cache", flag_value="none", help="Take nothing from the cache of results, and keep nothing in it."
)
@click.option(
    "--force", "cache", flag_value="anew", help="Make everything anew, and compare with the result in the cache."
)
@click.option("--json", "as_json", is_flag=True, help="Print events and the result as JSON lines.")
@verbose_option
@debug_bundle_option
@click.option(
    "--hub", is_flag=False, flag_value="", metavar="[URL]",
    help="Convert in a hub, that of the last login or at URL: MODEL is uploaded, or is an address there "
    "(model:variant); the result comes back.",
)  # fmt: skip
def command(platforms: tuple[str, ...], **given: Any) -> None:
    """Convert MODEL and prove the result's accuracy.

    MODEL is ONNX, OpenVINO IR (.xml, with its .bin beside it), TFLite, TorchScript, a checkpoint of Ultralytics (.pt,
    where its licence is accepted), or an NN Archive that holds one of the first three. It may also be a YAML
    configuration as Luxonis' modelconverter takes it; options win over what it says.

    Values for one input are given bare (--mean-values 104,117,123), for several inputs with the input's name
    (--mean-values left=104,117,123).

    With several platforms or precisions (--to rvc2,rvc4 --target-precision INT8,FP16) each with each is a conversion; a
    table of all of them ends it, and the exit code is that of the worst.
    """
    own = {item.name for item in fields(Asked)}
    asked = Asked(**{name: value for name, value in given.items() if name in own})
    wanted = several.combinations(platforms, {name: value for name, value in given.items() if name not in own})
    if len(wanted) > 1:
        several.run(asked, wanted)
    elif asked.hub is not None:
        asked.remote(wanted[0]).run()
    else:
        asked.convert(wanted[0])


@dataclass(frozen=True)
class Asked:
    """What a command line asks of each of its conversions."""

    model: Path
    output: Path
    overwrite: bool
    qairt_root: Path | None
    root: Path | None
    stage: str
    cache: str | None
    as_json: bool
    verbose: bool
    debug_bundle: Path | None
    hub: str | None

    def remote(self, one: Combination) -> Remote:
        """The conversion in a hub.

        Raises:
            SpecError: a value does not fit, or speaks of this machine.
        """
        from oakmill.cli.remote import Remote, refuse_local_options

        refuse_local_options(qairt_root=self.qairt_root, no_cache=self.cache == "none", debug_bundle=self.debug_bundle)
        model, base = self._configured(one)
        spec = self._spec(one, model, base)
        hub = str(self.hub)
        return Remote(hub, model, spec, self.output, self.overwrite, self.cache == "anew", self.as_json, self.verbose)

    def convert(self, one: Combination, take: Take = nothing_taken, shared: Path | None = None) -> None:
        """Convert on this machine; `take` is given the finished one, `shared` is where stages may be kept for others.

        Raises:
            SystemExit: it failed, and was explained; or it lost more of its accuracy than it may.
        """
        settings = _settings(self.qairt_root, no_cache=self.cache == "none")
        attempt = Attempt(
            self.model, one.platform, self.output, settings, self.debug_bundle, self.as_json, self.verbose
        )
        with explained(attempt):
            memory.require()
            attempt.model, base = self._configured(one)
            attempt.spec = spec = _with_images(self._spec(one, attempt.model, base), settings)
            force = self.cache == "anew"
            job = _Job(attempt.model, spec, self.output, settings, attempt, self.overwrite, force, shared)
            take(spec, made := job.run())
            AccuracyDropped.require_none(made["passport"])

    def _configured(self, one: Combination) -> tuple[Path, dict[str, Any]]:
        settings = _settings(self.qairt_root, no_cache=self.cache == "none")
        prepares = one.values.get("device_runtime") is not None
        reading = Reading(settings, self.root, self.stage, prepares)
        return _configured(self.model, one.platform, reading, as_json=self.as_json)

    def _spec(self, one: Combination, model: Path, base: Mapping[str, Any]) -> ConversionSpec:
        values = one.named(model, base)
        return build_spec(PLATFORMS[one.platform].spec, _chosen(one.platform, values, base), base)


def _chosen(platform: str, values: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """The options, with what is offered first where nobody says otherwise and images can tell what it is worth.

    Without images of the user's an INT8 conversion is one, calibrated by the set `general`, as it always was; so is one
    of a configuration, whose own program means INT8 where it says nothing.
    """
    given = {name for name, value in values.items() if value not in (None, (), False)}
    if base or "quantization_data" not in given or given & SAYS_PRECISION:
        return dict(values)
    return {**values, **PLATFORMS[platform].offered}


def _with_images(spec: ConversionSpec, settings: Settings) -> ConversionSpec:
    """The spec with the folder of the set that --images names, where there is no such file or folder."""
    images = spec.verification_images
    if images is None or images.exists() or len(images.parts) != 1:
        return spec
    from oakmill.calibration.datasets import SETS, store

    name = str(images).lower() if str(images).lower() in SETS else str(images)
    known = name in store.names(settings)
    record = store.load(name, settings) if known else None
    return (
        spec.model_copy(update={"verification_images": store.folder_of(name, settings) / store.FILES})
        if record
        else spec
    )


def _configured(path: Path, platform: str, reading: Reading, *, as_json: bool) -> tuple[Path, dict[str, Any]]:
    """The model and the parameters that a configuration names; any other file is the model itself."""
    if not is_config(path):
        return path, {}
    asked = read_config(path, platform, reading)
    for note in asked.notes:
        text = f"{path.name}: {note}"
        print_line("event", {"kind": "note", "text": text}) if as_json else click.echo(f"  {text}", err=True)
    return asked.model, asked.values


def _settings(qairt_root: Path | None, *, no_cache: bool) -> Settings:
    from oakmill.settings import current

    changed = {**({"qairt_root": qairt_root} if qairt_root else {}), **({"cache_max_mb": 0} if no_cache else {})}
    return current().model_copy(update=changed)


@dataclass(frozen=True)
class _Job:
    """One conversion that was asked for on the command line."""

    model: Path
    spec: ConversionSpec
    output: Path
    settings: Settings
    attempt: Attempt
    overwrite: bool
    force: bool
    shared: Path | None

    def run(self) -> Mapping[str, Any]:
        """Answer from the cache, or convert; what is told of it as plain data.

        What a conversion needs is loaded only when there is one.
        """
        began = time.monotonic()
        results = Results(self.settings)
        question = results.ask(self.model, self.spec)
        if question and not self.force and (answer := results.find(question, self.output, overwrite=self.overwrite)):
            print_line("result", answer.as_dict()) if self.attempt.as_json else _tell(answer, began)
            return answer.as_dict()
        return (self._for_machines if self.attempt.as_json else self._for_people)(results, question)

    def _for_people(self, results: Results, question: Question | None) -> Mapping[str, Any]:
        from oakmill.cli.progress import Display
        from oakmill.conversion.pipeline import summary

        with Display(verbose=self.attempt.verbose) as display:
            install_needed(self.spec, self.settings, display.installing, self.model)
            converted = self._convert(display.show)
            display.finished(converted)
        found = results.keep_converted(question, converted, compare=self.force)
        if self.force:
            for line in found.lines:
                click.echo(line, err=True)
        return summary(converted)

    def _for_machines(self, results: Results, question: Question | None) -> Mapping[str, Any]:
        from oakmill.conversion.pipeline import summary

        install_needed(
            self.spec, self.settings, lambda words: print_line("event", {"kind": "log", "text": words}), self.model
        )
        converted = self._convert(lambda event: print_line("event", event.as_dict()))
        found = results.keep_converted(question, converted, compare=self.force)
        compared = {"rebuilt": found.as_dict()} if self.force else {}
        print_line("result", {**(made := summary(converted)), **compared})
        return made

    def _convert(self, observer: Observer) -> Converted:
        """Convert; anew means that no stage takes anything from the cache, but for what these conversions share."""
        from oakmill.conversion.ladder import sharing
        from oakmill.conversion.pipeline import convert

        settings = self.settings.model_copy(update={"cache_max_mb": 0}) if self.force else self.settings
        if self.shared:
            settings = sharing(settings, self.shared)
        watching = self.attempt.watching(observer)
        return convert(
            self.model, self.spec, self.output, settings=settings, observer=watching, overwrite=self.overwrite
        )


def _tell(answer: Answer, began: float) -> None:
    """Show what came from the cache, with the verdict as it was then."""
    verdict, passport = answer.summary["verdict"], answer.summary["passport"]
    click.echo(answer.words, err=True)
    click.echo(f"Accuracy passport: {verdict} on {passport['images']['count']} images", err=True)
    for reason in passport["reasons"] if verdict != "ok" else ():
        click.echo(f"! {reason}", err=True)
    size = answer.files[0].stat().st_size / 1e6
    click.echo(f"{answer.files[0]} {size:.2f} MB in {time.monotonic() - began:.2f} s", err=True)


def install_needed(
    spec: ConversionSpec, settings: Settings, tell: Callable[[str], None], model: Path | None = None
) -> None:
    """Install the toolchains that are needed (also to read `model`) and missing, where the settings allow it."""
    from oakmill.conversion.registry import needed_toolchains
    from oakmill.toolchains.installing import install_missing

    needed = needed_toolchains(spec, settings, model)
    install_missing(needed, settings, tell, lambda event: tell(event.line) if event.line else None)

"""The process in which one job runs: a zygote forks it, and it reads a request from stdin and tells what happens.

It writes JSON lines on the descriptor that the variable OAKMILL_EVENTS_FD names: {"event": {...}} as often as there is
something to tell, and {"result": ...} or {"failure": ...} at the end. The conversion runs in the
main thread, for sandboxes die with the thread that started them.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from oakmill.errors import OakmillError
from oakmill.jobs import helped
from oakmill.jobs.kinds import REBUILD
from oakmill.processes.running import Tell, telling
from oakmill.settings import Settings
from oakmill.spec.platforms import PLATFORMS

_NICER = 5
"""The server and the system go before conversions."""
_log = logging.getLogger(__name__)


def main() -> None:
    """Wait for one request, do it, and end; end at once when stdin does."""
    tell = telling()
    line = sys.stdin.readline()
    if line:
        helped.use_those_of_the_worker()
        tell(_done(json.loads(line), tell))
        sys.stdout.flush()
        os._exit(0)  # whoever asked waits for the end, and to tidy up all that was loaded takes long


def load() -> None:
    """Load what every conversion needs in the end, which takes seconds, and ask once what is asked at each."""
    import luxonis_ml.nn_archive  # noqa: F401 - these are loaded, not used
    import onnxruntime  # noqa: F401
    import onnxslim  # noqa: F401
    import PIL.Image  # noqa: F401

    from oakmill.conversion import pipeline, registry, results  # noqa: F401
    from oakmill.conversion.cache import identity
    from oakmill.conversion.failures import bundle  # noqa: F401
    from oakmill.processes import enclosure, sandbox

    for row in registry.ROWS.values():
        row.load()
    identity.code()
    identity.packages()
    sandbox.probe()
    enclosure.here()


def _done(request: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """The last message: what came of the request."""
    settings = Settings.model_validate(request["settings"])
    folder = Path(request["folder"])
    os.chdir(folder)
    tempfile.tempdir = str(folder / "tmp")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICER)
    return ConversionJob(request, settings, walled=True).run(tell)


class ConversionJob:
    """One conversion in its folder: `source/` and `files/` are there, `out/` is what it makes.

    With `walled`, the process can do nothing else from then on.
    """

    def __init__(self, request: Mapping[str, Any], settings: Settings, *, walled: bool) -> None:
        self.settings, self.walled = settings, walled
        self.model = Path(request["model"])
        self.out = Path(request["folder"]) / "out"
        self.spec = PLATFORMS[request["platform"]].spec.model_validate(request["spec"])
        self.rebuild = request["kind"] == REBUILD
        self.events: list[Mapping[str, Any]] = []

    def run(self, tell: Tell) -> dict[str, Any]:
        """Convert; whatever goes wrong is explained."""

        def watch(event: Mapping[str, Any]) -> None:
            self.events.append(event)
            tell({"event": event})

        try:
            try:
                self._install(watch)
            finally:
                if self.walled:
                    self._enclose()
            return {"result": self._convert(watch)}
        except Exception as error:  # noqa: BLE001 - whatever it is, the job ends with its explanation
            if not isinstance(error, OakmillError):
                _log.exception("the conversion of %s failed", self.model.name)
            return {"failure": self._explained(error)}

    def _convert(self, watch: Tell) -> dict[str, Any]:
        from oakmill.conversion.pipeline import convert, summary
        from oakmill.conversion.results import Results

        results = Results(self.settings)
        question = results.ask(self.model, self.spec)
        if question and not self.rebuild and (answer := results.find(question, self.out, overwrite=True)):
            watch({"stage": "inspect", "kind": "note", "text": answer.words})
            return self._result(answer.as_dict())
        made = convert(
            self.model,
            self.spec,
            self.out,
            settings=self.settings.model_copy(update={"cache_max_mb": 0}) if self.rebuild else self.settings,
            observer=lambda event: watch(event.as_dict()),
            overwrite=True,
        )
        compared = results.keep_converted(question, made, compare=self.rebuild)
        for line in compared.lines if self.rebuild else ():
            watch({"stage": "verify", "kind": "note", "text": line})
        return self._result({**summary(made), **({"rebuilt": compared.as_dict()} if self.rebuild else {})})

    def _result(self, summary: Mapping[str, Any]) -> dict[str, Any]:
        """What is published: the names of the files, the result first, and what is known of them."""
        from oakmill.conversion.passport import face

        drawn = face.write(self.out)
        names = [Path(path).name for path in (*summary["files"], *([drawn] if drawn else []))]
        return {**summary, "files": names, "config": _config(self.out / names[0])}

    def _install(self, watch: Tell) -> None:
        """Install toolchains that are missing, where the operator allows it, and make a set of images that is made when
        it is asked for, which behind the wall cannot be: a stage of its own, if there is one.
        """
        from oakmill.calibration import datasets
        from oakmill.conversion.events import Progress, Stage
        from oakmill.conversion.registry import needed_toolchains
        from oakmill.toolchains.installing import install_missing, missing

        needed = missing(needed_toolchains(self.spec, self.settings, self.model), self.settings)
        images = datasets.unmade(getattr(self.spec, "quantization_data", None), self.settings)
        if not (needed or images):
            return
        progress = Progress(lambda event: watch(event.as_dict()))
        with progress.stage(Stage.INSTALL):
            install_missing(needed, self.settings, progress.note, progress.tool)
            if images:
                datasets.install(images, self.settings, partial(_tell_of_set, progress))

    def _enclose(self) -> None:
        """From here on, whatever the model does to us can reach the job's own folder and its team's cache alone."""
        from oakmill.processes.enclosure import enclose
        from oakmill.toolchains import places

        if places.need_the_outside(self.spec.platform, self.settings):
            return
        self.settings.cache.mkdir(parents=True, exist_ok=True)
        enclose(places.folders(self.settings), [self.out.parent, self.settings.cache], self.settings)

    def _explained(self, error: Exception) -> dict[str, Any]:
        """Why it failed, with the evidence packed beside, without weights."""
        from oakmill.conversion.failures import SourceFacts, bundle, explain
        from oakmill.errors import NotAModel, OutputError, UnsafeSource
        from oakmill.processes.sandbox import IsolationMissing

        readable = not isinstance(error, UnsafeSource | NotAModel | IsolationMissing)
        facts = SourceFacts.read(self.model, self.settings) if readable else SourceFacts()
        failure = explain(error, spec=self.spec, facts=facts)
        target = self.out / f"{self.model.stem}{bundle.ENDING}"
        log = error.log if isinstance(error, OakmillError) else ""
        try:
            bundle.write(
                target, failure,
                settings=self.settings, model=self.model, events=self.events, log=log, spec=self.spec,
            )  # fmt: skip
        except OutputError as second:
            _log.warning("no debug bundle: %s", second)
            return failure.model_dump(mode="json")
        return {**failure.model_dump(mode="json"), "bundle": target.name}


def _tell_of_set(progress: Any, step: Any) -> None:
    progress.doing(step.what, step.done, step.total, step.unit)


def _config(path: Path) -> Any:
    """The config of an NN Archive that we have made; None where the result is a bare file."""
    if not path.name.endswith(".tar.xz"):
        return None
    with tarfile.open(path) as archive:
        found = archive.extractfile("config.json")
        return json.load(found) if found else None

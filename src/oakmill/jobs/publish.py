"""Makes what a job made an instance of the registry: bytes first, then one transaction that the job's token fences.

A crash before that transaction leaves bytes that no row names, which the store's sweep frees; after it, all is done.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from oakmill.conversion.passport import report
from oakmill.conversion.passport.headline import headline
from oakmill.conversion.recipe import read
from oakmill.errors import LimitExceeded, ToolKilled
from oakmill.jobs import queue
from oakmill.jobs.job_log_writer import Held, LeaseLost
from oakmill.jobs.tables import Job, JobStatus
from oakmill.jobs.webhooks import outbox
from oakmill.registry import faces, instances, teams
from oakmill.registry.tables import Instance, Role
from oakmill.spec.recipe import Recipe
from oakmill.storage.blobs import BlobStore, Stored
from oakmill.storage.database import Database

DEBUG_BUNDLE = Role.DEBUG_BUNDLE
"""The role of the evidence that a failed conversion leaves with its instance."""

NOT_COMPILED = "not_compiled"
"""The code of the finding on a file that still needs a vendor's compiler."""

_ROLES = (
    (".passport.json", Role.PASSPORT),
    (".passport.html", Role.PASSPORT_PAGE),
    (".recipe.yaml", Role.RECIPE),
    (".face.jpg", Role.FACE),
)


def succeeded(db: Database, blobs: BlobStore, held: Held, job: Job, out: Path, summary: Mapping[str, Any]) -> None:
    """Store the files and end the job with its result.

    Raises:
        LeaseLost: the job is another worker's; nothing was written.
        LimitExceeded: the files are larger than the job may write.
        ToolKilled: a file is missing, or no plain file.
        TooLarge: the team's quota has no room for them.
        TooLarge, StoreUnreachable: as `BlobStore.put_file`.
    """
    paths = _checked([out / name for name in summary["files"]], job.limits.get("output_mb"))
    recipe = recipe_in(paths)
    stored = [(path.name, blobs.put_file(path)) for path in paths]
    kept = {name: value for name, value in summary.items() if name not in ("files", "config")}
    if passport := kept.get("passport"):  # of hundreds of tensors, its file tells: jobs are listed by the hundred
        kept["passport"] = {name: value for name, value in passport.items() if name != "layers"}
    with db.session() as session:
        if not queue.finish(session, held.job_id, held.token, JobStatus.SUCCEEDED, result=kept):
            raise LeaseLost(subject=held.job_id)
        result = session.get(Instance, job.result_id)
        if result is not None:  # else it was deleted meanwhile, and nobody misses it
            _write(session, blobs, result, stored)
            teams.require_within(session, job.team_id, sum(bytes_.size for _, bytes_ in stored))
            instances.set_available(session, result, **facts_of(summary, recipe, result.facts))
            outbox.flagged(session, result)
            faces.choose(session, result.model_id)


def failed(db: Database, blobs: BlobStore, held: Held, job: Job, out: Path, failure: Mapping[str, Any]) -> None:
    """End the job with what went wrong; the debug bundle becomes a file of its instance.

    Raises:
        LeaseLost: the job is another worker's; nothing was written.
        TooLarge, StoreUnreachable: as `BlobStore.put_file`.
    """
    bundle = out / Path(str(failure.get("bundle") or "-")).name
    stored = [(bundle.name, blobs.put_file(bundle))] if bundle.is_file() else []
    sentence = str(failure.get("sentence") or failure.get("title"))
    with db.session() as session:
        if not queue.finish(session, held.job_id, held.token, JobStatus.FAILED, error=sentence, failure=failure):
            raise LeaseLost(subject=held.job_id)
        result = session.get(Instance, job.result_id)
        for name, bytes_ in stored if result else ():
            assert result is not None
            blobs.record(session, bytes_)
            instances.add_file(session, result, name=name, sha256=bytes_.sha256, size=bytes_.size, role=DEBUG_BUNDLE)


def _checked(paths: Sequence[Path], limit_mb: int | None) -> Sequence[Path]:
    """The files, once they are seen to be plain ones, and no larger together than the job may write."""
    total = 0
    for path in paths:
        about = os.lstat(path) if path.exists() else None
        if about is None or not stat.S_ISREG(about.st_mode):
            raise ToolKilled(f"The conversion left no file {path.name}.", remedy="Its log says more.")
        total += about.st_size
    if limit_mb is not None and total > limit_mb << 20:
        raise LimitExceeded(f"The result has {total / (1 << 20):.1f} MB, more than the {limit_mb} MB that it may have.")
    return paths


def recipe_in(paths: Iterable[Path]) -> Recipe | None:
    """The recipe among a result's files, which anybody may have written.

    Raises:
        BadRecipe: it is none, or not one that this version can follow.
    """
    for path in paths:
        if path.name.endswith(".recipe.yaml"):
            with path.open("rb") as file:  # a job may have written anything
                data = file.read(read.LARGEST + 1)
            return read.validated(read.parse(data, path.name), path.name)
    return None


def _write(session: Session, blobs: BlobStore, result: Instance, stored: Sequence[tuple[str, Stored]]) -> None:
    """Name the files: the first is what is downloaded, and further ones without a role of their own belong to it."""
    for index, (name, bytes_) in enumerate(stored):
        role = next((role for ending, role in _ROLES if name.endswith(ending)), Role.PART if index else Role.MODEL)
        blobs.record(session, bytes_)
        instances.add_file(session, result, name=name, sha256=bytes_.sha256, size=bytes_.size, role=role)


def facts_of(
    summary: Mapping[str, Any], recipe: Recipe | None, before: Mapping[str, Any] | None = None
) -> instances.Facts:
    """What the registry notes of a result: of its conversion's summary and its recipe, beside what it had `before`."""
    noted = {name: summary[name] for name in ("config", "heads") if summary.get(name)}
    if cost := (summary.get("passport") or {}).get("cost"):
        noted["cost"] = cost
    if reason := _not_compiled(summary):
        noted["not_compiled"] = reason
    if accuracy := _accuracy(summary.get("passport") or {}):
        noted["accuracy"] = accuracy
    found: instances.Facts = {"verdict": summary.get("verdict"), "facts": {**(before or {}), **noted}}
    if recipe is None:
        return found
    precision = getattr(recipe.spec, "target_precision", None)
    found["precision"] = precision.value if precision else "FP16_STANDARD"
    found["tool_version"] = version_of(recipe.toolchains[-1].name) if recipe.toolchains else None
    found["input_shape"] = [list(item.shape) for item in recipe.inputs]
    found["parameters"] = recipe.spec.model_dump(mode="json") | recipe.model_dump(mode="json", include={"inputs"})
    found["facts"] |= {"source": recipe.source.model_dump(), "toolchains": _named(recipe)}
    return found


def version_of(toolchain: str) -> str:
    """A toolchain's version as clients ask for it: they have three numbers for OpenVINO, also where ours has two."""
    version = toolchain.rpartition("-")[2]
    return f"{version}.0" if re.fullmatch(r"\d{4}\.\d", version) else version


def _not_compiled(summary: Mapping[str, Any]) -> str:
    """Why no camera runs the file as it is, and what to do; nothing of one that is compiled."""
    findings = (summary.get("passport") or {}).get("findings") or ()
    found = next((item for item in findings if item.get("code") == NOT_COMPILED), None)
    return f"{found['message'][:1].upper()}{found['message'][1:]}. {found['remedy']}." if found else ""


def _accuracy(passport: Mapping[str, Any]) -> dict[str, Any]:
    """The number that stands for the passport; nothing where it is none that can be read."""
    try:
        found = headline(report.read(passport))
    except ValueError:
        return {}
    return found.as_dict() if found else {}


def _named(recipe: Recipe) -> list[dict[str, Any]]:
    return [item.model_dump() for item in recipe.toolchains]

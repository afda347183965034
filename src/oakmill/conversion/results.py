"""Whole conversions from the cache: the same question gets the files of its first answer, without reading the model.

The question is known by content: the model's file, every parameter with the contents of the files that it names,
Oakmill's own code and the versions of its packages. What else a conversion read, the files beside the model and the
toolchains, is known once it has run; a document in the cache names them, and their contents are part of the key too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oakmill.conversion.cache import identity
from oakmill.conversion.cache.store import Lent, Store, key_of
from oakmill.conversion.output import publish
from oakmill.files import file_sha256
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec

if TYPE_CHECKING:
    from oakmill.conversion.converted import Converted
    from oakmill.conversion.output.differences import Difference

KIND = "results"
_QUESTIONS = "questions"
_FORM = 1
_SUMMARY = "summary.json"


@dataclass(frozen=True)
class Question:
    """A conversion that was asked for: its key as far as it is known before the model is read."""

    model: Path
    key: str
    source: str
    spec: ConversionSpec


@dataclass(frozen=True)
class Answer:
    """A conversion out of the cache: where its files are now, its summary, when and of what it was made."""

    files: tuple[Path, ...]
    summary: Mapping[str, Any]
    made: str
    made_by: str

    @property
    def words(self) -> str:
        """That it comes from the cache, and from where."""
        return f"from the cache: made {_when(self.made)} by {self.made_by}"

    def as_dict(self) -> dict[str, Any]:
        """As plain data, as a conversion's summary is."""
        return {
            "files": [str(path) for path in self.files],
            **self.summary,
            "cache": {"hit": True, "made": self.made, "made_by": self.made_by},
        }


@dataclass(frozen=True)
class Rebuilt:
    """A conversion made anew, beside what the cache has of it: when that was made (empty: nothing), what differs."""

    made: str = ""
    differences: tuple[Difference, ...] = ()

    @property
    def lines(self) -> list[str]:
        """What there is to say."""
        if not self.made:
            return ["made anew; the cache has nothing to compare it with"]
        if not self.differences:
            return [f"made anew: the same bytes, in every file, as those in the cache, made {_when(self.made)}"]
        head = f"made anew: it differs from what is in the cache, made {_when(self.made)}"
        return [head, *(f"  {item.words}" for item in self.differences)]

    def as_dict(self) -> dict[str, Any]:
        """As plain data; `same` is None where there was nothing to compare with."""
        return {"same": not self.differences if self.made else None, **asdict(self)}


def _when(made: str) -> str:
    return made.replace("T", " ").replace("+00:00", " UTC")


@dataclass(frozen=True)
class Results:
    """The results of whole conversions."""

    settings: Settings

    @property
    def _store(self) -> Store:
        return Store.of(self.settings)

    def ask(self, model: Path, spec: ConversionSpec) -> Question | None:
        """The question; None where its answer cannot be kept: no cache, the user's own vendor tools, no file."""
        if not self.settings.cache_max_mb or identity.uses_own_tools(spec, self.settings):
            return None
        try:
            if not model.is_file():  # a pipe would be waited for
                return None
            source = file_sha256(model)
        except OSError:
            return None
        asked = identity.spec_of(spec, self.settings)
        if asked is None:
            return None
        return Question(model, key_of(_FORM, identity.maker(), source, model.name, asked), source, spec)

    def find(self, question: Question, output: Path, *, overwrite: bool) -> Answer | None:
        """The answer with its files in the output folder, or None where it is not known.

        Raises:
            OutputExists: one of the names is taken and may not be overwritten.
            OutputError: the folder cannot be made or written.
        """
        with self.lent(question) as lent:
            if lent is None:
                return None
            files = {name: path for name, path in lent.files.items() if name != _SUMMARY}
            publish.require_free(output, list(files), overwrite=overwrite)
            written = publish.publish(files, output, overwrite=overwrite)
            return Answer(tuple(written), json.loads(lent.read(_SUMMARY)), lent.made, str(lent.about["made_by"]))

    @contextmanager
    def lent(self, question: Question) -> Iterator[Lent | None]:
        """The stored files, for the time of the block; None where there are none."""
        read = self._store.load(_QUESTIONS, question.key)
        key = self._key(question, read["beside"], read["toolchains"]) if read else None
        with ExitStack() as stack:
            yield stack.enter_context(self._store.lend(KIND, key)) if key else None

    def keep(
        self,
        question: Question,
        files: Sequence[Path],
        summary: Mapping[str, Any],
        *,
        beside: Sequence[Path],
        toolchains: Sequence[str],
    ) -> bool:
        """Keep a finished conversion, in place of one that is there; False where that cannot be done.

        Nothing is kept where a file was changed while the conversion ran.

        Args:
            question: what was asked, before it ran.
            files: what it wrote, the result first.
            summary: `pipeline.summary` of it.
            beside: files that were read besides the model itself.
            toolchains: the names of those that took part.
        """
        folder = question.model.parent
        changed = self.ask(question.model, question.spec) != question
        if changed or not all(path.is_relative_to(folder) for path in beside):
            return False
        names = [path.relative_to(folder).as_posix() for path in beside]
        key = self._key(question, names, toolchains)
        if key is None:
            return False
        plain = {name: value for name, value in summary.items() if name not in ("files", "cache")}
        contents: dict[str, bytes | Path] = {path.name: path for path in files}
        contents[_SUMMARY] = json.dumps(plain).encode()
        made_by = f"the conversion of {question.model.name} to {question.spec.platform.upper()}"
        stored = self._store.put(KIND, key, contents, {"made_by": made_by}, replace=True)
        if stored:
            read = {"beside": names, "toolchains": list(toolchains)}
            self._store.save(_QUESTIONS, question.key, read)
        return stored

    def keep_converted(self, question: Question | None, converted: Converted, *, compare: bool = False) -> Rebuilt:
        """Keep what `pipeline.convert` gave, compared with what was there before where that is wanted."""
        from oakmill.conversion.pipeline import summary

        if question is None:
            return Rebuilt()
        found = self._compared(question, converted) if compare else Rebuilt()
        names = [item.name for item in converted.recipe.toolchains]
        self.keep(question, converted.files, summary(converted), beside=converted.beside, toolchains=names)
        return found

    def _compared(self, question: Question, converted: Converted) -> Rebuilt:
        from oakmill.conversion.output.differences import compare_files

        with self.lent(question) as before:
            if before is None:
                return Rebuilt()
            found: list[Difference] = []
            for path in converted.files:
                if path.name in before.files:
                    found += compare_files(path.name, before.files[path.name], path, self.settings)
            return Rebuilt(before.made, tuple(found))

    def _key(self, question: Question, beside: Sequence[str], toolchains: Sequence[str]) -> str | None:
        """The whole key; None where a file or toolchain is not there."""
        digests = identity.toolchains(toolchains, self.settings)
        try:
            files = [[name, file_sha256(question.model.parent / name)] for name in beside]
        except OSError:
            return None
        return key_of(question.key, files, digests) if digests is not None else None

"""The folder of a worker, as both processes see it: what it is asked lies in `in`, what it makes in `out`."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from oakmill.errors import UnsafeSource
from oakmill.settings import Settings


@dataclass(frozen=True)
class Folder:
    """The places in it; the worker reads `given` and all below, and writes `out` and all below."""

    root: Path

    @property
    def given(self) -> Path:
        """What the worker cannot change."""
        return self.root / "in"

    @property
    def question(self) -> Path:
        """The question."""
        return self.given / "question.json"

    @property
    def files(self) -> Path:
        """The files that it is about, under their own names."""
        return self.given / "files"

    @property
    def out(self) -> Path:
        """Where the worker may write."""
        return self.root / "out"

    @property
    def answer(self) -> Path:
        """The answer."""
        return self.out / "answer.json"

    @property
    def made(self) -> Path:
        """Files that whoever asked may take."""
        return self.out / "made"

    @property
    def scratch(self) -> Path:
        """Files that nobody takes."""
        return self.out / "tmp"

    def make(self) -> None:
        """Make it, with all of its folders."""
        for path in (self.files, self.made, self.scratch):
            path.mkdir(parents=True)


@dataclass(frozen=True)
class Place(Folder):
    """The worker's own view of it; `settings` has the limits of sizes, and all else by default."""

    settings: Settings


def inside(folder: Path, name: str) -> Path:
    """The place of a file in a folder, by its name, which may have sub-folders in it.

    Raises:
        UnsafeSource: the name leads out of the folder, or is no file's.
    """
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or "\0" in name or "\\" in name:
        raise UnsafeSource(f"The file name {name!r} leads out of its folder.", subject=name)
    return folder.joinpath(*parts)


def link_or_copy(source: Path, target: Path) -> None:
    """Make a file of this machine the file `target`, to be read only: a hard link where one can be."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)

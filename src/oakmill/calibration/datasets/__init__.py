"""Calibration sets: those that Oakmill installs by name, the user's own, and the folders and zips given at once."""

from oakmill.calibration.datasets.catalog import RANDOM_WARNING, SETS, NamedSet
from oakmill.calibration.datasets.fetch import FetchFailed
from oakmill.calibration.datasets.installer import install
from oakmill.calibration.datasets.own import Added, add
from oakmill.calibration.datasets.resolve import Dataset, SetMissing, resolve, unmade
from oakmill.calibration.datasets.store import Entry, Progress, SetDamaged, SetRecord, State, UnknownSet, entries, load

__all__ = [
    "RANDOM_WARNING",
    "SETS",
    "Added",
    "Dataset",
    "Entry",
    "FetchFailed",
    "NamedSet",
    "Progress",
    "SetDamaged",
    "SetMissing",
    "SetRecord",
    "State",
    "UnknownSet",
    "add",
    "entries",
    "install",
    "load",
    "resolve",
    "unmade",
]

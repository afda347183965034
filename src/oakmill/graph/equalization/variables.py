"""The variables of channels' scales: which tensors have which, and which have to be equal."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]

ONE = 0
"""The variable of all channels whose scale has to be 1."""


@dataclass(frozen=True)
class Tracked:
    """A tensor whose channels, along `axis`, have these variables of scale."""

    axis: int
    ids: Ids


@dataclass(frozen=True)
class Seen:
    """How much of a tensor counts: all, what is positive, or what a gate lets pass; and where it is measured."""

    tensor: str
    part: str = "all"


class Unions:
    """Variables that have to be equal."""

    def __init__(self) -> None:
        self._above = [ONE]

    def fresh(self, count: int) -> Ids:
        """So many new ones."""
        first = len(self._above)
        self._above.extend(range(first, first + count))
        return np.arange(first, first + count)

    def root(self, item: int) -> int:
        """The one that stands for all that are equal."""
        while self._above[item] != item:
            self._above[item] = item = self._above[self._above[item]]
        return item

    def join(self, one: int, other: int) -> None:
        """Make two equal; the lower one, and so `ONE`, stands for both."""
        low, high = sorted((self.root(one), self.root(other)))
        self._above[high] = low

    def roots(self, ids: Ids) -> Ids:
        """`root` of each."""
        return np.array([self.root(int(item)) for item in ids], np.int64)

    def __len__(self) -> int:
        return len(self._above)


@dataclass
class Channels:
    """What can be scaled in a graph: tensors by name, who gives and takes scaled channels, and whose gates do not.

    `makers` and `takers` are names of nodes' first outputs; `gates` are the tensors that the gate's first node reads
    unscaled, by that node's first output, and of those that are `closing` little of the value counts. `seen` says for
    each tensor with a range of its own what of it counts. `alike` are tensors that have one range, by the name that
    stands for them.
    """

    tensors: dict[str, Tracked] = field(default_factory=dict)
    makers: list[str] = field(default_factory=list)
    takers: list[str] = field(default_factory=list)
    gates: dict[str, str] = field(default_factory=dict)
    closing: frozenset[str] = frozenset()
    seen: dict[str, Seen] = field(default_factory=dict)
    alike: dict[str, str] = field(default_factory=dict)
    variables: int = 1

    def range_of(self, name: str) -> str:
        """The tensor that stands for all that have one range."""
        while self.alike.get(name, name) != name:
            name = self.alike[name]
        return name

    @property
    def free(self) -> bool:
        """Whether any channel can have a scale."""
        return any((tracked.ids != ONE).any() for tracked in self.tensors.values())

"""What a family of heads is: how it is found in a graph, and what is known of one that was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from numpy.typing import NDArray
from onnx import ModelProto

from oakmill.heads.decoders import Outputs, Size
from oakmill.heads.families import ultralytics

Reading = Mapping[str, NDArray[Any]]
"""What an application would know of one image: of boxes, `corners` [n, 4] in parts of the image and the `scores` of all
classes [n, K]; of some, what `heads.values.Values` has, by its names."""


class Sure(StrEnum):
    """How sure it is that outputs are what they are taken for."""

    CERTAIN = "certain"
    """The file says it, or its graph computes nothing else: it is applied, once it is proved."""
    LIKELY = "likely"
    """The graph's form suggests it: it is told, and applied where the user says so."""
    GUESS = "guess"
    """Shapes alone suggest it: likewise."""


@dataclass(frozen=True)
class Evidence:
    """What is known besides the graph.

    `metadata` is what the file's writer noted in it, `size` height and width of its image, where they are known;
    `wanted` is the family that the user says it is, and `named` how many classes the user names; 0 where none.
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    size: Size | None = None
    wanted: str = ""
    named: int = 0

    @property
    def export(self) -> ultralytics.Export | None:
        """What Ultralytics' exporter says of its own file."""
        return ultralytics.read(self.metadata)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names that the file has, whoever wrote them."""
        return ultralytics.names_in(self.metadata)

    @property
    def expects_head(self) -> bool:
        """Whether the file says that it is of a task which a parser of the camera reads."""
        return self.export is not None and self.export.task in (*ultralytics.TASKS, ultralytics.CLASSIFY)


NOTHING = Evidence()
"""Nothing is known but the graph."""


class Found(Protocol):
    """Outputs that are recognised, and all that the camera's parser needs of them.

    Where nothing is cut, `cut` gives the model back as it is, and nothing needs a proof: `before` and `apart` are not
    called then.
    """

    @property
    def family(self) -> str:
        """Its name in the registry."""

    @property
    def words(self) -> str:
        """What it is, for people: "a YOLO detector of 80 classes"."""

    @property
    def seen(self) -> str:
        """What speaks for it, for people."""

    @property
    def sure(self) -> Sure:
        """How sure it is."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The source's outputs that it is about."""

    @property
    def ends(self) -> tuple[str, ...]:
        """The outputs that the camera's parser reads; after the cut, where there is one."""

    @property
    def classes(self) -> int:
        """How many classes there are; 0 where it has none."""

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names as far as the file has them."""

    def problem(self) -> str:
        """Why its parser could not read it at this size; empty where it can."""

    def cut(self, model: ModelProto, platform: str) -> ModelProto:
        """The network that ends where the camera's parser reads; a copy, or the model itself."""

    def heads(self, names: Sequence[str]) -> Sequence[dict[str, Any]]:
        """Its heads of an NN Archive (luxonis_ml's schema 1.0), with a name for each class."""

    def before(self, outputs: Outputs) -> Reading:
        """What the source's own outputs say."""

    def apart(self, before: Outputs, after: Outputs) -> float:
        """How far what the camera's parser reads in the ends is from what the source's own outputs say.

        Corners and keypoints count in parts of the image, scores as they are; infinite where there are others.
        """


@dataclass(frozen=True)
class Family:
    """A row of the registry: a name that users know, what it is, and how it is found.

    `preprocessing` is what its networks are trained on, as fields of an `InputSpec`; empty where that varies.
    `needs` says which outputs it has, for who takes another network for one of it.
    """

    name: str
    words: str
    find: Callable[[ModelProto, Evidence], Found | None]
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    needs: str = ""

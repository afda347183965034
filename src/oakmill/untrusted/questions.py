"""What can be asked of files that nobody vouches for, and what is answered: they travel between two processes as JSON.

A question names its files as they are laid before the worker. Answers are checked as what they are: the work of a
process that a hostile file may have taken over.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from oakmill.calibration.doctor import Diagnosis, Expectation
from oakmill.conversion.passport.conventions import Testimony
from oakmill.model.source import Tensor
from oakmill.preflight.findings import Report
from oakmill.spec import Encoding, InputSpec


class Answer(BaseModel):
    """What the worker says."""

    model_config = ConfigDict(frozen=True)


A = TypeVar("A", bound=Answer)


class Question(BaseModel, Generic[A]):
    """Something that is asked of files."""

    model_config = ConfigDict(frozen=True)

    limit: ClassVar[int] = 120

    @property
    def seconds(self) -> int:
        """How long the look may take. Those that may take minutes wait for each other, and hold up no upload."""
        return self.limit

    @classmethod
    def answer_type(cls) -> type[A]:
        """The class of what is answered, which the question's class names."""
        found: type[A] = cls.__mro__[1].__pydantic_generic_metadata__["args"][0]  # type: ignore[attr-defined]
        return found


class Recognised(Answer):
    """Outputs that a family of heads knows: its name for `--head`, what that is and how sure, its classes' names, and
    what is known of the input, as fields of an `InputSpec`."""

    family: str
    words: str
    seen: str
    sure: Literal["certain", "likely", "guess"]
    classes: int
    names: tuple[str, ...]
    input: dict[str, Any]


class SourceFacts(Answer):
    """What is known of a whole model. `archive` and `heads` are its NN Archive's own words; `format` is ours.

    `recognised` is what its outputs are, and what its input is then trained on; None where nobody knows.
    """

    model_type: str
    format: str
    is_nn_archive: bool
    size: int
    opset: int | None
    producer: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    archive: dict[str, Any] | None
    heads: list[Any]
    preflight: dict[str, Report]
    recognised: Recognised | None = None


class Inspection(Answer):
    """What uploaded files are: the one that is the model, what it names that has not come, and its facts once whole."""

    model: str | None
    missing: tuple[str, ...] = ()
    source: SourceFacts | None = None

    def as_facts(self) -> dict[str, Any]:
        """What the registry stores of it, as plain data."""
        if self.source is None:
            return {"missing": list(self.missing)}
        plain = self.source.model_dump(mode="json", exclude={"model_type", "is_nn_archive", "preflight"})
        reports = {platform: report.as_dict() for platform, report in self.source.preflight.items()}
        return {**plain, "preflight": reports, "missing": []}


class InspectModel(Question[Inspection]):
    """What are these files of one upload: a model, its tensors, and where can it go? Or one that is `compiled`?"""

    limit: ClassVar[int] = 60
    names: tuple[str, ...]
    compiled: bool = False


class Reports(Answer):
    """Each platform's report."""

    reports: dict[str, Report]


class CheckModel(Question[Reports]):
    """Can the model go to these platforms, with what is asked of its inputs?"""

    model: str
    inputs: tuple[InputSpec, ...]
    platforms: tuple[str, ...]


class SetFacts(Answer):
    """What is known of a calibration set, in the order of its files' names.

    `labels` are in words what lies among the images and says what is on them, or why that cannot be used.
    `sizes` (width, height) and `images` (small JPEG, base64) are of those that were asked for; an image that cannot be
    read has neither. `histogram` has for R, G and B the share of pixels in each of 32 ranges of 0 to 255.
    """

    count: int
    left_out: int
    doctor: Diagnosis
    names: tuple[str, ...]
    sizes: tuple[tuple[int, int] | None, ...] = ()
    images: tuple[str, ...] = ()
    histogram: tuple[tuple[float, ...], ...] = ()
    labels: str = ""

    def as_report(self) -> dict[str, Any]:
        """What the registry stores of a set, as plain data."""
        thumbnails = [image for image in self.images if image]
        return {
            "count": self.count,
            "left_out": self.left_out,
            "labels": self.labels,
            "doctor": self.doctor.as_dict(),
            "thumbnails": thumbnails,
        }


SET_ZIP, SET_FOLDER = "set.zip", "set"
"""What a calibration set is laid as: one of the two."""


class ExamineSet(Question[SetFacts]):
    """What is in this calibration set, and is it fit, for any model or for one of which something is known?

    `images` says of how many files a small one is made: of none, of `few` spread over the set, of `all`, which are the
    first 4096.
    """

    expected: Expectation | None = None
    images: Literal["none", "few", "all"] = "none"

    @property
    def seconds(self) -> int:
        """A set of a thousand large images takes a minute or two, and more on a machine that has other things to do."""
        return self.limit if self.images == "few" else 5 * self.limit


class Operation(Answer):
    """An operation of a graph: its nodes, what they hold and how often they multiply for one image."""

    op: str
    count: int
    parameters: int
    products: int


class GraphFacts(Answer):
    """What a graph is made of, the most frequent operation first.

    `view` is the name of the file to show. It is among those made, as `VIEW`, where the model's own cannot be shown;
    `stripped` is one without its weights.
    """

    opset: int | None
    ir_version: int | None
    producer: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operations: tuple[Operation, ...]
    view: str
    stripped: bool = False


VIEW = "view"


class DescribeGraph(Question[GraphFacts]):
    """What is this model's graph made of, and how is it shown?"""

    limit: ClassVar[int] = 600
    model: str


class CutNode(BaseModel):
    """A node that a conversion cuts off."""

    model_config = ConfigDict(frozen=True)

    name: str
    op: str


class HeadFacts(Answer):
    """What a model's outputs are taken for; `family` is empty where nothing knows them.

    `declared` are the parsers that its NN Archive names, which go before. `is_applied`: a conversion would end the
    network at `ends`, once it is proved. Of the nodes some are `gone` then, `stay` stay, and `added` are new.
    `preprocessing` says in words what is known of it without anybody's word.
    """

    format: str
    preprocessing: str = ""
    declared: tuple[str, ...] = ()
    family: str = ""
    words: str = ""
    seen: str = ""
    sure: str = ""
    outputs: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    classes: int = 0
    names: tuple[str, ...] = ()
    problem: str = ""
    is_applied: bool = False
    gone: tuple[CutNode, ...] = ()
    stay: int = 0
    added: int = 0


class RecogniseHead(Question[HeadFacts]):
    """What are this model's outputs, as the platform's conversion would take them, or as the named family?

    `named` is how many classes the user names; 0 where none.
    """

    model: str
    platform: str
    family: str = ""
    named: int = 0
    inputs: tuple[InputSpec, ...] = ()


class Preprocessed(BaseModel):
    """How an image is fed: its order of colours, what is subtracted, what it is divided by."""

    model_config = ConfigDict(frozen=True)

    encoding: Encoding
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()


class Seen(Answer):
    """A class or a box (left, top, right, bottom, of 0 to 1) that a model saw."""

    label: str
    score: float | None
    box: tuple[float, float, float, float] | None = None


class Statistics(Answer):
    """How the values of an output lie; None where they are not finite."""

    name: str
    low: float | None
    mean: float | None
    high: float | None
    std: float | None


class Reaction(Answer):
    """What a model says to an image that is fed in one way.

    What it sees, or, where nobody knows what its outputs mean, their values; how sure it is (0 to 1) of that image and
    of further ones; and, of classes and boxes, what it said by which the passport judges conventions.
    """

    seen: tuple[Seen, ...] | None = None
    outputs: tuple[Statistics, ...] = ()
    certainty: tuple[float | None, ...] = ()
    testimony: Testimony | None = None


class Reactions(Answer):
    """What a model says to each way; `image` is what it was shown, a JPEG in base64, `images` how many there were.

    `telling` is whether the outputs surely are what they are taken for, as the passport asks.
    """

    input: str
    shape: tuple[int, ...]
    task: str
    image: str
    images: int
    telling: bool
    reactions: tuple[Reaction, ...]


class TryColours(Question[Reactions]):
    """What does this model see in an image that is fed in these ways?

    The image is a file of its own, or the one of that number of a calibration set in the order of its draw, whose next
    ones are the `further` that are looked at too.
    """

    limit: ClassVar[int] = 600
    model: str
    inputs: tuple[InputSpec, ...]
    variants: tuple[Preprocessed, ...]
    image: str = ""
    number: int = 0
    further: int = 0

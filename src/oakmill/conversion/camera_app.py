"""What a camera app would see: the finished file's outputs through the vendor's own parser, by what the source sees.

The outputs are those that the passport's measurement computes anyway, of the first images; the parser runs once for all
of them, in a process of its own. Nothing that it does fails a conversion: what goes wrong is a note in the passport.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from oakmill.conversion.depthai.parsing import Parsing, last_image
from oakmill.conversion.events import Progress
from oakmill.conversion.passport import parsers
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.choose_tasks import tensors_of
from oakmill.conversion.passport.measure import Subject, measure
from oakmill.conversion.passport.parser_values import IN_A_CELL, within_a_cell
from oakmill.conversion.passport.parsers import Answer, BoxesFound, ParserAgreement
from oakmill.conversion.passport.preprocessing_checks import image_size
from oakmill.conversion.passport.report import Passport
from oakmill.conversion.passport.tasks import label
from oakmill.conversion.platform import Platform, Ports
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.sources.camera_heads import Original
from oakmill.errors import LimitExceeded, OakmillError, VerificationFailed
from oakmill.findings import Finding
from oakmill.graph import equality
from oakmill.heads import values
from oakmill.heads.boxes import Boxes
from oakmill.heads.recognise import Detections, Head, Scores, Steps, recognise
from oakmill.heads.values import Candidates
from oakmill.settings import Settings

MOST = 16
"""Images whose outputs are kept for the parser: of YOLO at 640 pixels they are 50 MB."""
OWN_THRESHOLD, OWN_OVERLAP = 0.5, 0.5
"""depthai's own, where a head says none."""

FAILURES = (OakmillError, OSError, ValueError, TypeError, LookupError)
"""What outputs that cannot be kept, and a head that says nonsense, come to."""

MOST_ENDED = 4
"""Images on which a parser may end its process, and is asked about the others: 2 s each."""

Truth = Candidates | str | None
"""What is seen of one image: all candidates, or the class or text that it says; None where nobody can tell."""


@dataclass(frozen=True)
class Kept:
    """One image: its name, the file of the converted model's outputs, what the source sees of it, and what that file
    says, read by our own decoder, both by head."""

    name: str
    outputs: Path
    truths: Sequence[Truth]
    file: Sequence[Truth]


@dataclass
class CameraApp:
    """Keeps what the first images give, and asks the vendor's parser about all of them at the end.

    `archive` is the finished NN Archive, from whose heads alone the parser is built; `halves` the outputs that the
    device gives in FP16; `original` the source, where its outputs are not those that are converted; `folder` is made.
    """

    archive: Path
    prepared: Prepared
    halves: frozenset[str]
    folder: Path
    settings: Settings
    original: Original | None = None
    _kept: list[Kept] = field(default_factory=list)
    _ended: list[tuple[Kept, str]] = field(default_factory=list)
    _session: equality.Session | None = None
    _names: list[str] = field(default_factory=list)
    _failed: str = ""

    def __enter__(self) -> Self:
        self._parsing = Parsing(self.archive, self.folder, self.settings)
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            self._failed = str(error)
            return self
        with suppress(*FAILURES):  # it is started again when it is asked, and told then
            self._parsing.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._parsing.stop()

    def add(self, image: str, raw: Outputs, reference: Outputs, found: Outputs) -> None:
        """Add one image: what the converted model takes, what source and finished file give, by the source's names."""
        if self._failed or self._is_full:
            return
        try:
            source = self._by_original(raw)
            truths = [source or self._seen(head, reference) for head in self.prepared.heads]
            file = [self._seen(head, found) for head in self.prepared.heads]
            outputs = self._keep(found)
        except FAILURES as error:
            self._failed = str(error)
            return
        self._kept.append(Kept(image, outputs, truths, file))

    @property
    def _is_full(self) -> bool:
        """Whether no more images are needed: one shows that a parser answers, where that is compared with nothing."""
        compared = any(truth is not None for kept in self._kept for truth in kept.truths)
        return len(self._kept) == (MOST if compared else 1)

    def _keep(self, found: Outputs) -> Path:
        """Write one image's outputs in the order of their names, which may be any text."""
        now = {old: name for name, old in self.prepared.names.items()}
        self._names = [now.get(name, name) for name in found]
        file = self.folder / f"{len(self._kept)}.npz"
        np.savez(file, *found.values())
        return file

    def _by_original(self, raw: Outputs) -> Candidates | None:
        """What the source's own outputs say; none where they are no boxes, or where they are what is converted."""
        if self.original is None:
            return None
        self._session = self._session or equality.Session(self.original.network)
        reading = self.original.read(self._session.run(self.prepared.feeds(raw)))
        if not {"corners", "scores"} <= set(reading):
            return None
        scores = np.asarray(reading["scores"], np.float64)
        boxes = Boxes(np.asarray(reading["corners"], np.float64), scores.max(axis=1), scores.argmax(axis=1))
        return Candidates(boxes, values.of_reading(reading))

    def _seen(self, head: Head, outputs: Outputs) -> Truth:
        """What a head's outputs say, read by our own decoder; by the source's names."""
        size = image_size(self.prepared)
        found = recognise(tensors_of(outputs), [head], size)
        match next((item for item in found if not item.guessed), None):
            case Scores() as scores:
                return label(scores.names, int(outputs[scores.output].argmax()))
            case Steps() as steps:
                return "".join(label(steps.names, index) for index in _read(outputs[steps.output], steps.blank))
            case Detections() as detections:
                boxes = detections.decoder.settled(outputs).decode(outputs)
                return Candidates(boxes, values.of_head(head, outputs, size) if size else values.NONE)
        return None

    def told(self, passport: Passport) -> Passport:
        """The passport with what the parsers find, by what the file itself was measured to hold."""
        size = image_size(self.prepared)
        if size is None or not (self._kept or self._failed):
            return passport
        named = ", ".join(str(head.get("parser")) for head in self.prepared.heads)
        if self._failed:
            return replace(passport, findings=(*passport.findings, parsers.not_tried(named, self._failed)))
        rows: list[ParserAgreement] = []
        found: list[Finding] = []
        try:
            rows = self._rows(size)
            found = [finding for row in rows for finding in self._findings(row, passport)]
            found += self._ends(named, size)
        except LimitExceeded as error:
            found = [parsers.failed(named, error.message, hangs=True)]
        except VerificationFailed as error:
            found = [parsers.failed(named, self._why(self._kept, size) or error.message)]
        except FAILURES as error:
            rows, found = [], [parsers.not_tried(named, str(error))]
        return replace(passport, parsers=tuple(rows), findings=(*passport.findings, *found))

    def _rows(self, size: tuple[int, int]) -> list[ParserAgreement]:
        """What the parsers find; of images on which one ends its process, it is asked no more.

        Raises:
            VerificationFailed: one does on all, or on more than it is asked about.
            LimitExceeded: one gives no answer.
        """
        for _ in range(MOST_ENDED):
            try:
                answer = self._asked(size)
                break
            except VerificationFailed as error:
                ended = next((kept for kept in self._kept if str(kept.outputs) == last_image(error.log)), None)
                if ended is None or len(self._kept) == 1:
                    raise
                self._kept.remove(ended)
                self._ended.append((ended, error.message))
        else:
            answer = self._asked(size)
        return [self._row(place, said, answer["depthai"]) for place, said in enumerate(answer["heads"])]

    def _asked(self, size: tuple[int, int]) -> dict[str, Any]:
        return self._parsing.ask(
            {
                "names": self._names,
                "outputs": [str(kept.outputs) for kept in self._kept],
                "halves": sorted(self.halves),
                "size": [size[1], size[0]],
                "thresholds": [self._threshold(place) for place in range(len(self.prepared.heads))],
            }
        )

    def _ends(self, named: str, size: tuple[int, int]) -> Iterator[Finding]:
        """That a parser ends its process on some images, and why, where that is known."""
        if not self._ended:
            return
        images = [kept for kept, _ in self._ended]
        words = self._why(images, size) or self._ended[-1][1]
        yield parsers.failed(named, words, images=[kept.name for kept in images])

    def _why(self, images: Sequence[Kept], size: tuple[int, int]) -> str:
        """Why a parser ends its process on some of these images; empty where nobody knows."""
        for place, seen in ((place, seen) for kept in images for place, seen in enumerate(kept.file)):
            own = self._threshold(place) or _thresholds(self.prepared.heads[place])[0]
            if isinstance(seen, Candidates) and within_a_cell(seen, own, size):
                return IN_A_CELL
        return ""

    def _threshold(self, place: int) -> float | None:
        """A lower threshold for a head where the source sees next to nothing from its own on; None for its own."""
        boxes = [item.boxes for item in self._of_head(place) if isinstance(item, Candidates)]
        if not boxes:
            return None
        own, iou = _thresholds(self.prepared.heads[place])
        chosen = parsers.threshold_for(boxes, own, iou)
        return None if chosen == own else chosen

    def _of_head(self, place: int) -> list[Truth]:
        return [kept.truths[place] for kept in self._kept]

    def _row(self, place: int, said: Mapping[str, Any], version: str) -> ParserAgreement:
        head, truths = self.prepared.heads[place], self._of_head(place)
        names = tuple(map(str, (head.get("metadata") or {}).get("classes") or ()))
        known: dict[str, Any] = {
            "head": place,
            "parser": str(said["parser"]),
            "node": f"depthai {version}'s {said['node']}" if said["node"] else "",
            "outputs": tuple(map(str, head.get("outputs") or ())),
            "images": len(said["images"]),
        }
        if not said["node"]:
            return ParserAgreement(**known, note="depthai has no such parser for a computer")
        answers = list(zip((kept.name for kept in self._kept), truths, said["images"], strict=True))
        if all(isinstance(truth, Candidates) for truth in truths):
            return self._boxes(answers, place, names, known)
        if all(isinstance(truth, str) for truth in truths):
            return _words(answers, known)
        return ParserAgreement(**known, note="it answers; what it says is compared with nothing")

    def _boxes(
        self, answers: Sequence[tuple[str, Any, Any]], place: int, names: tuple[str, ...], known: dict[str, Any]
    ) -> ParserAgreement:
        own, iou = _thresholds(self.prepared.heads[place])
        lower = self._threshold(place)
        counts = BoxesFound(names, own if lower is None else lower, iou)
        files = (kept.file[place] for kept in self._kept)
        for (image, truth, said), file in zip(answers, files, strict=True):
            counts.add(image, truth, Answer.of(said), file if isinstance(file, Candidates) else None)
        note = "" if lower is None else f"from a score of {lower:.2f} on, as there are next to none above {own:g}"
        if not counts.boxes:
            note = "the float model sees nothing on these images, so that it proves nothing"
        return counts.agreement(**known, kind="detection", note=note)

    def _findings(self, row: ParserAgreement, passport: Passport) -> Iterator[Finding]:
        if not row.node:
            yield parsers.not_here(row.parser)
        yield from parsers.findings(row, _still_there(passport))


def of(
    platform: Platform, archive: Path | None, prepared: Prepared, ports: Ports, folder: Path, original: Original | None
) -> CameraApp | None:
    """What reads a finished archive's outputs as an app does; none without heads, or of what depthai does not know."""
    if archive is None or not prepared.heads or not platform.asks_depthai:
        return None
    halves = frozenset(name for name, kind in ports.get("outputs", {}).items() if kind == "FP16")
    return CameraApp(archive, prepared, halves, folder, platform.settings, original)


def measured(subject: Subject, progress: Progress, app: CameraApp | None) -> Passport:
    """The passport of a subject, with what an app sees where there is one."""
    if app is None:
        return measure(subject, progress)
    with app:
        return measure(subject, progress, app)


def _thresholds(head: Head) -> tuple[float, float]:
    """The score from which a head's parser counts a box, and the overlap from which it leaves one out."""
    metadata = head.get("metadata") or {}
    score, iou = metadata.get("conf_threshold"), metadata.get("iou_threshold")
    return (OWN_THRESHOLD if score is None else float(score), OWN_OVERLAP if iou is None else float(iou))


def _still_there(passport: Passport) -> float:
    """The share of the source's boxes, or classes, that the converted model still has: the least that was measured."""
    keys = {"detection": "recall", "classification": "top1", "text": "texts"}
    found = [task.values[keys[task.kind]] for _, task in passport.tasks if task.kind in keys and task.measured]
    return min(found, default=1.0)


def _read(scores: np.ndarray[Any, Any], blank: int | None) -> list[int]:
    """The characters of one text, as CTC reads them: repeats once, without the blank."""
    tops = scores.reshape(-1, scores.shape[-1]).argmax(axis=1)
    starts = np.flatnonzero(np.diff(tops, prepend=-1))
    return [int(tops[place]) for place in starts if tops[place] != blank]


def _bare(text: str) -> str:
    return "".join(text.split())


def _words(answers: Sequence[tuple[str, Any, Any]], known: dict[str, Any]) -> ParserAgreement:
    """Of a classifier the images whose first class is the source's, by name; of a reader those with the same text.

    Where characters are words, depthai joins them with spaces: spaces do not count.
    """
    is_text = known["parser"] == "ClassificationSequenceParser"
    words = (said.get("classes") or [""] for _, _, said in answers)
    found = ["".join(classes) if is_text else classes[0] for classes in words]
    right = sum(_bare(word) == _bare(truth) for word, (_, truth, _) in zip(found, answers, strict=True))
    kind = "text" if is_text else "classification"
    return ParserAgreement(**known, kind=kind, boxes=len(answers), found=right, answers=len(answers))

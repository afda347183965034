from __future__ import annotations

import numpy as np
import pytest

from oakmill.conversion.passport.regions import Regions, labelled


def drawn(*rows: str) -> np.ndarray:
    return np.array([[letter != "." for letter in row] for row in rows])


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        (("....", "...."), 0),
        (("##..", "##..", "...#"), 2),
        (("#.#.", "#.#.", "###."), 1),
        (("#.#.#", "#####", "#.#.#"), 1),
        (("#..", ".#.", "..#"), 3),
        (("####", "#..#", "#..#", "####"), 1),
        (("#.#", "#.#", "#.#"), 2),
        (("#....", "..###", "....#", "###.#", "#...#", "#####"), 2),
    ],
)
def test_what_touches_by_its_sides_is_one_region(rows: tuple[str, ...], count: int) -> None:
    assert labelled(drawn(*rows)).max() == count


def test_regions_are_those_of_a_plain_flood() -> None:
    """Against the slow and simple way, on noise."""
    random = np.random.default_rng(0)
    for share in (0.3, 0.5, 0.6):
        mask = random.random((40, 50)) < share
        found, wanted = labelled(mask), flooded(mask)
        pairs = {(a, b) for a, b in zip(found.ravel().tolist(), wanted.ravel().tolist(), strict=True)}
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def flooded(mask: np.ndarray) -> np.ndarray:
    labels = np.zeros(mask.shape, int)
    for number, start in enumerate(zip(*np.nonzero(mask), strict=True), start=1):
        todo = [start]
        while todo:
            row, column = todo.pop()
            inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
            if inside and mask[row, column] and not labels[row, column]:
                labels[row, column] = number
                todo += [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    return labels


def test_a_gap_that_closes_makes_one_of_two() -> None:
    """A reader of text lost every eighth word, which 0.8 of all pixels did not show."""
    words, joined = np.zeros((40, 80), bool), np.zeros((40, 80), bool)
    words[10:20, 5:35] = words[10:20, 37:70] = True
    joined[10:20, 5:70] = True
    regions = Regions()
    regions.add(words, words)
    assert regions.f1 == 1
    regions.add(words, joined)
    assert (regions.reference, regions.candidate, regions.both) == (4, 3, 3)
    assert (words & joined).sum() / (words | joined).sum() > 0.95


def test_specks_count_for_nothing() -> None:
    mask, specked = np.zeros((100, 100), bool), np.zeros((100, 100), bool)
    mask[10:40, 10:40] = specked[10:40, 10:40] = True
    specked[70, 70:73] = True
    regions = Regions()
    regions.add(mask, specked)
    assert regions.f1 == 1

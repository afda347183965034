"""Trained models that are fed wrongly are told, and one that is fed rightly is ok; `bench/conventions.py` has them all.

The float model is asked, which is the same on every platform.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from oakmill.findings import Severity

BENCH = Path(__file__).parents[2] / "bench" / "conventions.py"


@pytest.fixture(scope="module")
def bench() -> Any:
    """The program, which is no package's."""
    found = importlib.util.spec_from_file_location("bench_conventions", BENCH)
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("place", "feeding", "code"),
    [(0, "as trained", ""), (0, "by 255 too", "other_convention"), (2, "raw", "unsteady_boxes")],
)
def test_what_the_float_model_says(
    place: int, feeding: str, code: str, shared_data: Path, tmp_path: Path, bench: Any
) -> None:
    """Squeezenet with scale 255 too has a true top-1 of 0 %, and was ok on every platform."""
    model = bench.MODELS[place]
    passport = bench.asked_float_model(shared_data, model, model.feedings[feeding], 32, tmp_path)
    assert passport.verdict is (Severity.WARNING if code else Severity.OK), passport.reasons
    assert not code or code in {finding.code for finding in passport.findings}

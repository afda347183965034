"""The toy platform, a home in which its toolchain is, and a model: whole conversions in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oakmill.conversion.converted import Converted
from oakmill.conversion.pipeline import convert
from oakmill.settings import Settings
from tests import fakes

Run = Callable[..., Converted]


@pytest.fixture
def toy() -> Iterator[None]:
    with fakes.toys():
        yield


@pytest.fixture
def settings(toy: None, tmp_path: Path) -> Settings:
    return fakes.home(tmp_path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return fakes.model(tmp_path / "small.onnx")


@pytest.fixture
def run(settings: Settings, model: Path, tmp_path: Path) -> Run:
    """Convert the model with these values of the toy's spec, into the folder `out` unless another is named."""

    def convert_it(source: Path = model, out: str = "out", **values: Any) -> Converted:
        keep = {name: values.pop(name) for name in ("overwrite", "observer") if name in values}
        spec = fakes.ToySpec.model_validate(values)
        return convert(source, spec, tmp_path / out, settings=settings, **keep)

    return convert_it

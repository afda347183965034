"""A zygote that has drawn numbers before it forks."""

from __future__ import annotations

import random

import numpy as np

from oakmill.processes import zygote


def draw() -> None:
    """Begin with both generators."""
    random.random()
    np.random.random()


if __name__ == "__main__":
    zygote.serve(draw, lambda: None)

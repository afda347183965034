"""`oakmill convert`, keeping beside it what the float model and the converted one gave for the images measured last.

    .venv/bin/python bench/zoo/convert_and_keep.py FOLDER MODEL [options of oakmill convert]

FOLDER gets a file for each image: `float/OUTPUT` and `converted/OUTPUT`, by the method nearest to the finished file.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oakmill.cli.main import main
from oakmill.conversion.passport import measure
from oakmill.conversion.passport.agreement import Outputs

MOST = 32


def keeping(folder: Path) -> None:
    """Make the measuring write its outputs; a later method replaces what an earlier one wrote."""
    add = measure._Counts.add

    def add_and_keep(self: measure._Counts, image: str, raw: Outputs, outputs: Mapping[Any, Any]) -> None:
        add(self, image, raw, outputs)
        expected, found = outputs[self.method.reference], outputs[self.method.candidate]
        if expected is None or found is None:
            return
        place = folder / self.method.name.replace("/", "-")
        place.mkdir(parents=True, exist_ok=True)
        count = len(list(place.iterdir()))
        if count < MOST:
            named = {f"float/{name}": value for name, value in expected.items()}
            named |= {f"converted/{name}": value for name, value in found.items()}
            np.savez(place / f"{count}.npz", **named)

    measure._Counts.add = add_and_keep  # type: ignore[method-assign]


if __name__ == "__main__":
    keeping(Path(sys.argv[1]))
    sys.argv[1:3] = ["convert", sys.argv[2]]
    main()

"""The smallest TorchScript module, written without PyTorch, that shows whether the toolchain works: x * 2 + 1."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

INPUT = "images"
PICTURE = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
ANSWER = PICTURE * 2 + 1

ARGUMENTS = "x: Tensor"
BODY = "return torch.add(torch.mul(x, 2), 1)"

_CODE = """class Tiny(Module):
  __parameters__ = []
  __buffers__ = []
  def forward(self: __torch__.Tiny,
    {arguments}) -> {returns}:
    {body}
"""
_OBJECT = b"\x80\x02c__torch__\nTiny\n)\x81}b."  # an object of the class in _CODE that holds nothing
_NO_CONSTANTS = b"\x80\x02)."
_DATE = (1980, 1, 1, 0, 0, 0)


def write_model(
    path: Path, *, arguments: str = ARGUMENTS, returns: str = "Tensor", body: str = BODY, extra: str = ""
) -> Path:
    """Write a module whose forward takes `arguments`, one in a line, and is `body`; `extra` is its config.txt."""
    members = {
        "data.pkl": _OBJECT,
        "code/__torch__.py": _CODE.format(arguments=arguments, returns=returns, body=body).encode(),
        "constants.pkl": _NO_CONSTANTS,
        "version": b"3\n",
        **({"extra/config.txt": extra.encode()} if extra else {}),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(f"tiny/{name}", _DATE), content)
    return path

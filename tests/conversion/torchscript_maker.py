"""Makes a small detector shaped like YOLO as TorchScript; run by the torch toolchain's own Python, with a target file.

`python torchscript_maker.py FILE [traced|scripted|half] [HEIGHT WIDTH]`: `half` has weights of 16 bits.
"""

from __future__ import annotations

import sys
from typing import Any

import torch  # type: ignore[import-not-found]
from torch import nn

CHANNELS = 9  # four of the box, one of the object, four of the classes


def layer(taken: int, given: int, stride: int = 2) -> Any:
    return nn.Sequential(
        nn.Conv2d(taken, given, 3, stride, 1, bias=False), nn.BatchNorm2d(given), nn.SiLU(inplace=True)
    )


class Detector(nn.Module):  # type: ignore[misc]
    """A convolutional backbone, and heads at strides of 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(layer(3, 8), layer(8, 16))
        self.eighth, self.sixteenth, self.thirtysecond = layer(16, 16), layer(16, 24), layer(24, 32)
        self.up = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.heads = nn.ModuleList([nn.Conv2d(width, CHANNELS, 1) for width in (40, 56, 32)])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        eighth = self.eighth(self.stem(x))
        sixteenth = self.sixteenth(eighth)
        last = self.thirtysecond(sixteenth)
        near = torch.cat([eighth, self.up(sixteenth)], 1)
        middle = torch.cat([sixteenth, self.up(last)], 1)
        return self.heads[0](near), self.heads[1](middle), self.heads[2](last)


def main(path: str, kind: str = "traced", *size: str) -> None:
    torch.manual_seed(0)
    model = Detector().eval()
    height, width = map(int, size or (64, 96))
    if kind == "scripted":
        torch.jit.script(model).save(path)
        return
    traced = torch.jit.trace(model, torch.rand(1, 3, height, width))
    (traced.half() if kind == "half" else traced).save(path)


if __name__ == "__main__":
    main(*sys.argv[1:])

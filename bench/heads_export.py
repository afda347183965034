"""Exports untrained nets of Ultralytics for `heads.py`, in an environment of its own: OUT IMAGES NAME ... are given.

The nets come from the yaml files in its package. Random weights find nothing, so the biases of the last convolutions of
the scores are raised, and their weights spread, until there are some boxes with scores on either side of one half. They
have a nearly straight LeakyRelu in the place of SiLU: random nets of that one, and of Relu too, are chaotic, and turn
the last bit of FP16 into other boxes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]
from ultralytics import YOLO  # type: ignore[import-not-found]
from ultralytics.nn.modules.conv import Conv  # type: ignore[import-not-found]

SPREAD = 1.0
"""How far apart the logits of cells and classes are after the last convolution."""
SHARE = 0.93
"""The share of cells whose best score is below one half."""
OPSET = 17


def see(net: Any, images: Any) -> None:
    """Let the normalisations learn from images, so that what the net gives depends on what it sees."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    net.train()
    with torch.no_grad():
        net(images)
    net.eval()


def liven(net: Any, images: Any) -> None:
    """Spread the scores' logits over cells and classes, a few cells above one half on each grid; make boxes small."""
    head = net.model[-1]
    bins = int(getattr(head, "reg_max", 1))
    for name in ("cv2", "one2one_cv2", "cv3", "one2one_cv3"):
        for branch in getattr(head, name, None) or ():
            if name.endswith("cv3"):
                spread(net, branch[-1], images, SPREAD)
                centre(net, branch[-1], images)
            else:
                spread(net, branch[-1], images, SPREAD / 2)
                branch[-1].bias.data.copy_(near(bins))


def near(bins: int) -> Any:
    """Biases by which a side is one and a half cells away: of bins, the first are likelier."""
    return torch.full((4,), 1.5) if bins == 1 else (-0.5 * torch.arange(bins)).repeat(4)


def inputs_of(net: Any, layer: Any, images: Any) -> list[Any]:
    """What a layer reads when the net sees the images; nothing where it does not run."""
    seen: list[Any] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    with torch.no_grad():
        net(images)
    hook.remove()
    return seen


def spread(net: Any, layer: Any, images: Any, deviation: float) -> None:
    """Random weights, under which what a convolution gives has this deviation."""
    for seen in inputs_of(net, layer, images)[:1]:
        with torch.no_grad():
            layer.weight.normal_()
            layer.bias.zero_()
            layer.weight.mul_(deviation / layer(seen).std().clamp(min=1e-6))


def centre(net: Any, layer: Any, images: Any) -> None:
    """A bias by which the given share of cells has no class above one half."""
    for seen in inputs_of(net, layer, images)[:1]:
        with torch.no_grad():
            layer.bias.fill_(-float(layer(seen).amax(dim=1).flatten().quantile(SHARE)))


def main(out: Path, images_file: Path, names: list[str]) -> None:
    """Write one ONNX file for each; the images are a .npy of [n, 3, side, side], of 0 to 1."""
    Conv.default_act = torch.nn.LeakyReLU(0.8)

    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    images = torch.from_numpy(np.load(images_file))
    side = int(images.shape[-1])
    for name in names:
        target = out / f"{name}.onnx"
        if target.is_file():
            continue
        torch.manual_seed(0)
        model = YOLO(f"{name}.yaml", verbose=False)
        see(model.model, images)
        if not name.endswith("-cls"):
            liven(model.model, images)
        print(name, flush=True)
        made = Path(model.export(format="onnx", imgsz=side, opset=OPSET, simplify=True, verbose=False))
        made.rename(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]), sys.argv[3:])

"""Counts the layers of untrained nets for `latency.py`, in a Python of its own with torch, torchvision and timm.

    PYTHON bench/latency_count.py OUT.json [NAME ...]

Each net has the architecture and the input of the one of the same name in Qualcomm's table, as the manifest and the
code of the wheel qai-hub-models 0.65.0 state it; how many parameters the manifest states stands beside it. The nets run
once on torch's meta device, which has shapes and no numbers, while every operation is noted: what multiplies, what it
reads and writes. Layers are those of `oakmill.graph.costs` in a graph that torch exports: a batch normalization behind
a convolution is folded into it, a clamp is done by the layer before it, a SiLU is a Sigmoid and a Mul. Adds the nets to
the file as it goes.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch  # type: ignore[import-not-found]
from torch.utils._python_dispatch import TorchDispatchMode  # type: ignore[import-not-found]

TORCHVISION: dict[str, tuple[str, int, str, float]] = {
    "resnet18": ("resnet18", 224, "resnet", 11.7),
    "mobilenet_v2": ("mobilenet_v2", 224, "mobilenet", 3.49),
    "squeezenet1_1": ("squeezenet1_1", 224, "squeezenet", 1.24),
    "resnet50": ("resnet50", 224, "resnet", 25.5),
    "resnet101": ("resnet101", 224, "resnet", 44.5),
    "wideresnet50": ("wide_resnet50_2", 224, "resnet", 68.9),
    "resnext50": ("resnext50_32x4d", 224, "resnet", 25.0),
    "resnext101": ("resnext101_32x8d", 224, "resnet", 88.7),
    "mobilenet_v3_large": ("mobilenet_v3_large", 224, "mobilenet", 5.47),
    "mobilenet_v3_small": ("mobilenet_v3_small", 224, "mobilenet", 2.54),
    "mnasnet05": ("mnasnet0_5", 224, "mobilenet", 2.21),
    "googlenet": ("googlenet", 224, "inception", 6.62),
    "inception_v3": ("inception_v3", 224, "inception", 23.9),
    "densenet121": ("densenet121", 224, "densenet", 7.99),
    "regnet": ("regnet_x_3_2gf", 224, "regnet", 15.3),
    "regnet_y_800mf": ("regnet_y_800mf", 224, "regnet", 6.4),
    "shufflenet_v2": ("shufflenet_v2_x0_5", 224, "shufflenet", 1.37),
    "efficientnet_b0": ("efficientnet_b0", 224, "efficientnet", 5.27),
    "efficientnet_b4": ("efficientnet_b4", 380, "efficientnet", 19.3),
    "efficientnet_v2_s": ("efficientnet_v2_s", 384, "efficientnet", 21.4),
    "convnext_tiny": ("convnext_tiny", 224, "convnext", 28.6),
    "convnext_base": ("convnext_base", 224, "convnext", 88.6),
    "vit": ("vit_b_16", 224, "transformer", 86.6),
    "swin_tiny": ("swin_t", 224, "swin", 28.8),
    "swin_small": ("swin_s", 224, "swin", 50.4),
    "swin_base": ("swin_b", 224, "swin", 88.8),
}
"""Of torchvision: its builder, the side of the image, the family, and the manifest's millions of parameters."""
TIMM: dict[str, tuple[str, int, str, float]] = {
    "dla102x": ("dla102x", 224, "dla", 26.3),
    "inception_v4": ("inception_v4", 299, "inception", 42.6),
    "efficientnet_lite4": ("tf_efficientnet_lite4", 300, "efficientnet", 13.01),
    "mobilenet_v4": ("mobilenetv4_conv_medium", 224, "mobilenet", 9.68),
    "repvit": ("repvit_m2_3", 224, "repvit", 22.9),
    "efficientformer": ("efficientformer_l1", 224, "transformer", 12.3),
    "efficientvit_b2_cls": ("efficientvit_b2", 224, "efficientvit", 24.3),
    "efficientvit_l2_cls": ("efficientvit_l2", 224, "efficientvit", 63.7),
    "levit": ("levit_128s", 224, "transformer", 7.82),
    "mobile_vit": ("mobilevit_s", 224, "mobilevit", 5.57),
    "convnext_v2_base": ("convnextv2_base", 224, "convnext", 88.7),
    "beit": ("beit_base_patch16_224", 224, "transformer", 92.0),
    "nasnet": ("nasnetalarge", 331, "nasnet", 88.7),
}
ULTRALYTICS: dict[str, tuple[str, int, str, float]] = {
    "yolov8_det": ("yolov8n", 640, "yolo", 3.16),
    "yolov11_det": ("yolo11n", 640, "yolo", 2.64),
    "yolov8_seg": ("yolov8n-seg", 640, "yolo", 3.4),
    "yolov11_seg": ("yolo11n-seg", 640, "yolo", 2.87),
    "yolov8_obb": ("yolov8n-obb", 640, "yolo", 3.08),
    "yolov11_pose": ("yolo11n-pose", 640, "yolo", 2.87),
    "yolov10_det": ("yolov10n", 640, "yolo", 2.3),
    "yolo26_det": ("yolo26n", 640, "yolo", 2.4),
    "fastsam_s": ("yolov8s-seg", 640, "yolo", 11.8),
    "fastsam_x": ("yolov8x-seg", 640, "yolo", 72.2),
}
PUBLISHED: dict[str, tuple[str, int | tuple[int, ...], str, float]] = {
    "fcn_resnet50": ("fcn", 520, "fcn", 33.0),
    "dncnn": ("dncnn", (1, 1, 256, 256), "denoiser", 0.555),
    "unet_segmentation": ("unet", (1, 3, 640, 1280), "unet", 31.0),
    "real_esrgan_x4plus": ("rrdb", (1, 3, 128, 128), "superresolution", 16.7),
}
"""As their papers have them, written below; the manifest's number of parameters says whether they are the same."""
PRODUCTS = {"aten.mm", "aten.bmm", "aten.addmm", "aten.baddbmm"}
FREE = {
    "aten.view", "aten._unsafe_view", "aten.reshape", "aten.expand", "aten.unsqueeze", "aten.squeeze", "aten.detach",
    "aten.alias", "aten.t", "aten.relu", "aten.relu_", "aten.hardtanh", "aten.hardtanh_", "aten.clamp", "aten.clamp_",
    "aten.clamp_min", "aten.dropout", "aten._to_copy", "aten.lift_fresh", "aten.empty", "aten.zeros", "aten.ones",
    "aten.full", "aten.arange", "aten.sym_size", "aten.native_dropout", "aten.view_as", "aten.to",
}  # fmt: skip
"""What only labels, what a layer before it does as it writes, and what makes constants; no transposes."""


NORMS = {"aten.native_batch_norm", "aten._native_batch_norm_legit_no_training", "aten.cudnn_batch_norm"}


class Watch(TorchDispatchMode):  # type: ignore[misc]
    """Notes each operation: [name, multiply-adds, parameters, values read, values written, groups]."""

    def __init__(self, parameters: set[int]) -> None:
        super().__init__()
        self.layers: list[tuple[str, int, int, int, int, int]] = []
        self.constants = parameters
        self.convolved: set[int] = set()
        self.kept: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        name = str(func).rsplit(".", 1)[0]
        outputs = [item for item in (found if isinstance(found, (tuple, list)) else [found]) if tensor(item)]
        inputs = [item for arg in args for item in (arg if isinstance(arg, (tuple, list)) else [arg]) if tensor(item)]
        held = [item for item in inputs if id(base(item)) in self.constants]
        moved = [item for item in inputs if id(base(item)) not in self.constants]
        if inputs and not moved:
            self.constants.update(id(item) for item in outputs)
            self.kept += outputs  # an id is a tensor's as long as it lives
        elif name not in FREE and outputs and inputs and not self._folds(name, inputs):
            counted = products(name, args, inputs, outputs[0])
            groups = int(args[8]) if name == "aten.convolution" else 1
            layer = (name, counted, sum(map(numel, held)), sum(map(numel, moved)), sum(map(numel, outputs)), groups)
            self.layers.append(layer)
            if name.startswith("aten.silu"):  # as ONNX has it, and as the wheel's numbers of layers say
                self.layers[-1:] = [("sigmoid", 0, 0, layer[3], layer[4], 1), ("mul", 0, 0, 2 * layer[3], layer[4], 1)]
            if name == "aten.convolution":
                self.convolved.add(id(found))
                self.kept.append(found)
        return found

    def _folds(self, name: str, inputs: list[Any]) -> bool:
        """Whether it is a normalization that goes into the convolution before it; DenseNet's do not."""
        return name in NORMS and id(inputs[0]) in self.convolved


def tensor(item: Any) -> bool:
    return isinstance(item, torch.Tensor)


def base(item: Any) -> Any:
    """The tensor that another is a view of."""
    return item._base if item._base is not None else item


def numel(item: Any) -> int:
    return int(item.numel())


def products(name: str, args: Any, inputs: list[Any], output: Any) -> int:
    if name == "aten.convolution":
        weight, transposed = args[1], bool(args[6])
        return int((numel(args[0]) if transposed else numel(output)) * math.prod(weight.shape[1:]))
    if name in PRODUCTS:
        return numel(output) * int(inputs[-1].shape[-2])
    if "scaled_dot_product" in name:
        query, key = args[0], args[1]
        return int(2 * math.prod(query.shape) * key.shape[-2])
    return 0


def parts(layers: list[tuple[str, int, int, int, int, int]]) -> list[list[int]]:
    """As `latency.features` takes them."""
    return [[*layer[1:]] for layer in layers]


def of_torchvision(builder: str) -> Any:
    import torchvision.models as tv  # type: ignore[import-not-found]

    more = {"init_weights": False, "aux_logits": False} if builder in ("googlenet", "inception_v3") else {}
    return getattr(tv, builder)(weights=None, **more)


def of_timm(name: str) -> Any:
    import timm  # type: ignore[import-not-found]

    return timm.create_model(name, pretrained=False)


def of_ultralytics(name: str) -> Any:
    from ultralytics import YOLO  # type: ignore[import-not-found]
    from ultralytics.nn.tasks import yaml_model_load  # type: ignore[import-not-found]  # noqa: F401

    net = YOLO(f"{name}.yaml").model.fuse(verbose=False)
    net.model[-1].export = True
    net.model[-1].format = "onnx"
    return net


def of_paper(name: str) -> Any:
    return {"fcn": fcn, "dncnn": dncnn, "unet": unet, "rrdb": rrdb}[name]()


def fcn() -> Any:
    import torchvision.models as tv

    class Scores(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = tv.segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=21)

        def forward(self, image: Any) -> Any:
            return self.net(image)["out"]

    return Scores()


def conv(inside: int, outside: int, size: int = 3) -> Any:
    return torch.nn.Conv2d(inside, outside, size, padding=size // 2)


def dncnn() -> Any:
    """Zhang et al. 2017: 17 convolutions of 64 channels on grey images."""
    middle = [layer for _ in range(15) for layer in (conv(64, 64), torch.nn.ReLU())]
    return torch.nn.Sequential(conv(1, 64), torch.nn.ReLU(), *middle, conv(64, 1))


def unet() -> Any:
    """Ronneberger et al. 2015, with padding, as github.com/milesial/Pytorch-UNet has it."""

    def double(inside: int, outside: int) -> Any:
        return torch.nn.Sequential(conv(inside, outside), torch.nn.ReLU(), conv(outside, outside), torch.nn.ReLU())

    class Unet(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            sizes = [64, 128, 256, 512, 1024]
            self.first, self.last = double(3, 64), conv(64, 2, 1)
            self.down = torch.nn.ModuleList(double(a, 2 * a) for a in sizes[:-1])
            self.up = torch.nn.ModuleList(torch.nn.ConvTranspose2d(a, a // 2, 2, 2) for a in sizes[:0:-1])
            self.joined = torch.nn.ModuleList(double(a, a // 2) for a in sizes[:0:-1])

        def forward(self, image: Any) -> Any:
            found = [self.first(image)]
            for layer in self.down:
                found.append(layer(torch.max_pool2d(found[-1], 2)))
            value = found.pop()
            for up, joined in zip(self.up, self.joined, strict=True):
                value = joined(torch.cat([found.pop(), up(value)], 1))
            return self.last(value)

    return Unet()


def rrdb() -> Any:
    """Wang et al. 2018: 23 blocks of three dense blocks of five convolutions, then twice as large, twice."""

    class Dense(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList(conv(64 + 32 * place, 32 if place < 4 else 64) for place in range(5))

        def forward(self, value: Any) -> Any:
            found = [value]
            for layer in self.layers[:-1]:
                found.append(torch.nn.functional.leaky_relu(layer(torch.cat(found, 1)), 0.2))
            return self.layers[-1](torch.cat(found, 1)) * 0.2 + value

    class Rrdb(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.blocks = torch.nn.ModuleList(torch.nn.Sequential(Dense(), Dense(), Dense()) for _ in range(23))
            self.first, self.body = conv(3, 64), conv(64, 64)
            self.tail = torch.nn.ModuleList([conv(64, 64), conv(64, 64), conv(64, 64)])
            self.last = conv(64, 3)

        def forward(self, image: Any) -> Any:
            value = begun = self.first(image)
            for block in self.blocks:
                value = block(value) * 0.2 + value
            value = begun + self.body(value)
            for layer in self.tail[:2]:
                value = torch.nn.functional.interpolate(value, scale_factor=2, mode="nearest")
                value = torch.nn.functional.leaky_relu(layer(value), 0.2)
            return self.last(torch.nn.functional.leaky_relu(self.tail[2](value), 0.2))

    return Rrdb()


def counted(make: Callable[[], Any], side: int | tuple[int, ...]) -> dict[str, Any]:
    torch.backends.mha.set_fastpath_enabled(False)
    net = make().eval()
    head = net.model[-1] if hasattr(net, "yaml") else None
    strides = head.stride if head is not None else None
    net = net.to("meta")
    if head is not None:  # numbers that are read
        head.stride = strides
    held = {id(item) for item in (*net.parameters(), *net.buffers())}
    watch = Watch(held)
    with torch.no_grad(), watch:
        net(torch.zeros(*((1, 3, side, side) if isinstance(side, int) else side), device="meta"))
    parameters = sum(numel(item) for item in net.parameters())
    return {"parameters": parameters, "layers": parts(watch.layers)}


def leave_weights() -> None:
    """Let modules keep whatever memory they get: making random weights takes longer than all the rest."""
    for name in dir(torch.nn.init):
        if name.endswith("_") and not name.startswith("_"):
            setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)


def main() -> None:
    torch.set_num_threads(1)
    leave_weights()
    target, wanted = Path(sys.argv[1]), set(sys.argv[2:])
    found: dict[str, Any] = json.loads(target.read_text()) if target.exists() else {}
    tables: Any = (
        (of_torchvision, TORCHVISION),
        (of_ultralytics, ULTRALYTICS),
        (of_paper, PUBLISHED),
        (of_timm, TIMM),
    )
    for kind, table in tables:
        for name, (model, side, family, stated) in table.items():
            if name in found or (wanted and name not in wanted):
                continue
            try:
                made = counted(lambda model=model, kind=kind: kind(model), side)  # type: ignore[misc]
            except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
                print(f"{name}: {type(error).__name__}: {str(error)[:300]}", flush=True)
                continue
            found[name] = {"family": family, "stated": stated, **made}
            target.write_text(json.dumps(found))
            total = sum(layer[0] for layer in made["layers"])
            print(f"{name}: {total / 1e9:.2f} G, {made['parameters'] / 1e6:.2f} of {stated} M", flush=True)


if __name__ == "__main__":
    main()

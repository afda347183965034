"""A TorchScript module in PyTorch: what it computes, and the same as ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch  # type: ignore[import-not-found]
from frame import Refused

# What PyTorch raises on a module that it cannot load, run or export; the exporter's own errors are among them.
_FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, NotImplementedError)


class TorchError(Refused):
    """PyTorch refuses the module; `kind` says whether to "load", to "run" or at its "conversion"."""

    def __init__(self, kind: str, error: Exception) -> None:
        super().__init__(kind, _reason(str(error)) or type(error).__name__)


class Script:
    """A TorchScript module on the CPU, its weights as float32.

    Raises:
        TorchError: PyTorch cannot load it.
    """

    def __init__(self, path: str) -> None:
        try:
            # Weights of 16 bits are for GPUs; those of 64 no platform takes.
            self._module = torch.jit.load(path, map_location="cpu").eval().float()
        except _FAILURES as error:
            raise TorchError("load", error) from error

    def run(self, sample: Sequence[Any]) -> list[Any]:
        """All tensors that it gives, nested ones in the order in which they are written down.

        Raises:
            TorchError: it cannot be run on such arrays, or gives no tensors.
        """
        try:
            # Unoptimised: its first runs would be compiled otherwise than later ones, and round otherwise.
            with torch.inference_mode(), torch.jit.optimized_execution(False):
                return [values.numpy() for values in _Flat(self._module)(*map(torch.from_numpy, sample))]
        except _FAILURES as error:
            raise TorchError("run", error) from error

    def export(
        self, example: Sequence[Any], path: str, opset: int, inputs: Sequence[str], outputs: Sequence[str]
    ) -> None:
        """Write it as ONNX, with the shapes of the example.

        Raises:
            TorchError: it has what ONNX, or this exporter, does not.
        """
        tensors = tuple(map(torch.from_numpy, example))
        try:
            with warnings.catch_warnings():
                # It recommends the newer exporter, which does not take TorchScript, and misses Python's signatures.
                warnings.simplefilter("ignore")
                names = {"input_names": list(inputs), "output_names": list(outputs)}
                flat = torch.jit.trace(_Flat(self._module), tensors, check_trace=False)
                torch.onnx.export(flat, tensors, path, opset_version=opset, dynamo=False, **names)
        except _FAILURES as error:
            raise TorchError("conversion", error) from error


class _Flat(torch.nn.Module):  # type: ignore[misc]
    """The module with its outputs in one row: the exporter has no outputs for lists of tensors."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self._module = module

    def forward(self, *inputs: Any) -> tuple[Any, ...]:
        return tuple(_flat(self._module(*inputs)))


def _flat(answer: Any) -> Iterator[Any]:
    if isinstance(answer, torch.Tensor):
        yield answer.contiguous()
    elif isinstance(answer, (list, tuple)):
        for item in answer:
            yield from _flat(item)
    elif isinstance(answer, dict):
        for item in answer.values():
            yield from _flat(item)
    else:
        raise TypeError(f"it gives a {type(answer).__name__} where tensors are wanted")


def _reason(message: str) -> str:
    """The line that tells why: PyTorch puts the trace through the module's code before it."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("RuntimeError: ", "builtins."))]
    return (told or lines or [""])[-1 if told else 0].removeprefix("RuntimeError: ")

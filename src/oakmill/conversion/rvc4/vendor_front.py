"""Converts and quantizes with the user's own SNPE tools, where arguments are given that only those can carry out.

It was not run against a real SDK: none is public. What comes out is read back, run and measured like any other DLC.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.prepare import Prepared, save
from oakmill.conversion.rvc4 import snpe_commands
from oakmill.settings import Settings
from oakmill.spec import Rvc4Spec
from oakmill.toolchains.rvc4 import snpe_spec
from oakmill.toolchains.rvc4.sdk import Sdk
from oakmill.toolchains.rvc4.snpe_arguments import SnpeOptions


@dataclass(frozen=True)
class VendorFront:
    """One conversion through snpe-onnx-to-dlc, snpe-dlc-quant and snpe-dlc-graph-prepare."""

    sdk: Sdk
    spec: Rvc4Spec
    options: SnpeOptions
    settings: Settings

    def convert(
        self, prepared: Prepared, samples: SampleSet | None, job: Path, progress: Progress, *, cache: bool
    ) -> Path:
        """The DLC.

        Raises:
            CompileFailed: a tool refused; the message holds its own last words.
            ToolchainMissing: the SDK's converter finds no Python to run on.
            ToolKilled, LimitExceeded: a tool did not come to its end.
        """
        model = save(prepared.model, job / "model" / "prepared.onnx")
        overrides = snpe_commands.write_overrides(
            job / "overrides.json", prepared.image_inputs, self.spec.aimet_encodings
        )
        progress.doing("running snpe-onnx-to-dlc")
        dlc = self.sdk.onnx_to_dlc(
            model,
            job / "float.dlc",
            snpe_commands.convert_words(self.spec, self.options, prepared),
            job=_folder(job / "onnx-to-dlc"),
            settings=self.settings,
            overrides=overrides,
            watch=progress.tool,
        )
        if samples is not None:
            progress.doing("running snpe-dlc-quant")
            images = snpe_commands.write_input_list(job / "images", samples)
            dlc = self.sdk.quantize(
                dlc,
                images,
                job / "quantized.dlc",
                snpe_commands.quant_words(self.spec, self.options),
                job=_folder(job / "quant"),
                settings=self.settings,
                data=[images.parent],
                watch=progress.tool,
            )
        return self.prepare(dlc, job, progress) if cache else dlc

    def prepare(self, dlc: Path, job: Path, progress: Progress) -> Path:
        """The DLC with a prepared cache in it. Raises as `convert`."""
        progress.doing("running snpe-dlc-graph-prepare")
        return self.sdk.graph_prepare(
            dlc,
            job / "prepared.dlc",
            snpe_spec.prepare_words(self.spec, self.options),
            job=_folder(job / "graph-prepare"),
            settings=self.settings,
            watch=progress.tool,
        )


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path

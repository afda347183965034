"""The table of failures that are provoked with the real tools, each under the rule that explains it."""

from __future__ import annotations

import signal

from tests.conversion.failures import models
from tests.conversion.failures.provoking import (
    Provocation,
    occupied,
    signalled,
    with_broken_toolchain,
    without_toolchains,
)

P = Provocation  # the table is easier to read so

PROVOCATIONS: dict[str, P] = {
    # what came in
    "not-a-model": P(models.text),
    "empty-file": P(models.empty),
    "file-not-there": P(models.nothing),
    "folder-for-a-model": P(models.itself),
    "pytorch-checkpoint": P(models.checkpoint),
    "truncated-model": P(models.truncated, quick=True),
    "archive-bomb": P(models.zip_bomb),
    "archive-escapes": P(models.climbing_archive),
    "external-data-outside": P(models.external_data_outside),
    "external-data-missing": P(models.external_data_missing),
    "source-too-large": P(models.two_megabytes, variables={"OAKMILL_SOURCE_MAX_MB": "1"}),
    "weights-not-finite": P(models.nan_weight),
    "opset-too-new": P(models.opset_99),
    "opset-not-lowered": P(models.opset_not_lowered),
    "dynamic-shape": P(models.open_dimensions, "--blob", fixed=True, quick=True),
    "no-shape": P(models.no_shape),
    "ir-to-rvc4": P(models.open_vino_ir, "--target-precision FP16_STANDARD", "rvc4"),
    "unsupported-op-rvc2": P(models.grid_sample, "--blob", fixed=True, quick=True),
    "unsupported-op-rvc4": P(models.pool_in_three, "--target-precision FP16_STANDARD", "rvc4", fixed=True),
    "refused-by-rvc4s-compiler": P(
        models.pool_in_three, "--target-precision INT16_STANDARD", "rvc4", "unsupported-op-rvc4", teach=models.photos
    ),
    "box-selection": P(models.select_boxes, "--target-precision FP16_STANDARD", "rvc4", fixed=True, quick=True),
    "data-dependent-op": P(models.non_zero, "--target-precision FP16_STANDARD", "rvc4", fixed=True),
    "dynamic-output": P(models.non_zero, fixed=True),
    "control-flow": P(models.with_if),
    "unknown-domain": P(models.unknown_domain),
    "optimised-by-onnxruntime": P(models.optimised_by_onnxruntime),
    # what was asked
    "shape-contradicts": P(options="--blob --shape 1,4,16,16", fixed=True, quick=True),
    "shape-wrong-rank": P(options="--shape 1,3,16", fixed=True),
    "shape-does-not-fit-inside": P(models.inner_shape, "--shape 1,3,32,32"),
    "channel-count": P(options="--mean-values 1,2", fixed=True),
    "mean-on-integers": P(models.integers, "--mean-values 1,2,3", fixed=True),
    "unknown-input": P(options="--mean-values picture=1"),
    "input-name-needed": P(models.two_inputs, "--mean-values 1,2,3"),
    "unknown-output": P(options="--outputs nowhere", fixed=True),
    "channels-and-encoding": P(options="--encoding-from GRAY --encoding-to RGB"),
    "encoding-not-of-channels": P(models.good, "--layout NHWC --encoding-from RGB", fixed=True),
    "layout-wrong-rank": P(options="--layout NC", fixed=True),
    "scale-of-zero": P(options="--scale-values 0"),
    "value-out-of-range": P(options="--blob --shaves 17"),
    "option-of-another-platform": P(options="--shaves 4 --target-precision FP16_STANDARD", platform="rvc4"),
    "superblob-with-shaves": P(options="--compile-tool-args=-c~MYRIAD_NUMBER_OF_SHAVES=4", fixed=True),
    "argument-refused": P(options="--blob --compile-tool-args=-flagfile=/etc/passwd", fixed=True, quick=True),
    "mo-argument-refused": P(options="--mo-args=--data_typ=half", fixed=True),
    "refused-by-rvc2s-compiler": P(
        models.grid_sample, "--mo-args=--compress_to_fp16", rule="unsupported-op-rvc2", fixed=True
    ),
    "mo-value-refused": P(options="--mo-args=--transform=Nonsense", rule="mo-argument-refused", fixed=True),
    "mo-failed": P(models.determinant, "--mo-args=--silent"),
    "unknown-domain-found-late": P(models.unknown_domain, "--mo-args=--silent", rule="unknown-domain", fixed=True),
    "version-not-available": P(options="--ir-version 2021.4.2", fixed=True),
    "version-out-of-an-archive": P(options="--ir-version 2022.3.0", fixed=True),
    "custom-needs-encodings": P(options="--target-precision CUSTOM", platform="rvc4"),
    "encodings-of-another-model": P(
        models.other_encodings,
        "--target-precision CUSTOM --aimet-encodings {folder}/encodings.json",
        "rvc4",
        teach=models.photos,
        fixed=False,
    ),
    "quantizer-without-quantization": P(
        options="--target-precision FP16_STANDARD --tensor features=int16", platform="rvc4"
    ),
    "unknown-tensor": P(options="--tensor gone=int16", platform="rvc4", teach=models.photos, fixed=True),
    "snpe-argument-needs-sdk": P(
        options="--snpe-dlc-quant-args=--algorithms=cle", platform="rvc4", teach=models.photos, fixed=True
    ),
    "precision-not-of-rvc3": P(options="--target-precision INT16", platform="rvc3"),
    "device-runtime-too-old": P(
        options="--device-runtime 2.41 --target-precision FP16_STANDARD", platform="rvc4", fixed=True
    ),
    "config-unknown-key": P(models.config_with_typo),
    # what calibrates
    "set-missing": P(platform="rvc4", fixed=True, quick=True),
    "set-unknown": P(options="--quantization-data genral", platform="rvc4"),
    "set-empty": P(platform="rvc4", teach=lambda folder: None),
    "set-not-there": P(options="--quantization-data {folder}/nowhere", platform="rvc4"),
    "set-damaged": P(models.zip_cut_off, "--quantization-data {folder}/pictures.zip", "rvc4"),
    "image-not-an-image": P(platform="rvc4", teach=models.words),
    "image-cut-off": P(platform="rvc4", teach=models.cut_off),
    "image-too-large": P(platform="rvc4", teach=models.many_pixels),
    "array-wrong-shape": P(platform="rvc4", teach=models.wrong_shape),
    "array-wrong-type": P(platform="rvc4", teach=models.complex_numbers),
    "array-not-finite": P(platform="rvc4", teach=models.not_finite),
    "array-not-pixels": P(platform="rvc4", teach=models.not_pixels),
    "raw-wrong-size": P(platform="rvc4", teach=models.raw_of_wrong_size),
    "images-empty": P(models.beside_an_empty_folder, "--images {folder}/empty", fixed=True),
    "images-not-there": P(options="--images {folder}/nowhere", fixed=True),
    "pictures-for-other-inputs": P(
        models.two_inputs, "--layout left=NCHW --encoding-from left=NONE", "rvc4", teach=models.photos
    ),
    # who compiles
    "toolchain-missing": P(prepare=without_toolchains, quick=True),
    "toolchain-broken": P(prepare=with_broken_toolchain),
    "tool-crashed": P(models.deep, meddle=signalled(signal.SIGSEGV), quick=True),
    "tool-killed": P(models.deep, meddle=signalled(signal.SIGKILL)),
    "tool-terminated": P(models.deep, meddle=signalled(signal.SIGTERM)),
    "tool-hangs": P(
        models.deep, rule="deadline", meddle=signalled(signal.SIGSTOP), variables={"OAKMILL_TOOL_SECONDS": "5"}
    ),
    "deadline": P(models.deep, variables={"OAKMILL_TOOL_SECONDS": "5"}),
    "out-of-memory": P(models.heavy, variables={"OAKMILL_TOOL_MEMORY_MB": "256"}),
    "tool-disk-full": P(models.two_megabytes, disk_kb=3000),
    "tool-wrote-too-much": P(models.two_megabytes, variables={"OAKMILL_TOOL_OUTPUT_MB": "1"}),
    # what came out
    "output-exists": P(prepare=occupied),
    "output-not-writable": P(options="-o /proc/oakmill"),
    "disk-full": P(disk_kb=16, quick=True),
    "file-size-limit": P(file_kb=1),
}

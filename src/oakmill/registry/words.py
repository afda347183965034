"""HubAI's words for what a model is: licences, tasks, types. Its clients know these and no others."""

from __future__ import annotations

from enum import StrEnum

from oakmill.spec.platforms import titles


class License(StrEnum):
    """Under what terms a model may be used."""

    UNDEFINED = "undefined"
    MIT = "MIT"
    GPL = "GNU General Public License v3.0"
    AGPL = "GNU Affero General Public License v3.0"
    APACHE = "Apache 2.0"
    NTU = "NTU S-Lab 1.0"
    ULTRALYTICS = "Ultralytics Enterprise"
    OPEN_RAIL_M = "CreativeML Open RAIL-M"
    BSD = "BSD 3-Clause"

    @classmethod
    def called(cls, text: str) -> License:
        """The one that is meant by its own name or by SPDX's; undefined where it is none of these."""
        word = text.strip().lower()
        return _BY_SPDX.get(word) or next((item for item in cls if item.value.lower() == word), cls.UNDEFINED)


_BY_SPDX = {
    "apache-2.0": License.APACHE,
    "agpl-3.0": License.AGPL,
    "gpl-3.0": License.GPL,
    "bsd-3-clause": License.BSD,
    "creativeml-openrail-m": License.OPEN_RAIL_M,
}


class Task(StrEnum):
    """What a model is for."""

    CLASSIFICATION = "CLASSIFICATION"
    OBJECT_DETECTION = "OBJECT_DETECTION"
    SEGMENTATION = "SEGMENTATION"
    KEYPOINT_DETECTION = "KEYPOINT_DETECTION"
    OPTICAL_CHARACTER_RECOGNITION = "OPTICAL_CHARACTER_RECOGNITION"
    DEPTH_ESTIMATION = "DEPTH_ESTIMATION"
    LINE_DETECTION = "LINE_DETECTION"
    FEATURE_DETECTION = "FEATURE_DETECTION"
    DENOISING = "DENOISING"
    LOW_LIGHT_ENHANCEMENT = "LOW_LIGHT_ENHANCEMENT"
    SUPER_RESOLUTION = "SUPER_RESOLUTION"
    REGRESSION = "REGRESSION"
    INSTANCE_SEGMENTATION = "INSTANCE_SEGMENTATION"
    IMAGE_EMBEDDING = "IMAGE_EMBEDDING"
    SPEECH_RECOGNITION = "SPEECH_RECOGNITION"


class ModelType(StrEnum):
    """What an instance's file is: a source's format, or Hailo, for which HubAI has files; else a platform's title."""

    ONNX = "ONNX"
    IR = "IR"
    PYTORCH = "PYTORCH"
    TFLITE = "TFLITE"
    HAILO = "HAILO"


def model_types() -> list[str]:
    """All types of an instance: sources' formats and platforms."""
    return [*ModelType, *titles()]


def target_types() -> list[str]:
    """The types that are platforms."""
    return [*titles(), ModelType.HAILO]

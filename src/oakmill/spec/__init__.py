"""What is asked: the typed description of a conversion, from which CLI, API, form, docs and recipe derive."""

from oakmill.spec.conversion import ConversionSpec, OutputFormat, QuantizingSpec
from oakmill.spec.inputs import Encoding, InputSpec
from oakmill.spec.quantization import Improvement, Precision, RangeMethod, Resize
from oakmill.spec.rvc2 import Rvc2Spec
from oakmill.spec.rvc3 import PotTargetDevice, Quantizer, Rvc3Spec
from oakmill.spec.rvc4 import Rvc4Spec

__all__ = [
    "ConversionSpec",
    "Encoding",
    "Improvement",
    "InputSpec",
    "OutputFormat",
    "PotTargetDevice",
    "Precision",
    "Quantizer",
    "QuantizingSpec",
    "RangeMethod",
    "Resize",
    "Rvc2Spec",
    "Rvc3Spec",
    "Rvc4Spec",
]

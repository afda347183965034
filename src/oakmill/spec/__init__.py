"""What is asked: the typed description of a conversion, from which CLI, API, form, docs and recipe derive."""

from oakmill.spec.conversion import ConversionSpec, OutputFormat
from oakmill.spec.inputs import Encoding, InputSpec
from oakmill.spec.rvc2 import Rvc2Spec

__all__ = ["ConversionSpec", "Encoding", "InputSpec", "OutputFormat", "Rvc2Spec"]

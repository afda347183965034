"""Sources in other formats than ONNX: written as ONNX, or edited as they are."""

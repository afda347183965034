"""The runner of aimet-onnx."""

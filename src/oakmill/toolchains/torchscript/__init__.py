"""TorchScript as a source: PyTorch, in an environment of its own, writes it as ONNX and says what it computes."""

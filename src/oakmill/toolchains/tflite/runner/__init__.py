"""Runs in the toolchain's own interpreter: tf2onnx and LiteRT."""

"""Runs in the RVC4 toolchain's own interpreter: onnxruntime's QNN provider and QNN's C interface."""

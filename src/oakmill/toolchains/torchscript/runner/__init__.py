"""Runs in the toolchain's own interpreter: PyTorch."""

"""Runs in the toolchain's own interpreter: Ultralytics and PyTorch."""

"""Runs in the RVC2 toolchain's own interpreter: OpenVINO's C API, its MyriadX compiler and its CPU plugin."""

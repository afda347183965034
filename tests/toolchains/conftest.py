"""The tests of toolchains convert through the command line too."""

from tests.conversion.conftest import convert, rvc2_toolchain, temporary

__all__ = ["convert", "rvc2_toolchain", "temporary"]

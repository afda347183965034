"""The tests of toolchains convert through the command line too."""

from tests.conversion.conftest import convert, rvc2_toolchain, rvc3_toolchains, temporary

__all__ = ["convert", "rvc2_toolchain", "rvc3_toolchains", "temporary"]

"""The RVC4 toolchain: Qualcomm's QAIRT, out of a public Python package or the user's own SDK."""

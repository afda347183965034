"""Oakmill turns trained models into what OAK cameras run, and proves what the conversion did to accuracy."""

import os

__version__ = "0.1.0"

# onnxruntime reports each session to its maker from version 1.29 on, unless this is set before it is imported.
# Oakmill sends nothing anywhere, so it is set here, before any other module of ours.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # noqa: TID251 - it must be in the environment, also of our processes
# depthai reports to its maker too, and sends what is left of a camera's crash.
os.environ["DEPTHAI_TELEMETRY"] = os.environ["DEPTHAI_CRASHDUMP"] = "0"  # noqa: TID251 - as above

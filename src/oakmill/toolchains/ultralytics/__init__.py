"""The optional toolchain that exports YOLO checkpoints: Ultralytics, AGPL-3.0, installed at the user's word alone."""

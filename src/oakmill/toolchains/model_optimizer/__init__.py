"""OpenVINO's Model Optimizer (mo): from ONNX to OpenVINO's own format, by the user's arguments."""

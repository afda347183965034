"""TFLite as a source: tf2onnx writes it as ONNX, and LiteRT, TFLite's own interpreter, says what it computes."""

"""aimet-onnx, Qualcomm's own toolkit: learns how weights are best rounded to 8 bits."""

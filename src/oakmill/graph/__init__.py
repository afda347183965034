"""What we change: ONNX to ONNX.

Weights are large, so a step copies the model once, and only where it changes something; what it was given stays as it
was, and comes back itself if there was nothing to do. Only fixing shapes and inferring them works in place, as no
weight is touched; each says so. Inputs and outputs keep their names and their order through all steps.
"""

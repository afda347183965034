"""The images that a conversion looks at: some calibrate the quantization, others test the result."""

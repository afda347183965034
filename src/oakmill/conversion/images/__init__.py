"""The images that a conversion looks at: some teach the quantization, others test the result."""

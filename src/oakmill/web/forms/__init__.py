"""Forms: drawn from the specs, read from what a browser sends, and checked by the same models."""

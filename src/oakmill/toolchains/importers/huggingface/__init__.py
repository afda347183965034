"""Models of Hugging Face, by its own library."""

"""Runs in the environment of huggingface_hub."""

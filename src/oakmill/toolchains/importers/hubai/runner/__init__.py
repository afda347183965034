"""Runs in the environment of hubai-sdk."""

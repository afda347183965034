"""Puts the hub together, and runs it so that it can be renewed."""

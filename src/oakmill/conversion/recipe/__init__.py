"""Recipes: read, and followed again to the same bytes."""

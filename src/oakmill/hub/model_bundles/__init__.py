"""Bundles of models: made of a hub's rows and files, and taken in by another."""

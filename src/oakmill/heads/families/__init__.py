"""Families of detectors: how each is recognised in a graph, where it is cut for the camera, how it is described."""

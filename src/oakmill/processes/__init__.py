"""Runs programs that are not ours: a wall around each, limits kept, no process left behind."""

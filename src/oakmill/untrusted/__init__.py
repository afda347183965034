"""Looks at files that nobody vouches for, models and calibration sets, in a process behind a wall and within limits."""

"""The model zoo, as depthai calls it."""

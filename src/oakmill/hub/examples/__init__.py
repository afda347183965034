"""Examples for an empty hub: a classifier and a detector, drawn and trained on the spot, with labelled images."""

from oakmill.hub.examples.placing import NAMES, load

__all__ = ["NAMES", "load"]

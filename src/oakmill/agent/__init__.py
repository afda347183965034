"""A hub's hands on a machine with cameras: claims what is to be measured, runs it here, hands back what came."""

"""Finished files on an attached camera: run on images, timed, and proved as the passport proves them."""

from oakmill.conversion.on_camera.feed import Asked
from oakmill.conversion.on_camera.look import CAMERA, Looked, look
from oakmill.conversion.on_camera.prove import prove
from oakmill.conversion.on_camera.run import RanOn, bench, run

__all__ = ["CAMERA", "Asked", "Looked", "RanOn", "bench", "look", "prove", "run"]

"""What people say of images: the class, boxes, masks or text of each, as their label files have them."""

from oakmill.calibration.labels.labels import BadLabels, ImageLabels, Kind, Labels, Thing, beside
from oakmill.calibration.labels.read import Pictured, read_labels
from oakmill.calibration.labels.within import labels_of

__all__ = ["BadLabels", "ImageLabels", "Kind", "Labels", "Pictured", "Thing", "beside", "labels_of", "read_labels"]

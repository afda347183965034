"""Labels in COCO's JSON (https://cocodataset.org/#format-data): boxes in pixels, crowds, keypoints."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oakmill.calibration.labels.labels import BadLabels, Kind, Thing
from oakmill.calibration.labels.said import MOST_THINGS, LeftOut, Said, Saying, read_text

_REMEDY = "COCO's JSON holds the lists images, annotations and categories (instances_val2017.json)"


def read(path: Path) -> Said:
    """The boxes of a COCO file; its categories, in the order of their ids, become classes 0, 1, 2 ...

    Raises:
        BadLabels: it is no such file, or no box in it can be used.
    """
    document = _document(path)
    names = {_id(item.get("id")): str(item.get("name") or "") for item in _list(document, "categories", path)}
    indices = {key: place for place, key in enumerate(sorted(names, key=lambda key: (isinstance(key, str), key)))}
    images = {_id(item.get("id")): item for item in _list(document, "images", path)}
    left_out, things = LeftOut(), defaultdict[int | str, list[Thing]](list)
    for annotation in _list(document, "annotations", path):
        key, category = _id(annotation.get("image_id")), _id(annotation.get("category_id"))
        if key not in images:
            left_out.counts["boxes are of images that the file does not list, and are left out"] += 1
        elif category not in indices:
            left_out.unknown_class()
        elif (thing := _thing(annotation, images[key], indices[category], left_out)) is not None:
            things[key].append(thing)
    if not things:
        why = f": {left_out.notes[0]}" if left_out.notes else ""
        raise BadLabels(f"{path.name} holds no box that can be used{why}", subject=str(path), remedy=_REMEDY)
    most = max(map(len, things.values()))
    if most > MOST_THINGS:
        raise BadLabels(f"{path.name} has {most} boxes on one image; at most {MOST_THINGS}", subject=str(path))
    said, sizes = {}, {}
    for key, image in images.items():
        if key != "" and (size := _size(image)) and image.get("file_name"):
            name = str(image["file_name"])
            said[name], sizes[name] = Saying(things=tuple(things.get(key, ()))), size
    return Said(Kind.BOXES, tuple(names[key] for key in indices), said, left_out.notes, sizes)


def _document(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise BadLabels(f"{path.name} is no JSON: {error}", subject=str(path), remedy=_REMEDY) from error
    if not isinstance(document, Mapping):
        raise BadLabels(f"{path.name} is a list, and not COCO's JSON", subject=str(path), remedy=_REMEDY)
    return document


def _list(document: Mapping[str, Any], key: str, path: Path) -> list[Mapping[str, Any]]:
    found = document.get(key)
    if not isinstance(found, list) or not found or not all(isinstance(item, Mapping) for item in found):
        raise BadLabels(f"{path.name} has no list of {key}", subject=str(path), remedy=_REMEDY)
    return found


def _id(found: Any) -> int | str:
    """An id, which some tools write as a word; an empty one for what is neither."""
    return found if isinstance(found, (int, str)) else ""


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    fit = all(isinstance(side, int) and 0 < side < 1 << 20 for side in (width, height))
    return (int(width), int(height)) if fit else None  # type: ignore[arg-type]


def _thing(annotation: Mapping[str, Any], image: Mapping[str, Any], label: int, left_out: LeftOut) -> Thing | None:
    size, box = _size(image), annotation.get("bbox")
    if size is None:
        left_out.counts["boxes are of images whose width and height the file does not say, and are left out"] += 1
        return None
    if not isinstance(box, Sequence) or len(box) != 4 or not all(isinstance(value, (int, float)) for value in box):
        left_out.counts["boxes are not four numbers, and are left out"] += 1
        return None
    x, y, width, height = map(float, box)
    corners = left_out.box((x / size[0], y / size[1], (x + width) / size[0], (y + height) / size[1]))
    if corners is None:
        return None
    area = annotation.get("area")
    part = float(area) / (size[0] * size[1]) if isinstance(area, (int, float)) and math.isfinite(area) else 0.0
    return Thing(label, corners, bool(annotation.get("iscrowd")), _points(annotation.get("keypoints"), size), part)


def _points(found: Any, size: tuple[int, int]) -> tuple[tuple[float, float, int], ...]:
    """Keypoints of x, y, visibility, one after the other."""
    if not isinstance(found, list) or len(found) % 3 or not all(isinstance(value, (int, float)) for value in found):
        return ()
    if not all(math.isfinite(value) for value in found):
        return ()
    rows = zip(found[::3], found[1::3], found[2::3], strict=True)
    return tuple((float(x) / size[0], float(y) / size[1], int(seen)) for x, y, seen in rows)

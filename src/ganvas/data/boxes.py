"""Bounding boxes of PASCAL VOC: where in a picture its objects are, read from XML that nobody vouches for."""

from __future__ import annotations

import math
from typing import get_args
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ganvas.config.data import Boxes
from ganvas.data.decode import Box, Rejected

BOX_CHOICES: tuple[str, ...] = get_args(Boxes)
MAX_XML_BYTES = 2**20
"""Larger annotations are refused before they are read: those of VOC have some hundred bytes for each object."""
MAX_OBJECTS = 1_000


def parse_voc(data: bytes) -> list[Box]:
    """The boxes of all objects of one annotation, in their order; there is at least one.

    Documents with a DTD, and so those that declare entities, are refused whether they bomb, fetch or do no harm: VOC has
    no use for them.

    Raises:
        Rejected: empty, too large, no XML, hostile, without objects, or a box that encloses nothing.
    """
    if not data.strip():
        raise Rejected("its annotation is empty")
    if len(data) > MAX_XML_BYTES:
        raise Rejected(f"its annotation is larger than {MAX_XML_BYTES // 2**20} MiB")
    try:
        root = fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise Rejected(f"its annotation is hostile: {type(error).__name__} in XML") from error
    except (ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that is not known
        raise Rejected(f"its annotation is no XML: {' '.join(str(error).split())}") from error
    objects = root.findall("object")
    if not objects:
        raise Rejected("its annotation names no object")
    if len(objects) > MAX_OBJECTS:
        raise Rejected(f"its annotation names more than {MAX_OBJECTS:,} objects")
    return [_box(found) for found in objects]


def _box(found: Element) -> Box:
    values = []
    for edge in ("xmin", "ymin", "xmax", "ymax"):
        text = found.findtext(f"bndbox/{edge}")
        try:
            value = float(text or "")
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise Rejected(f"its annotation has a box without a number for {edge}")
        values.append(value)
    box = Box(*values)
    if box.right <= box.left or box.bottom <= box.top:
        raise Rejected(f"its box {box} encloses nothing")
    return box


def choose(boxes: list[Box], choice: str) -> list[Box]:
    """The boxes that count, of at least one; of equally large ones the first."""
    if choice == "each":
        return boxes
    return [boxes[0] if choice == "first" else max(boxes, key=lambda box: (box.right - box.left) * (box.bottom - box.top))]

"""What a value is: number, media, size. Used by the fast checks and by the walker, so that both agree.

Here live no fact of the API (the catalog has those) and no message.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any, TypeGuard

from .catalog import MEDIA_PATTERN

LARGEST = sys.float_info.max
"""The largest double: an integer beyond it is no number that every JSON reader can tell from infinity."""
_media = re.compile(MEDIA_PATTERN).fullmatch


def is_number(value: object) -> bool:
    """A finite JSON number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST


def is_integer(value: Any) -> bool:
    """A number without a fraction: 16 and 16.0."""
    return is_number(value) and value == value // 1


def is_media(value: object) -> bool:
    """An absolute https URL with a host, or an upload token."""
    return isinstance(value, str) and _media(value) is not None


def is_array(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    return isinstance(value, list | tuple)


def is_side(value: Any, low: float, high: float, step: int) -> bool:
    """A width or height within the rules."""
    return is_integer(value) and low <= value <= high and value % step == 0


def is_within_ratio(width: float, height: float, ratio: int) -> bool:
    """From 1 : ratio to ratio : 1, both included."""
    return width <= height * ratio and height <= width * ratio


def is_size(value: object, presets: frozenset[str], *, low: float, high: float, step: int, ratio: int) -> bool:
    """A preset, or an object of width and height and nothing else."""
    if isinstance(value, str):
        return value in presets
    return (
        isinstance(value, Mapping)
        and len(value) == 2
        and is_side(value.get("width"), low, high, step)
        and is_side(value.get("height"), low, high, step)
        and is_within_ratio(value["width"], value["height"], ratio)
    )

"""What a value is: number, media, size. Used by the fast checks and by the walker, so that both agree.

Here live no fact of the API (the catalog has those) and no message.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any, TypeGuard

from .catalog import MEDIA_PATTERN, TOKEN_PATTERN

LARGEST = int(sys.float_info.max)
"""The largest double: an integer beyond it is no number that every JSON reader can tell from infinity. It is an integer
itself, as most numbers are: two of a kind are compared sooner."""
LEAST = -LARGEST
any_media = re.compile(MEDIA_PATTERN).fullmatch
"""An absolute https URL with a host, or an upload token. Raises TypeError for what is no string."""
plain_media = re.compile(f"https://[0-9A-Za-z.-]+/[!-~]*|{TOKEN_PATTERN}").fullmatch
"""What most media are, told in half the time. Where the pattern of the spec takes less than this, none is plain."""
if not all(map(any_media, ("https://a/", f"https://{'Aa0-.' * 99}z9/{''.join(map(chr, range(0x21, 0x7F))) * 99}"))):
    plain_media = re.compile("(?!)").fullmatch


def is_number(value: object) -> bool:
    """A finite JSON number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and LEAST <= value <= LARGEST


def is_integer(value: Any) -> bool:
    """A number without a fraction: 16 and 16.0."""
    return is_number(value) and value == value // 1


def is_media(value: object) -> bool:
    """An absolute https URL with a host, or an upload token."""
    return isinstance(value, str) and (plain_media(value) is not None or any_media(value) is not None)


def is_array(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    return isinstance(value, list | tuple)


def is_within_ratio(width: float, height: float, ratio: int) -> bool:
    """From 1 : ratio to ratio : 1, both included."""
    return width <= height * ratio and height <= width * ratio


def is_size(value: object, low: float, high: float, step: int, ratio: int) -> bool:
    """An object of width and height and nothing else."""
    if (type(value) is not dict and not isinstance(value, Mapping)) or len(value) != 2:
        return False
    width: Any = value.get("width")
    height: Any = value.get("height")
    return (
        (type(width) is int or is_integer(width))
        and (type(height) is int or is_integer(height))
        and low <= width <= high
        and low <= height <= high
        and not width % step
        and not height % step
        and is_within_ratio(width, height, ratio)
    )

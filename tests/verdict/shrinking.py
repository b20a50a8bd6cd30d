"""The smallest bytes that still do what some bytes do, as far as leaving parts out leads. Here lives no judging."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

_part = re.compile(rb'"(?:[^"\\]|\\.)*"|[0-9.eE+-]+|[a-z]+|\s+|.', re.DOTALL)
"""A string, a number, a word, white space, or a byte: what a text of JSON is made of."""


def smallest(data: bytes, does: Callable[[bytes], bool], within_s: float = 30) -> bytes:
    """`data` without all that it can do without: parts of JSON first, then bytes. After that time it is as it is."""
    end = time.monotonic() + within_s

    def still_does(parts: list[bytes]) -> bool:
        return time.monotonic() < end and does(b"".join(parts))

    whole = b"".join(_fewest(_part.findall(data), still_does))
    return b"".join(_fewest([whole[at : at + 1] for at in range(len(whole))], still_does))


def _fewest(parts: list[bytes], does: Callable[[list[bytes]], bool]) -> list[bytes]:
    """Leaves out runs of parts, from half of all of them down to a single one, until none can go."""
    length = len(parts) // 2
    while length:
        at = 0
        while at + length <= len(parts):
            left = parts[:at] + parts[at + length :]
            if does(left):
                parts = left
            else:
                at += max(1, length // 8)
        length = length // 2 if length > 16 else length - 1
    return parts

"""What the mock was asked: the last requests with their answers. For whoever holds the control token. No key is kept.

Here live no HTTP, no decision, and nothing that outlives the process.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

KEPT = 1_000
"""Requests that are remembered; older ones are forgotten."""
KEPT_BYTES = 16_384
"""Bytes of a request's body that are remembered."""


class Seen(NamedTuple):
    """One request and its answer."""

    number: int
    at: float
    method: str
    path: str
    account: str | None
    """first or second; None for a caller without a key."""
    body: bytes
    status: int
    """0 where the connection was closed instead."""
    violation: str | None
    """Code and path of what was refused."""


class Journal:
    """The last of them."""

    def __init__(self) -> None:
        self._seen: deque[Seen] = deque(maxlen=KEPT)
        self._count = 0

    def number(self) -> int:
        """Numbers are never given twice, whatever is forgotten."""
        self._count += 1
        return self._count

    def note(self, seen: Seen) -> None:
        self._seen.append(seen)

    def since(self, number: int) -> list[Seen]:
        """Those with a higher number, in their order."""
        return [each for each in self._seen if each.number > number]

    def clear(self) -> None:
        self._seen.clear()

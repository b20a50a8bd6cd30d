"""What the mock has seen and sent: the last requests with their answers, every event with the exact bytes signed.

For whoever holds the control token. No key is kept. Here live no HTTP and no decision.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

KEPT = 1_000
"""Requests and deliveries that are remembered; older ones are forgotten."""
KEPT_BYTES = 16_384
"""Bytes of a request's body that are remembered."""


@dataclass(slots=True)
class Seen:
    """One request and its answer."""

    number: int
    at: float
    method: str
    path: str
    account: str | None
    """first or second; None for a caller without a key."""
    body: bytes
    status: int
    violation: str | None
    """Code and path of what was refused."""


@dataclass(slots=True)
class Attempt:
    at: float
    status: int | None
    """None where no answer came."""


@dataclass(slots=True)
class Delivery:
    """One event, to one receiver."""

    number: int
    generation_id: str
    url: str
    body: bytes
    signature: str
    attempts: list[Attempt] = field(default_factory=list)
    state: str = "pending"
    """pending, delivered, failed (after the last retry), or refused (the receiver may not be called)."""

    @property
    def receiver(self) -> str:
        """The URL without what may be a secret in it: user, query and fragment."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


class Journal:
    """The last of everything."""

    def __init__(self) -> None:
        self.requests: deque[Seen] = deque(maxlen=KEPT)
        self.deliveries: deque[Delivery] = deque(maxlen=KEPT)
        self._count = 0

    def number(self) -> int:
        """Numbers are never given twice, whatever is forgotten."""
        self._count += 1
        return self._count

    def delivery(self, number: int) -> Delivery | None:
        return next((each for each in self.deliveries if each.number == number), None)

    def clear(self) -> None:
        self.requests.clear()
        self.deliveries.clear()


def last(entries: Iterable[Seen | Delivery], since: int) -> list[Seen | Delivery]:
    """Those with a number above `since`, in their order."""
    return [each for each in entries if each.number > since]

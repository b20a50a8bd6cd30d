"""The rate limit: what its headers say, and using it up. Here live no expectations."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from .implementation import Exchange, Implementation
from .outcome import Inconclusive

LIMIT, REMAINING, RESET = NAMES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
LARGEST_LIMIT = 120
"""Requests a minute that are used up to see what follows. A larger limit is left alone."""
WINDOW_S = 60.0
MARGIN = 5
"""Requests beyond what may rightly be let in."""


@dataclass(slots=True)
class Trip:
    """The limit, used up."""

    limit: int
    let_in: list[Exchange] = field(default_factory=list)
    """Since the limit was last seen to renew."""
    refused: Exchange | None = None
    """The first answer 429; None where none came though there had to be one."""
    otherwise: Exchange | None = None
    """The first answer that turned a request away with another status."""
    at_reset: Exchange | None = None
    """At the moment that X-RateLimit-Reset of the 429 named; None where it named none."""
    a_minute_later: Exchange | None = None


def whole(exchange: Exchange, name: str) -> int | None:
    """A header that is a whole number; None for any other."""
    text = exchange.headers.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def used_up(implementation: Implementation) -> Trip:
    """Sends until one is turned away, or too many were let in: what renews bit by bit may let more in with time.

    Raises Inconclusive where the limit is not known, is large, or renews as fast as it is used, and NoAnswerError.
    """
    before = implementation.balance()
    limit, left = whole(before, LIMIT), whole(before, REMAINING)
    if limit is None or left is None:
        raise Inconclusive("the headers do not say what the limit is")
    if limit > LARGEST_LIMIT:
        raise Inconclusive(f"the limit of {limit} is more than is used up for a check")
    found = Trip(limit)
    started = time.monotonic()
    for _ in range(2 * limit + MARGIN):
        exchange = implementation.send_once("GET", "/v1/balance")
        if exchange.status == 429:
            found.refused = exchange
            return found
        remaining = whole(exchange, REMAINING)
        if not exchange.accepted and left == 0:
            found.otherwise = exchange
            return found
        if not exchange.accepted or remaining is None:
            raise Inconclusive(f"answered {exchange.status}, before the limit was used up")
        if remaining > left:
            found.let_in.clear()
            started = time.monotonic()
        left = remaining
        found.let_in.append(exchange)
        renewed = (time.monotonic() - started) * limit / WINDOW_S
        if len(found.let_in) > limit + renewed:
            return found
    raise Inconclusive("the limit renews as fast as it is used")

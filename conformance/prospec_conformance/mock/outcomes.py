"""What a generate request may ask the mock for: to fail, to be slow, to be refused, to vanish, to tell of it oddly.

By the header X-Mock-Outcome, or by words in the prompt for clients that cannot set one. Here live no state, no HTTP.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

HEADER = "X-Mock-Outcome"
STATUSES = (400, 401, 403, 404, 410, 429, 500, 504)
"""The error statuses that the documentation names."""
LONGEST_S = 7 * 24 * 3600
_in_prompt = re.compile(r"\bmock:([a-z0-9]+(?:-[a-z0-9]+)*(?:=[a-z0-9.]+)?)")

Telling = Literal["once", "duplicate", "late", "reordered", "none"]
TELLINGS: Mapping[str, Telling] = {name: name for name in ("once", "duplicate", "late", "reordered", "none")}
WORDS = (
    "fail: the generation fails, and is refunded",
    "slow=SECONDS: the generation takes that long",
    f"status=STATUS: refused, and not charged: {', '.join(map(str, STATUSES))}",
    "accept-then-drop: accepted and charged, then the connection is closed without an answer",
    "accept-then-504: accepted and charged, then answered 504",
    "accept-then-500: accepted and charged, then failed and refunded, and answered 500",
    "webhook=duplicate, late, reordered or none: sent twice, a minute late, after the next one, not at all",
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What becomes of one request, apart from what the mock would do by itself."""

    fails: bool = False
    lasts_s: float | None = None
    status: int | None = None
    after: Literal["drop", "504", "500"] | None = None
    """What the caller sees of a request that was accepted."""
    webhook: Telling = "once"


NONE = Wish()


class UnknownWishError(ValueError):
    """A text asks for something that there is not."""


def wished(header: str | None, prompt: object) -> Wish:
    """The wish of a request. Raises UnknownWishError for a header that cannot be read; in a prompt it is just text."""
    wish = NONE
    for word in _in_prompt.findall(prompt) if isinstance(prompt, str) and "mock:" in prompt else ():
        wish = _with(wish, word) or wish
    return parsed(header, wish) if header else wish


def parsed(text: str, beside: Wish | None = None) -> Wish:
    """The wish that a header's words make, added to another. Raises UnknownWishError, for no word at all too."""
    wish = beside or NONE
    for word in re.split(r"[\s,]+", text.strip()):
        found = _with(wish, word)
        if found is None:
            raise UnknownWishError(f"{HEADER} takes {'; '.join(WORDS)}")
        wish = found
    return wish


def _with(wish: Wish, word: str) -> Wish | None:
    """The wish with one word more; None for a word that says nothing."""
    name, _, value = word.partition("=")
    match name:
        case "fail" if not value:
            return replace(wish, fails=True)
        case "slow":
            try:
                seconds = float(value)
            except ValueError:
                return None
            return replace(wish, lasts_s=seconds) if math.isfinite(seconds) and 0 <= seconds <= LONGEST_S else None
        case "status" if value.isascii() and value.isdigit() and int(value) in STATUSES:
            return replace(wish, status=int(value))
        case "accept-then-drop" if not value:
            return replace(wish, after="drop")
        case "accept-then-504" if not value:
            return replace(wish, after="504")
        case "accept-then-500" if not value:
            # A 500 promises the money back, and what fails is refunded.
            return replace(wish, after="500", fails=True)
        case "webhook" if value in TELLINGS:
            return replace(wish, webhook=TELLINGS[value])
        case _:
            return None

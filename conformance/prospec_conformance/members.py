"""What a member of an answer or an event says, and how a message shows it: short, and with no URL, which may be signed.

Here live no checks.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Protocol


class Said(Protocol):
    """An answer or an event."""

    @property
    def json(self) -> Any:
        """Its JSON value; None where it is not JSON."""

    def member(self, name: str) -> Any:
        """A member of it; None where there is none."""


def worded(said: Said, name: str) -> str:
    """A member, for a message."""
    value = said.member(name)
    if value is None:
        return "null" if isinstance(said.json, dict) and name in said.json else "absent"
    return brief(value)


def brief(value: object) -> str:
    """A value, for a message."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return "a URL" if isinstance(value, str) and "://" in value else f"{value!r:.80}"


def utc_moment(value: object) -> datetime | None:
    """A date and time in UTC, as ISO 8601 has it; None for anything else."""
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else None
    except ValueError:
        return None
    return read if read is not None and read.utcoffset() == timedelta(0) else None

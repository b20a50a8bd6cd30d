"""What a fault is. Here lives none."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..changes import Change


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken promise."""

    id: str
    requirement: str
    """The requirement that it is there to break."""
    statement: str
    change: Change = field(repr=False, compare=False)
    also: tuple[str, ...] = ()
    """Requirements that it cannot help breaking as well."""


def fault(id: str, statement: str, change: Change, *also: str) -> Fault:
    return Fault(id, "-".join(id.split("-")[:2]), statement, change, also)

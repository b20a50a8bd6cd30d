"""The types of the catalog. Here lives no model: those are in `catalog`, which is generated."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Evidence = Literal["documented", "inferred", "assumed"]


@dataclass(frozen=True, slots=True)
class Param:
    """One row of a mode's table. A field that does not apply is None."""

    name: str
    type: Literal["string", "number", "boolean", "array", "string|object"]
    required: bool
    """As the provider writes it; a row that also has a default may be left out all the same."""
    evidence: Evidence
    source: str
    default: str | float | bool | None = None
    enum: tuple[str, ...] | None = None
    min: float | None = None
    max: float | None = None
    min_items: int | None = None
    max_items: int | None = None
    multiple_of: int | None = None
    """Of width and height, whose range is then `min` to `max`."""
    max_ratio: int | None = None
    unit: str | None = None
    media: Literal["image", "video", "audio", "mask"] | None = None
    inferred: tuple[str, ...] = ()
    """JSON Schema keywords that are only inferred, whatever the row's evidence is."""
    note: str | None = None

    @property
    def mandatory(self) -> bool:
        """A request without it is refused."""
        return self.required and self.default is None

    def evidence_of(self, keyword: str) -> Evidence:
        """How well one constraint of this row is known."""
        return "inferred" if keyword in self.inferred and self.evidence == "documented" else self.evidence


@dataclass(frozen=True, slots=True)
class Mode:
    """One input shape of a model."""

    id: str
    title: str
    evidence: Evidence
    on_wire: bool
    """False where the provider declares no mode: a request leaves `mode` out."""
    params: tuple[Param, ...]
    upstream: str | None
    """The upstream endpoint that this mode most likely calls."""
    example: str
    """A request of this mode, as JSON."""


@dataclass(frozen=True, slots=True)
class Rate:
    """USD a unit, where every (param, value) of `when` holds. `high` is above `low` where a range is published."""

    when: tuple[tuple[str, str | bool], ...]
    low: Decimal
    high: Decimal
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs."""

    unit: Literal["second", "image"]
    quantity: str | None
    """The param that counts the units, None where only the provider knows."""
    quantity_evidence: Evidence
    """How well it is known that several units cost several times one."""
    evidence: Evidence
    source: str
    rates: tuple[Rate, ...]
    inferred: tuple[str, ...] = ()
    """Params whose effect on the price is inferred: documented is the range over their values."""
    longest_by: str | None = None
    longest: tuple[tuple[str, int], ...] = ()
    """Where no param counts the units: the most there can be, by the value of the param `longest_by`."""
    gaps: tuple[str, ...] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One model. Its first mode is the one that a request without `mode` gets."""

    id: str
    name: str
    family: str
    kind: Literal["video", "image"]
    modes: tuple[Mode, ...]
    price: Price | None = None

    def mode(self, id: str | None) -> Mode | None:
        """The mode of that id; the first one for None."""
        if id is None:
            return self.modes[0]
        for mode in self.modes:
            if mode.id == id:
                return mode
        return None

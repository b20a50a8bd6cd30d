"""What the API answers, as frozen values that tolerate what they do not know. Here lives no HTTP and no decision.

A field of an unexpected type counts as absent, and `raw` has it; an unknown status is kept as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal, TypeGuard

from .secrecy import SignedUrl
from .values import is_number

Status = Literal["queued", "processing", "completed", "failed"]
_ID_MAX = 500


@dataclass(frozen=True)
class Generation:
    """One generation, as it stood when the answer was made."""

    generation_id: str
    status: Status | str
    model: str | None = None
    mode: str | None = None
    output_url: SignedUrl | None = None
    """Where the image or video is, for 7 days. Its bearer needs no key: treat it as a secret."""
    cost_usd: Decimal | None = None
    """What was taken from the balance, once it is known."""
    duration_ms: float | None = None
    """How long the generation took."""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The answer as it came."""

    @property
    def is_done(self) -> bool:
        """Whether nothing more is to come. A status that nobody knows counts once there is an output."""
        return self.status in ("completed", "failed") or (
            self.status not in ("queued", "processing") and self.output_url is not None
        )


@dataclass(frozen=True)
class Balance:
    """What the account has left."""

    balance_usd: Decimal
    currency: str | None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


def generation_fields(value: object) -> dict[str, Any] | None:
    """The fields of a Generation; None for an answer without the two that every use needs, its id and its status."""
    if not isinstance(value, dict):
        return None
    id, status = value.get("generation_id"), text_of(value.get("status"))
    if not is_id(id) or not status:
        return None
    url = text_of(value.get("output_url"))
    duration_ms = value.get("duration_ms")
    return {
        "generation_id": id,
        "status": status,
        "model": text_of(value.get("model")),
        "mode": text_of(value.get("mode")),
        "output_url": SignedUrl(url) if url else None,
        "cost_usd": usd(value.get("cost_usd")),
        "duration_ms": float(duration_ms) if duration_ms is not None and is_number(duration_ms) else None,
        "raw": {**value, "output_url": SignedUrl(url)} if url else value,
    }


def is_id(value: object) -> TypeGuard[str]:
    """Whether a value can be the id of a generation: it stands in paths, messages and checkpoints."""
    return isinstance(value, str) and 0 < len(value) <= _ID_MAX and value.isprintable()


def unsigned(generation: Generation) -> Generation:
    """The same without the URL of its output, for an error: that may be kept anywhere."""
    if generation.output_url is None:
        return generation
    return replace(generation, output_url=None, raw={**generation.raw, "output_url": None})


def balance(value: object) -> Balance | None:
    """None for an answer without an amount."""
    amount = usd(value.get("balance_usd")) if isinstance(value, dict) else None
    if amount is None or not isinstance(value, dict):
        return None
    return Balance(amount, text_of(value.get("currency")), value)


def usd(value: object) -> Decimal | None:
    """An amount of JSON as the decimal number that was written; None for what is no number."""
    return Decimal(str(value)) if is_number(value) else None


def text_of(value: object) -> str | None:
    """A text; None for what is none."""
    return value if isinstance(value, str) else None

"""What a mock is told before it starts, checked at once. Here lives no behaviour."""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from .faults import FAULTS
from .variants import VARIANTS


def _fresh_key() -> str:
    return f"prsp-{secrets.token_hex(16)}"


def _fresh_secret() -> str:
    return secrets.token_hex(32)


@dataclass(frozen=True)
class MockConfig:
    """Raises ValueError for what cannot be served. Keys and secret are fresh unless given, and show in no repr."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one."""
    balance_usd: Decimal = Decimal(1_000_000)
    """What each account starts with."""
    rate_limit: int | None = None
    """Requests a minute and account; None is unlimited."""
    processing_s: float = 0.0
    """How long a generation takes."""
    api_key: str = field(default_factory=_fresh_key, repr=False)
    second_api_key: str = field(default_factory=_fresh_key, repr=False)
    """The key of another account."""
    webhook_secret: str = field(default_factory=_fresh_secret, repr=False)
    control_token: str = field(default_factory=_fresh_secret, repr=False)
    """What opens /__mock: time, money, what was seen and sent."""
    faults: frozenset[str] = frozenset()
    variants: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        _known("fault", self.faults, FAULTS)
        _known("variant", self.variants, VARIANTS)
        if not self.api_key or not self.second_api_key or not self.webhook_secret or not self.control_token:
            raise ValueError("a key, the webhook secret or the control token is empty")
        if self.api_key == self.second_api_key:
            raise ValueError("both accounts have the same key")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port {self.port} is not between 0 and 65535")
        if not self.balance_usd.is_finite():
            raise ValueError(f"a balance of {self.balance_usd} is not an amount")
        if self.rate_limit is not None and self.rate_limit < 1:
            raise ValueError(f"a rate limit of {self.rate_limit} lets nobody in; leave it out for none")
        if not 0 <= self.processing_s < float("inf"):
            raise ValueError(f"processing cannot take {self.processing_s} s")


def _known(kind: str, ids: Iterable[str], registry: Iterable[str]) -> None:
    known = list(registry)
    for id in sorted(set(ids) - set(known)):
        close = difflib.get_close_matches(id, known, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown {kind} {id!r}{hint}")

"""What a mock is told before it starts, checked at once. Here lives no behaviour."""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from .changes import combined
from .faults import FAULTS
from .names import seeded
from .script import Rule
from .variants import VARIANTS

_KEYS: Mapping[str, str] = {
    "api_key": "prsp-",
    "second_api_key": "prsp-",
    "webhook_secret": "",
    "control_token": "",
}
"""Each key and secret, and what it begins with."""


@dataclass(frozen=True)
class MockConfig:
    """Raises ValueError for what cannot be served.

    Keys and secrets that are left empty are fresh, or the seed's. They show in no repr.
    """

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one."""
    balance_usd: Decimal = Decimal(1_000_000)
    """What each account starts with."""
    rate_limit: int | None = None
    """Requests a minute and account; None is unlimited."""
    processing_s: float = 0.0
    """How long a generation takes."""
    api_key: str = field(default="", repr=False)
    second_api_key: str = field(default="", repr=False)
    """The key of another account."""
    webhook_secret: str = field(default="", repr=False)
    control_token: str = field(default="", repr=False)
    """What opens /__mock: time, money, what was seen and sent."""
    webhook_url: str | None = field(default=None, repr=False)
    """Where events go whose request names no receiver, as set in the provider's dashboard."""
    webhook_hosts: tuple[str, ...] = ()
    """Names, addresses and networks, beside loopback, that webhooks may go to."""
    state: Path | None = None
    """The file that keeps the state; without one it ends with the process."""
    seed: int | None = None
    """Makes ids, tokens, keys and time the same again for the same requests; time then moves by these alone."""
    generation_ids: tuple[str, ...] = ()
    """Handed out before any other, in this order."""
    upload_tokens: tuple[str, ...] = ()
    """Likewise."""
    outcomes: tuple[Rule, ...] = ()
    """Which generate requests meet which outcome, unless they ask for one themselves."""
    faults: frozenset[str] = frozenset()
    variants: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        _known("fault", self.faults, FAULTS)
        _known("variant", self.variants, VARIANTS)
        for name, prefix in _KEYS.items():
            if not getattr(self, name):
                fresh = secrets.token_hex(32) if self.seed is None else seeded(self.seed, name, 32)
                key = prefix + fresh
                if prefix:
                    change = combined(FAULTS[id].change for id in FAULTS if id in self.faults)
                    key = change.issues(key)
                object.__setattr__(self, name, key)
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

"""The hand on a mock: its time, its money, and how a generation ends. Any other implementation has no such thing.

Here live no checks. What the mock makes of it is in mock/control.py and mock/outcomes.py.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import httpx2

from .client import client
from .mock.control import PATH, TOKEN_HEADER


class Control:
    """Over HTTP, as everything else."""

    def __init__(self, base_url: str, token: str) -> None:
        self._client = client(base_url=base_url + PATH, headers={TOKEN_HEADER: token}, timeout=60.0, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def answers(self) -> bool:
        """Whether there is a mock of ours at the other end, and the token opens it."""
        try:
            answer = self._client.get("/state")
            return answer.status_code == 200 and "now_s" in answer.json()
        except (httpx2.HTTPError, ValueError, RecursionError, TypeError):
            return False

    def now_s(self) -> float:
        """The mock's time, in seconds since the epoch."""
        return float(self._ask("GET", "/state")["now_s"])

    def advance(self, seconds: float) -> float:
        """Moves its clock; its time then. Whatever is due on the way has happened when this returns."""
        return float(self._ask("POST", "/clock", {"advance_s": seconds})["now_s"])

    def generations(self) -> Counter[str]:
        """How many it has begun, by status."""
        return Counter(self._ask("GET", "/state")["generations"])

    def balance(self, account: str) -> Decimal:
        """`account` is first or second."""
        return Decimal(self._ask("GET", "/state")["accounts"][account])

    def set_balance(self, account: str, balance_usd: Decimal) -> None:
        """`account` is first or second."""
        self._ask("PUT", "/balance", {"account": account, "balance_usd": str(balance_usd)})

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._client.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()

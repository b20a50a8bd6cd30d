"""The implementation under test: the one way by which the suite sends anything.

Every request passes here, so here the ceiling is kept, the rate limit waited for, and each exchange remembered.
Nothing that may have been accepted is sent a second time. Here live no expectations.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from .spend import Ledger

TIMEOUT_S = 200.0
"""Longer than the documented 180 s of a synchronous request."""
LONGEST_WAIT_S = 120.0
"""Of one wait for the rate limit, whatever the headers say."""
WAITS = 5
"""Answers 429 in a row before one is taken for the answer."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class NoAnswerError(Exception):
    """The connection failed, was dropped, or timed out. Whether the request was accepted is not known."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer."""

    method: str
    path: str
    sent_headers: Mapping[str, str] = field(repr=False)
    sent: Any = field(repr=False)
    """The JSON value or the bytes that were sent; None for no body."""
    status: int
    headers: httpx2.Headers = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """The request itself was found wrong; 401, 403 and 429 say nothing about it."""
        return 400 <= self.status < 500 and self.status not in (401, 403, 408, 429)

    @property
    def server_error(self) -> bool:
        return self.status >= 500

    @property
    def json(self) -> Any:
        """The answer's JSON value; None where it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def member(self, name: str) -> Any:
        """A member of the answer; None where there is none."""
        value = self.json
        return value.get(name) if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True)
class Target:
    """Where the implementation is, and the secrets that open it."""

    base_url: str
    api_key: str = field(repr=False)
    second_api_key: str | None = field(default=None, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    is_mock: bool = False
    """The embedded mock, where an accepted request costs nothing."""

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.api_key, self.second_api_key, self.webhook_secret)))


class Implementation:
    """A target, and what has been said there."""

    def __init__(self, target: Target, ledger: Ledger, say: Callable[[str], None]) -> None:
        self.target = target
        self.ledger = ledger
        self.exchanges: list[Exchange] = []
        self._say = say
        self._full_before_wait = False
        self.throttled = 0
        """Requests in a row that the rate limit never let through."""
        # A proxy of the environment has no business between us and a server on this machine.
        local = urlsplit(target.base_url).hostname in LOOPBACK
        self._client = httpx2.Client(timeout=httpx2.Timeout(TIMEOUT_S, connect=10.0), trust_env=not local)

    def close(self) -> None:
        self._client.close()

    def generate(
        self,
        request: Any,
        *,
        expects_refusal: bool,
        asynchronous: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """POST /v1/generate. Raises SpendingRefusedError before anything is sent, NoAnswerError after."""
        named = request if isinstance(request, Mapping) else {}
        estimate = self.ledger.reserve(named, expects_refusal=expects_refusal)
        path = "/v1/generate?async=true" if asynchronous else "/v1/generate"
        try:
            exchange = self.send("POST", path, sent=request, headers=headers)
        except NoAnswerError:
            self.ledger.unsettled(estimate)
            raise
        if exchange.accepted:
            self.ledger.settle(named, exchange.member("cost_usd"), estimate, expected_refusal=expects_refusal)
            if self.ledger.ceiling_usd is not None:
                self.balance()
        elif exchange.server_error:
            self.ledger.unsettled(estimate)
        return exchange

    def send(self, method: str, path: str, *, sent: Any = None, headers: Mapping[str, str] | None = None) -> Exchange:
        """One request, sent again only where the answer was 429: that one was certainly not accepted.

        `headers` None means the key as Bearer token; give a mapping to send other ones, or none.
        """
        headers = dict(self.bearer() if headers is None else headers)
        if isinstance(sent, bytes):
            body: bytes | None = sent
        else:
            body = None if sent is None else json.dumps(sent).encode()
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        exchange = self._send_once(method, path, sent, body, headers)
        for _ in range(WAITS - 1):
            if exchange.status != 429:
                break
            self._wait(exchange)
            exchange = self._send_once(method, path, sent, body, headers)
        self.throttled = self.throttled + 1 if exchange.status == 429 else 0
        self._keep_pace(exchange)
        return exchange

    def _send_once(self, method: str, path: str, sent: Any, body: bytes | None, headers: Mapping[str, str]) -> Exchange:
        try:
            answer = self._client.request(method, self.target.base_url + path, content=body, headers=headers)
        except httpx2.HTTPError as error:
            raise NoAnswerError(f"no answer to {method} {path.partition('?')[0]}: {type(error).__name__}") from None
        exchange = Exchange(method, path, headers, sent, answer.status_code, answer.headers, answer.content)
        self.exchanges.append(exchange)
        return exchange

    def balance(self) -> Exchange:
        """GET /v1/balance, which is free, and tells the ledger."""
        exchange = self.send("GET", "/v1/balance")
        self.ledger.saw_balance(exchange.member("balance_usd"))
        return exchange

    def bearer(self, key: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.target.api_key if key is None else key}"}

    def initiate(self, content_type: str, file_name: str) -> Exchange:
        """The first step of an upload."""
        sent = {"content_type": content_type, "file_name": file_name}
        return self.send("POST", "/v1/uploads/initiate", sent=sent)

    def upload(self, content_type: str, file_name: str, content: bytes) -> str | None:
        """Both steps of an upload; the token, or None where either step was not as documented."""
        first = self.initiate(content_type, file_name)
        token = first.member("token")
        if not first.accepted or not isinstance(token, str):
            return None
        headers = {**self.bearer(), "Content-Type": content_type}
        second = self.send("PUT", f"/v1/uploads/proxy/{token}", sent=content, headers=headers)
        return token if second.accepted else None

    def _keep_pace(self, exchange: Exchange) -> None:
        """Wait when nothing remains; once only, for a server whose count never rises again has no count."""
        remaining = exchange.headers.get("x-ratelimit-remaining", "")
        if remaining != "0":
            self._full_before_wait = True
        elif self._full_before_wait:
            self._full_before_wait = False
            self._wait(exchange)

    def _wait(self, exchange: Exchange) -> None:
        seconds = reset_s(exchange.headers, time.time())
        self._say(f"waiting {seconds:.0f} s for the rate limit")
        time.sleep(seconds)


def reset_s(headers: Mapping[str, str], now: float) -> float:
    """Seconds until the rate limit resets. The unit of the header is not documented: a large number is a moment."""
    value = 5.0
    with contextlib.suppress(ValueError):
        value = float(headers.get("x-ratelimit-reset", headers.get("retry-after", "5")))
    if value > 1e11:
        value = value / 1000 - now
    elif value > 1e8:
        value = value - now
    return LONGEST_WAIT_S if math.isnan(value) else min(max(value, 0.1), LONGEST_WAIT_S)

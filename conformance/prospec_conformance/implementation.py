"""The implementation under test: the one way by which the suite sends anything.

Every request passes here, so here the ceiling is kept, the rate limit waited for, and each exchange remembered.
Nothing that may have been accepted is sent a second time. Here live no expectations.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2

from .client import client
from .control import Control
from .mock.outcomes import HEADER as OUTCOME_HEADER
from .samples import Padded
from .spend import Ledger
from .urls import path_below

TIMEOUT_S = 200.0
"""Longer than the documented 180 s of a synchronous request."""
LONGEST_WAIT_S = 120.0
"""Of one wait for the rate limit, whatever the headers say."""
WAITS = 5
"""Answers 429 in a row before one is taken for the answer."""
DOWNLOAD_MAX_BYTES = 64 * 1024 * 1024
INITIATE = "/v1/uploads/initiate"
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
    """The JSON value, the bytes or the padded file that was sent; None for no body."""
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
    control_token: str | None = field(default=None, repr=False)
    """What opens the control of a mock of ours."""
    is_mock: bool = False
    """The embedded mock, where an accepted request costs nothing."""

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, and so reaches a receiver on loopback."""
        return urlsplit(self.base_url).hostname in LOOPBACK

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.api_key, self.second_api_key, self.webhook_secret, self.control_token)))


class Implementation:
    """A target, and what has been said there."""

    def __init__(
        self,
        target: Target,
        ledger: Ledger,
        say: Callable[[str], None],
        control: Control | None = None,
        time: Control | None = None,
    ) -> None:
        """With the control of a mock, its clock is moved where time has to pass.

        `time` is one that no check knows of: a mock under it is judged as anybody else is, and nobody waits.
        """
        self.target = target
        self.ledger = ledger
        self.control = control
        self.time = control or time
        """What moves the clock, where anything does."""
        self.exchanges: list[Exchange] = []
        self._say = say
        self._full_before_wait = False
        self.throttled = 0
        """Requests in a row that the rate limit never let through."""
        # A proxy of the environment has no business between us and a server on this machine.
        self._client = client(timeout=httpx2.Timeout(TIMEOUT_S, connect=10.0), trust_env=not target.is_local)

    def close(self) -> None:
        self._client.close()

    def generate(
        self,
        request: Any,
        *,
        expects_refusal: bool,
        asynchronous: bool = True,
        says_false: bool = False,
        headers: Mapping[str, str] | None = None,
        outcome: str | None = None,
    ) -> Exchange:
        """POST /v1/generate. Raises SpendingRefusedError before anything is sent, NoAnswerError after.

        Where it is not `asynchronous`, `says_false` writes async=false into the query instead of nothing.
        `outcome` is a wish to a mock under control (mock/outcomes.py); nobody else is sent it.
        """
        named = request if isinstance(request, Mapping) else {}
        estimate = self.ledger.reserve(named, expects_refusal=expects_refusal)
        query = "?async=true" if asynchronous else "?async=false" if says_false else ""
        path = f"/v1/generate{query}"
        if outcome is not None and self.control is not None:
            headers = {**(self.bearer() if headers is None else headers), OUTCOME_HEADER: outcome}
        try:
            exchange = self.send("POST", path, sent=request, headers=headers)
        except NoAnswerError:
            self.ledger.unsettled(named, estimate)
            raise
        if exchange.accepted:
            self.ledger.settle(named, exchange.member("cost_usd"), estimate, expected_refusal=expects_refusal)
            if self.ledger.ceiling_usd is not None:
                self.balance()
        elif exchange.server_error:
            self.ledger.unsettled(named, estimate)
        return exchange

    def send(self, method: str, path: str, *, sent: Any = None, headers: Mapping[str, str] | None = None) -> Exchange:
        """One request, sent again only where the answer was 429: that one was certainly not accepted.

        `headers` None means the key as Bearer token; give a mapping to send other ones, or none.
        """
        headers = dict(self.bearer() if headers is None else headers)
        body = sent if sent is None or isinstance(sent, bytes | Padded) else json.dumps(sent).encode()
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

    def send_once(self, method: str, path: str, *, headers: Mapping[str, str] | None = None) -> Exchange:
        """One request without a body, of which a 429 is the answer. Raises NoAnswerError."""
        return self._send_once(method, path, None, None, dict(self.bearer() if headers is None else headers))

    def _send_once(
        self, method: str, path: str, sent: Any, body: bytes | Padded | None, headers: Mapping[str, str]
    ) -> Exchange:
        # Without a length the client would send it in chunks, which not everybody takes.
        framing = {"Content-Length": str(len(body))} if isinstance(body, Padded) else {}
        url = self.target.base_url + path
        try:
            answer = self._client.request(method, url, content=body, headers={**headers, **framing})
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

    def initiate(self, content_type: str, file_name: str, headers: Mapping[str, str] | None = None) -> Exchange:
        """The first step of an upload."""
        sent = {"content_type": content_type, "file_name": file_name}
        return self.send("POST", INITIATE, sent=sent, headers=headers)

    def put(
        self,
        first: Exchange,
        content_type: str,
        content: bytes | Padded,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange | None:
        """The second step of an upload, given the answer to the first.

        None where that names no place for the bytes that the key may be sent to.
        """
        path = path_below(self.target.base_url, INITIATE, first.member("upload_url")) if first.accepted else None
        if path is None:
            return None
        headers = {**(self.bearer() if headers is None else headers), "Content-Type": content_type}
        return self.send("PUT", path, sent=content, headers=headers)

    def upload(self, content_type: str, file_name: str, content: bytes) -> str | None:
        """Both steps of an upload; the token, or None where either step was not as documented."""
        first = self.initiate(content_type, file_name)
        token = first.member("token")
        if not first.accepted or not isinstance(token, str):
            return None
        second = self.put(first, content_type, content)
        return token if second is not None and second.accepted else None

    def download(self, url: str) -> Exchange:
        """A GET of an output, at most `DOWNLOAD_MAX_BYTES` of it. The key stays here: the host may be anybody's.

        It is no exchange with the API, so it is not remembered. Raises NoAnswerError.
        """
        content = bytearray()
        try:
            with self._client.stream("GET", url, follow_redirects=True) as answer:
                for chunk in answer.iter_bytes():
                    content += chunk
                    if len(content) >= DOWNLOAD_MAX_BYTES:
                        break
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise NoAnswerError(f"no answer to a GET of output_url: {type(error).__name__}") from None
        kept = bytes(content[:DOWNLOAD_MAX_BYTES])
        return Exchange("GET", "output_url", {}, None, answer.status_code, answer.headers, kept)

    def _keep_pace(self, exchange: Exchange) -> None:
        """Wait when nothing remains; once only, for a server whose count never rises again has no count."""
        remaining = exchange.headers.get("x-ratelimit-remaining", "")
        if remaining != "0":
            self._full_before_wait = True
        elif self._full_before_wait:
            self._full_before_wait = False
            self._wait(exchange)

    def _wait(self, exchange: Exchange) -> None:
        if self.time is not None:
            self.time.advance(reset_s(exchange.headers, self.time.now_s()))
            return
        seconds = reset_s(exchange.headers, time.time())
        self._say(f"waiting {seconds:.0f} s for the rate limit")
        time.sleep(seconds)

    def pass_time(self, seconds: float) -> None:
        """On a mock the clock is moved, anywhere else it is waited."""
        if self.time is not None:
            self.time.advance(seconds)
        else:
            time.sleep(seconds)


def reset_s(headers: Mapping[str, str], now: float) -> float:
    """How long the rate limit is waited for, by the headers of an answer."""
    value = until_s(headers.get("x-ratelimit-reset", headers.get("retry-after", "5")), now)
    value = 5.0 if value is None else value
    return LONGEST_WAIT_S if math.isnan(value) else min(max(value, 0.1), LONGEST_WAIT_S)


def until_s(text: str, now: float) -> float | None:
    """Seconds from `now` to the moment that a header names; None where it names none.

    The unit is not documented: a small number is a wait, a large one a Unix time in seconds or milliseconds, and
    anything else a date as HTTP or ISO 8601 writes it.
    """
    for read in (float, lambda text: parsedate_to_datetime(text).timestamp(), _iso_s):
        try:
            value = read(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return value / 1000 - now if value > 1e11 else value - now if value > 1e8 else value
    return None


def _iso_s(text: str) -> float:
    """A time without a zone is one of UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

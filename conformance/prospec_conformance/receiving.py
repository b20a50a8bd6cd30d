"""Sends the deliveries to a webhook receiver, as the provider would, and has each answer judged.

A connection for each, no redirect followed, no cookie kept. Here live no expectations (deliveries.py, reception.py).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from . import whole
from .deliveries import Delivery, deliveries
from .implementation import LOOPBACK
from .mock.receivers import PLAIN_URL
from .reception import Answer, Flaw, Judged, Silence, flaws, judge
from .run import UnreachableError

ANSWER_MAX_BYTES = 2000
"""What is read of an answer's body."""
SLOWEST_BYTES_PER_S = 100_000
"""Of a way on which a body is not late yet."""
LATE_MAX = 3
"""Deliveries in a row without an answer in time, after which the rest is not sent."""


@dataclass(frozen=True, slots=True)
class ReceiverTarget:
    """The receiver, the secret that it shares with the provider, and how long it may take to answer."""

    url: str = field(repr=False)
    """It may hold a secret of the receiver's, so that no output shows more of it than `origin`."""
    secret: str = field(repr=False)
    header: str
    """The name of the header that bears the signature."""
    timeout_s: float

    def __post_init__(self) -> None:
        """Raises ValueError for what is no plain URL, no secret or no time."""
        if not PLAIN_URL.fullmatch(self.url):
            raise ValueError("--url takes http(s)://host:port/path?query in ASCII: no user, no fragment")
        try:
            port = httpx2.URL(self.url).port
        except httpx2.InvalidURL:
            port = 0
        if port is not None and not 1 <= port <= 65535:
            raise ValueError("--url names no host and port that can exist")
        try:
            _ = self.secret.encode()
        except UnicodeEncodeError:
            raise ValueError("the webhook secret is no UTF-8") from None
        if not self.secret:
            raise ValueError("the webhook secret is empty")
        if not 0 < self.timeout_s < 1000:
            raise ValueError("--timeout-s takes more than 0 and less than 1000 seconds")

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def is_local(self) -> bool:
        return urlsplit(self.url).hostname in LOOPBACK


@dataclass(frozen=True, slots=True)
class Reception:
    """A finished run."""

    target: ReceiverTarget
    judged: tuple[Judged, ...]
    flaws: tuple[Flaw, ...]
    seconds: float


def receive(
    target: ReceiverTarget,
    sent: Sequence[Delivery] | None = None,
    on_verdict: Callable[[Judged], None] = lambda judged: None,
) -> Reception:
    """Judge the receiver by every delivery, or those that are given. Raises UnreachableError if nobody is there."""
    started = time.monotonic()
    if sent is None:
        timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        sent = deliveries(secrets.token_hex(4), timestamp)
    judged = asyncio.run(_all(target, sent, on_verdict))
    return Reception(target, judged, flaws(judged), time.monotonic() - started)


async def _all(
    target: ReceiverTarget, sent: Sequence[Delivery], on_verdict: Callable[[Judged], None]
) -> tuple[Judged, ...]:
    judged: list[Judged] = []
    late = 0
    stopped: str | None = None
    limits = httpx2.Limits(max_keepalive_connections=0)
    # A proxy of the environment has no business between us and a receiver on this machine.
    async with httpx2.AsyncClient(timeout=target.timeout_s, limits=limits, trust_env=not target.is_local) as client:
        for delivery in sent:
            if stopped:
                judged.append(Judged(delivery, "skipped", stopped))
                on_verdict(judged[-1])
                continue
            came: list[Answer | Silence] = [await _send(client, target, delivery) for _ in range(delivery.times)]
            if "unconnected" in came and not judged:
                what = "nothing listens there, or its certificate is not one for this host"
                raise UnreachableError(f"no connection to {target.origin}: {what}")
            judged.append(judge(delivery, came, target.secret))
            on_verdict(judged[-1])
            late = late + 1 if "late" in came else 0
            if "unconnected" in came:
                stopped = "not sent: no connection came about any more"
            elif late == LATE_MAX:
                stopped = f"not sent: {LATE_MAX} deliveries in a row got no answer in time"
    return tuple(judged)


async def _send(client: httpx2.AsyncClient, target: ReceiverTarget, delivery: Delivery) -> Answer | Silence:
    headers = [(b"Accept-Encoding", b"identity"), (b"User-Agent", b"prospec"), (b"Connection", b"close")]
    if delivery.content_type is not None:
        headers.append((b"Content-Type", delivery.content_type.encode()))
    signature = delivery.signature(target.secret)
    if signature is not None:
        name = target.header.lower() if delivery.is_header_lower else target.header
        headers.append((name.encode(), signature))
    client.cookies.clear()
    request = client.build_request(delivery.method, target.url, headers=headers, content=delivery.body or None)
    try:
        # The client's time is that of one silence; an answer that comes in drops is to end as well.
        async with asyncio.timeout(2 * target.timeout_s + len(delivery.body) / SLOWEST_BYTES_PER_S):
            response = await client.send(request, stream=True)
            try:
                return Answer(response.status_code, await _beginning(response))
            finally:
                await response.aclose()
    except (httpx2.ConnectError, httpx2.ConnectTimeout):
        return "unconnected"
    except (TimeoutError, httpx2.TimeoutException):
        return "late"
    except (httpx2.HTTPError, OSError):
        return "dropped"


async def _beginning(response: httpx2.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) >= ANSWER_MAX_BYTES:
            break
    return body[:ANSWER_MAX_BYTES]


def write(text: str, folder: Path) -> Path:
    """report.json in a folder, whole or not at all. Raises OSError."""
    whole.write(folder, {"report.json": text})
    return folder / "report.json"

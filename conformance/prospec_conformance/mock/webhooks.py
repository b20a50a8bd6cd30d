"""What the mock sends to a receiver: the event, its signature, and the ladder of attempts.

Here live no decision on when a generation ends and no server. Receivers on loopback only: whoever can reach the mock
must not be able to make it call other machines.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
from collections.abc import Iterable, Mapping

from .clock import SteerableClock
from .journal import Attempt, Delivery

ATTEMPT_TIMEOUT_S = 10


def event(generation: Mapping[str, object], timestamp: str) -> bytes:
    """The body that tells how a generation ended, given as `getGeneration` shows it. These bytes are what is signed."""
    about = ("model", "mode", "output_url", "cost_usd", "duration_ms")
    value = {
        "event": f"generation.{generation['status']}",
        "generation_id": generation["generation_id"],
        "data": {name: generation[name] for name in about if name in generation},
        "timestamp": timestamp,
    }
    return json.dumps(value, separators=(",", ":")).encode()


def sign(body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_deliverable(url: str) -> bool:
    """Whether a URL is of http or https and its host a loopback address, or localhost."""
    import httpx2

    try:
        parsed = httpx2.URL(url)
        if parsed.scheme not in ("http", "https"):
            return False
        return parsed.host == "localhost" or ipaddress.ip_address(parsed.host).is_loopback
    except (httpx2.InvalidURL, ValueError):
        return False


async def deliver(
    delivery: Delivery, headers: Mapping[str, str], retry_after_s: Iterable[float], clock: SteerableClock
) -> None:
    """Posts the same bytes until a 2xx comes back, at once and then after each wait, and notes each attempt."""
    import httpx2

    # A TLS context takes 30 ms of everybody's time, so it is built for https alone. No proxy of the environment and no
    # redirect may carry the event off this machine.
    is_https = httpx2.URL(delivery.url).scheme == "https"
    async with httpx2.AsyncClient(verify=is_https, trust_env=False, follow_redirects=False) as client:
        for wait_s in (0, *retry_after_s):
            await clock.sleep(wait_s)
            with clock.work():
                status = await _attempt(client, delivery, headers)
            delivery.attempts.append(Attempt(clock(), status))
            if status is not None and 200 <= status < 300:
                delivery.state = "delivered"
                return
    delivery.state = "failed"


async def _attempt(client: object, delivery: Delivery, headers: Mapping[str, str]) -> int | None:
    """One POST. The status of the answer, whose body is left unread; None where there is none in time."""
    import httpx2

    assert isinstance(client, httpx2.AsyncClient)
    try:
        async with (
            asyncio.timeout(ATTEMPT_TIMEOUT_S),
            client.stream("POST", delivery.url, content=delivery.body, headers=dict(headers)) as response,
        ):
            return response.status_code
    except (httpx2.HTTPError, TimeoutError):
        return None

"""What the mock tells receivers: the event, its signature, and the ladder of attempts, taken up where it was left.

Here live no decision on how a generation ends, no socket (receivers.py) and no memory (state.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from .changes import Change, Message
from .clock import SteerableClock
from .receivers import Receivers, RefusedReceiver
from .state import Attempt, Delivery, Generation, State, StoreError
from .terms import Terms

ATTEMPT_TIMEOUT_S = 10
LATE_S = 60.0
"""How late an event is that is to be late, and how long one waits at the most for the one that is to overtake it."""

log = logging.getLogger(__name__)


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


class Webhooks:
    """Every delivery that is under way, each in a task of its own."""

    def __init__(
        self,
        signature_header: str,
        secret: str,
        terms: Terms,
        change: Change,
        clock: SteerableClock,
        state: State,
        receivers: Receivers,
        describe: Callable[[Generation], bytes],
        memory: dict[str, Any],
    ) -> None:
        """`describe` gives the event of a generation that has ended; `memory` is that of the changes."""
        self._header = signature_header
        self._secret = secret
        self._terms = terms
        self._change = change
        self._clock = clock
        self._state = state
        self._receivers = receivers
        self._describe = describe
        self._memory = memory
        self._tasks: set[asyncio.Task[None]] = set()
        self._gone_out = asyncio.Event()
        """Set whenever an event has gone out: one that waits to be overtaken may follow."""

    def begin(self, delivery: Delivery) -> None:
        """Sees a delivery through, from wherever it stands."""
        task = asyncio.get_running_loop().create_task(self._see_through(delivery))
        # The event loop holds tasks weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def call_off(self) -> None:
        """Nothing that is under way goes out any more."""
        for task in self._tasks:
            task.cancel()

    def signature(self, delivery: Delivery) -> str:
        return sign(delivery.body, self._secret)

    async def replay(self, delivery: Delivery) -> None:
        """Once more, the same bytes, and no ladder after it. Raises RefusedReceiver."""
        if reason := self._receivers.refusal(delivery.url):
            raise RefusedReceiver(reason)
        if await self._attempt(delivery) and delivery.state == "failed":
            delivery.state = "delivered"

    async def _see_through(self, delivery: Delivery) -> None:
        try:
            while delivery.is_open:
                await self._wait(delivery)
                if delivery.state == "waiting":
                    self._tell(delivery)
                else:
                    try:
                        await self._climb(delivery)
                    except RefusedReceiver as refused:
                        self._refuse(delivery, str(refused))
                self._state.keep()
        except StoreError as error:
            log.error("webhook of %s: %s", delivery.generation.id, error)

    async def _wait(self, delivery: Delivery) -> None:
        wait_s = delivery.due - self._clock()
        if delivery.telling != "reordered" or delivery.state == "waiting" or delivery.attempts:
            await self._clock.sleep(wait_s)
            return
        self._gone_out.clear()
        waits = [asyncio.ensure_future(self._gone_out.wait()), asyncio.ensure_future(self._clock.sleep(wait_s))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _tell(self, delivery: Delivery) -> None:
        """The generation has ended: there is an event."""
        if self._terms.event_delay_s >= 0:
            self._state.end(delivery.generation)
        if delivery.telling == "none":
            self._state.close(delivery, "withheld")
            return
        self._state.number(delivery)
        delivery.body = self._describe(delivery.generation)
        delivery.state = "pending"
        delivery.due = self._clock() + (LATE_S if delivery.telling in ("late", "reordered") else 0)
        if reason := self._receivers.refusal(delivery.url):
            self._refuse(delivery, reason)

    async def _climb(self, delivery: Delivery) -> None:
        """One attempt. What would come next is kept before it: an end of the process counts as no answer."""
        ladder = self._terms.retry_after_s
        is_last = delivery.climbed == len(ladder)
        if delivery.climbed > len(ladder):  # the process ended in the last attempt
            self._give_up(delivery)
            return
        delivery.due = self._clock() + (0 if is_last else ladder[delivery.climbed])
        delivery.climbed += 1
        is_over = await self._attempt(delivery)
        if is_over:
            if delivery.telling == "duplicate":
                delivery.telling, delivery.climbed, delivery.due = "once", 0, self._clock()
            else:
                self._state.close(delivery, "delivered")
        elif is_last:
            self._give_up(delivery)
        if is_over or not delivery.is_open:
            self._gone_out.set()

    async def _attempt(self, delivery: Delivery) -> bool:
        """Whether the delivery is over with it."""
        attempt = Attempt(self._clock())
        delivery.attempts.append(attempt)
        self._state.touch(delivery)
        self._state.keep()
        number = len(delivery.attempts)
        message = self._change.message(
            Message(
                event=json.loads(delivery.body),
                body=delivery.body,
                headers={"Content-Type": "application/json"},
                url=delivery.url,
                attempt=number,
                at=attempt.at,
                secret=self._secret,
                memory=self._memory,
            )
        )
        try:
            with self._clock.work():
                if message is not None:
                    attempt.status = await self._receivers.post(
                        message.url, message.body, self._headers(message), ATTEMPT_TIMEOUT_S, message.method
                    )
        except RefusedReceiver:
            delivery.attempts.pop()
            raise
        finally:
            self._state.touch(delivery)
        status = attempt.status
        return self._change.ends_delivery(number, status, status is not None and 200 <= status < 300)

    def _headers(self, message: Message) -> Mapping[str, str]:
        signature = bytes.fromhex(sign(message.body if message.signed is None else message.signed, message.secret))
        spelt = message.spelt(signature)
        return message.headers if spelt is None else {**message.headers, self._header: spelt}

    def _give_up(self, delivery: Delivery) -> None:
        self._state.close(delivery, "failed")
        log.warning("webhook of %s: given up after %d retries", delivery.generation.id, len(self._terms.retry_after_s))

    def _refuse(self, delivery: Delivery, reason: str) -> None:
        self._state.close(delivery, "refused")
        # The URL itself may hold a secret of the receiver's, so no line shows it.
        log.warning("webhook of %s: not delivered, %s", delivery.generation.id, reason)

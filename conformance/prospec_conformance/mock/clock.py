"""The mock's time: a clock that goes by itself and may be moved ahead. What is due on the way happens, in its order.

Here live no behaviour of the API and no HTTP.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Clock = Callable[[], float]
"""Seconds since the epoch."""


class SteerableClock:
    """Every wait of the mock is one of this clock's, so that moving it ahead ends the waits that are then over."""

    def __init__(self, source: Clock = time.time) -> None:
        self._source = source
        self._ahead = 0.0
        self._waiting: dict[int, tuple[float, asyncio.Event]] = {}
        """Those who sleep: when each is due, by `_steady`, and what wakes it."""
        self._numbers = itertools.count()
        self._working = 0

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self._source() + self._ahead

    def _steady(self) -> float:
        """Seconds that never go back, and move ahead as the clock does."""
        return time.monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Until that time has passed, by itself or because the clock was moved."""
        if seconds <= 0:
            return
        number, woken = next(self._numbers), asyncio.Event()
        self._waiting[number] = (self._steady() + seconds, woken)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await woken.wait()
        finally:
            self._waiting.pop(number, None)

    @contextmanager
    def work(self) -> Iterator[None]:
        """What is done here is waited for before the clock moves on."""
        self._working += 1
        try:
            yield
        finally:
            self._working -= 1

    async def advance(self, seconds: float) -> None:
        """Move ahead. Whoever is due on the way is woken at its own moment, and finishes before the next one."""
        await self._settled()
        target = self._steady() + seconds
        while self._waiting:
            number, (due, woken) = min(self._waiting.items(), key=lambda each: (each[1][0], each[0]))
            if due > target:
                break
            self._ahead += max(0.0, due - self._steady())
            del self._waiting[number]
            woken.set()
            await self._settled()
        self._ahead += max(0.0, target - self._steady())

    async def _settled(self) -> None:
        """Whoever was woken has begun its work by now, and all work is done."""
        for _ in range(8):
            await asyncio.sleep(0)
        while self._working:
            await asyncio.sleep(0.001)

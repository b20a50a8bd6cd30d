"""The mock's time: a clock that goes by itself, or only as a script moves it. What is due on the way happens, in order.

Here live no behaviour of the API and no HTTP.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Clock = Callable[[], float]
"""Seconds since the epoch."""

SCRIPT_STARTS_S = 1_767_225_600.0
"""2026-01-01T00:00:00Z, where a scripted clock begins."""
REQUEST_S = 0.1
"""How long a request takes by a scripted clock."""


class SteerableClock:
    """Every wait of the mock is one of this clock's, so that moving it ahead ends the waits that are then over.

    A scripted one stands still but for what its script does: a request takes `REQUEST_S`, a blocking call the time that
    its generation needs, and `advance` moves it.
    """

    def __init__(self, source: Clock = time.time, *, is_scripted: bool = False) -> None:
        self._is_scripted = is_scripted
        self._source: Clock = (lambda: SCRIPT_STARTS_S) if is_scripted else source
        self._going: Clock = (lambda: 0.0) if is_scripted else time.monotonic
        self.ahead_s = 0.0
        """How far it was moved, all together. May be set before anybody waits."""
        self._waiting: dict[int, asyncio.Event] = {}
        """Those who sleep, by number, and what wakes each."""
        self._due: list[tuple[float, int]] = []
        """A heap of when each is due, by `_steady`, and its number; also of some who sleep no longer."""
        self._numbers = itertools.count()
        self._working = 0

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self._source() + self.ahead_s

    def _steady(self) -> float:
        """Seconds that never go back, and move ahead as the clock does."""
        return self._going() + self.ahead_s

    def request(self) -> None:
        """A request has come: a scripted clock moves on by what it takes."""
        if self._is_scripted:
            self.ahead_s += REQUEST_S
            while self._wake_next(self._steady()):
                pass

    async def spend(self, seconds: float) -> None:
        """Until that time has passed for a caller who waits: a scripted clock moves on by it."""
        await (self.advance(seconds) if self._is_scripted else self.sleep(seconds))

    async def sleep(self, seconds: float) -> None:
        """Until that time has passed, by itself or because the clock was moved."""
        if seconds <= 0:
            return
        number, woken = next(self._numbers), asyncio.Event()
        self._waiting[number] = woken
        heapq.heappush(self._due, (self._steady() + seconds, number))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self._is_scripted else seconds):
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
        while self._wake_next(target):
            await self._settled()
        self.ahead_s += max(0.0, target - self._steady())

    def _wake_next(self, until: float) -> bool:
        """Moves to the next moment at which somebody is due, and wakes them; False if there is none by then."""
        while self._due and self._due[0][0] <= until:
            due, number = heapq.heappop(self._due)
            woken = self._waiting.pop(number, None)
            if woken is not None:
                self.ahead_s += max(0.0, due - self._steady())
                woken.set()
                return True
        return False

    async def _settled(self) -> None:
        """Whoever was woken has begun its work by now, and all work is done."""
        for _ in range(8):
            await asyncio.sleep(0)
        while self._working:
            await asyncio.sleep(0.001)

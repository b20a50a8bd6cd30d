"""uvicorn's server, but that it ends when it is told to, and not when it next looks, every tenth of a second.

Whoever starts many mocks, as a test-suite does, would wait for most of their time. Here lives nothing else.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import uvicorn

TICK_S = 0.1


class Server(uvicorn.Server):
    """It may be told so from another thread."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), TICK_S)

    def end(self) -> None:
        """Cuts off the requests that are still waiting, so that leaving never takes long."""
        self.should_exit = self.force_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._told.set)

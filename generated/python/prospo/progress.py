"""How far a batch is: a bar on a terminal, elsewhere a line now and then. To stderr. Here lives no batch."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from .errors import NotConfigured

if TYPE_CHECKING:
    from rich.progress import Progress

EVERY_S = 10.0
"""How long a line that is no bar stands, at least, before the next."""


class Bar:
    """Counts up to a total. None shows nothing. Only a terminal needs rich: raises NotConfigured without it."""

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._done = 0
        self._last = time.monotonic()
        self._stack = ExitStack()
        self._shown: Progress | None = None

    def __enter__(self) -> Self:
        if self._total is not None and sys.stderr.isatty():
            try:
                from rich.console import Console
                from rich.progress import Progress
            except ModuleNotFoundError:
                raise NotConfigured("a progress bar needs rich: pip install rich") from None
            self._shown = self._stack.enter_context(Progress(console=Console(stderr=True)))
            self._task = self._shown.add_task("generations", total=self._total)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        now = time.monotonic()
        if self._shown is not None:
            self._shown.advance(self._task)
        elif self._total is not None and (self._done == self._total or now - self._last >= EVERY_S):
            self._last = now
            print(f"{self._done} of {self._total} generations", file=sys.stderr, flush=True)

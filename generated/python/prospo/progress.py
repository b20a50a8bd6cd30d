"""A bar on a terminal, for a batch. Here lives no batch."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from .errors import NotConfigured

if TYPE_CHECKING:
    from rich.progress import Progress


class Bar:
    """Counts up to a total on stderr. None shows nothing, and rich is then not needed."""

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._stack = ExitStack()
        self._shown: Progress | None = None

    def __enter__(self) -> Self:
        if self._total is not None:
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
        if self._shown is not None:
            self._shown.advance(self._task)

"""What is made once and judged by many checks: an observation, or what kept it from being made.

Here live no requests and no expectations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from .implementation import NoAnswerError
from .outcome import Inconclusive
from .spend import SpendingRefusedError

T = TypeVar("T")


class Once:
    """Keeps observations by their names."""

    def __init__(self) -> None:
        self._kept: dict[str, object] = {}

    def __call__(self, name: str, make: Callable[[], T]) -> T:
        """What was made under that name, or made now. What ended the making is raised again, silence only once."""
        if name not in self._kept:
            try:
                self._kept[name] = make()
            except (Inconclusive, SpendingRefusedError) as error:
                self._kept[name] = error
            except NoAnswerError as error:
                # Silence is one finding, of the test that met it; to the others it is a want.
                self._kept[name] = Inconclusive(str(error))
                raise
        kept = self._kept[name]
        if isinstance(kept, Exception):
            raise kept
        return cast(T, kept)

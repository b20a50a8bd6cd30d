"""The random layer: draw requests, judge each, stop at the first finding.

Nothing is replayed or shrunk, and no example is kept: each request may cost money, and what is drawn is small already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from .outcome import Violation

_Drawn = TypeVar("_Drawn")


def explore(
    strategy: SearchStrategy[_Drawn], judge: Callable[[_Drawn], Violation | None], *, count: int, seed_: int
) -> None:
    """Judge `count` draws. Raises the first Violation, and whatever `judge` raises."""
    ended_by: list[Exception] = []

    @seed(seed_)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(strategy)
    def draw(drawn: _Drawn) -> None:
        if ended_by:
            return
        try:
            violation = judge(drawn)
        except Exception as error:
            # Hypothesis would send the request again to see whether it raises again.
            ended_by.append(error)
        else:
            ended_by.extend([violation] if violation else [])

    draw()
    if ended_by:
        raise ended_by[0]

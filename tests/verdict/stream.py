"""One stream of drawn bodies before every judge, in several processes; and what came of it.

What is drawn is in drawn.py, who judges in opinions.py. Here live no tests.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from drawn import draw
from test_bodies import LIMIT_S
from verdict.opinions import EXEMPTIONS, PYTHON, Judged, Node, judged
from verdict.shrinking import smallest

DRAWN = "the body as it was drawn"
"""Whose verdict is known by construction."""
PORTION = 500
"""Bodies that a process judges at a time."""
SHRUNK = 2
"""Disagreements of a portion that are made small: it takes thousands of verdicts."""


@dataclass(slots=True)
class Tally:
    """What came of some bodies."""

    count: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    exempted: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)
    slowest_s: dict[str, tuple[float, str]] = field(default_factory=dict)
    """Who -> the most CPU time that a body took, and how that was made."""

    def add(self, other: Tally) -> None:
        self.count += other.count
        self.kinds += other.kinds
        self.exempted += other.exempted
        self.found += other.found
        for who, taken in other.slowest_s.items():
            self.slowest_s[who] = max(self.slowest_s.get(who, (0.0, "")), taken)

    def lines(self) -> Iterator[str]:
        yield f"{self.count:,} bodies of {len(self.kinds)} kinds, {len(self.found)} findings"
        for name in EXEMPTIONS:
            yield f"exempted {self.exempted[name]:,} times: {name}"
        for who, (taken_s, made) in self.slowest_s.items():
            yield f"slowest for {who}: {1000 * taken_s:.1f} ms: {made}"
        yield from self.found


@cache
def _node(package: Path | None, limit_s: float) -> Node:
    """That of this process, in which from now on what is loaded already is no reason for a pause of the collector."""
    gc.collect()
    gc.freeze()
    return Node(package, limit_s)


def _portion(numbers: range, seed: int, package: Path | None, limit_s: float) -> Tally:
    return portion(numbers, seed, _node(package, limit_s), limit_s)


def portion(numbers: range, seed: int, by: Node, limit_s: float = LIMIT_S) -> Tally:
    """Judges the bodies of those numbers."""
    tally = Tally()
    drawn = [draw(number, seed) for number in numbers]
    for number, body, opinions in zip(numbers, drawn, judged([each.data for each in drawn], by, limit_s), strict=True):
        tally.count += 1
        tally.kinds[body.made.partition(":")[0]] += 1
        tally.exempted.update(opinions.exempted)
        if PYTHON in opinions.opinions and opinions.opinions[PYTHON].is_valid is body.is_error:
            opinions.found.append((DRAWN, f"valid is {not body.is_error}"))
        for who, taken_s in opinions.took_s.items():
            tally.slowest_s[who] = max(tally.slowest_s.get(who, (0.0, "")), (taken_s, f"{number}: {body.made}"))
        if opinions.found:
            is_shrunk = len(tally.found) < SHRUNK
            tally.found.append(describe(f"{number}: {body.made}", body.data, opinions, by, limit_s, is_shrunk))
    return tally


def describe(made: str, data: bytes, opinions: Judged, by: Node, limit_s: float, is_shrunk: bool) -> str:
    """A disagreement: the smallest body that still has it, with the opinion of each."""
    who = opinions.found[0][0]
    if is_shrunk and who != DRAWN:
        data = smallest(data, lambda less: who in judged([less], by, limit_s)[0].culprits)
        [opinions] = judged([data], by, limit_s)
    said = [f"    {who}: {difference}" for who, difference in opinions.found]
    all_say = (
        f"      {who}: {'valid' if each.is_valid else 'invalid'}"
        f"{'' if each.is_valid is each.is_clean else ', with warnings'}; first {each.first}"
        for who, each in opinions.opinions.items()
    )
    return "\n".join([f"{made}: {data[:500]!r}{'...' if len(data) > 500 else ''}", *said, *all_say])


def judge_all(
    count: int,
    *,
    seed: int,
    jobs: int,
    package: Path | None = None,
    limit_s: float = LIMIT_S,
    progress: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Judges bodies 0 to `count` of a seed in that many processes. `progress` hears after each portion."""
    whole = Tally()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        portions = [
            pool.submit(_portion, range(first, min(first + PORTION, count)), seed, package, limit_s)
            for first in range(0, count, PORTION)
        ]
        for each in as_completed(portions):
            whole.add(each.result())
            progress(whole)
    return whole

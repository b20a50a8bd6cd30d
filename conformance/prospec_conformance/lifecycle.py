"""The life of several generations at once: drawn programs of requests, polls and waits, and what must hold throughout.

This is a part of the random layer: its programs come from the seed of the run. Each requirement concerned has a test in
the suite, which reads its verdict here. Here live no requests of any other kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from prospec.example import request, smallest_params

from .explore import explore
from .generations import POLLS_AFTER_END, Generations, Observed
from .implementation import Exchange, NoAnswerError
from .money import fall_usd, is_paid
from .outcome import Inconclusive, Violation
from .spend import SpendingRefusedError

if TYPE_CHECKING:
    from .plugin import Run

RANK = {"queued": 0, "processing": 1, "completed": 2, "failed": 2}
"""A state, and how far on it is."""
LAST = 2
FEW = 3
"""Generations of the one program that is played where they cost money."""


def went_back(before: Any, after: Any) -> str | None:
    """What is wrong with a state after another one; None where nothing is, or where they are no states."""
    if not isinstance(before, str) or not isinstance(after, str) or before not in RANK or after not in RANK:
        return None
    if RANK[after] < RANK[before] or (RANK[before] == LAST and after != before):
        return f"status is {after!r} after {before!r}"
    return None


@dataclass(frozen=True, slots=True)
class Start:
    """A request for a generation."""

    pair: int
    """Which of the modes, counted round."""
    waits: bool
    """Whether it is synchronous."""
    fails: bool
    lasts_s: int
    """The last two are wishes, which a mock alone is told."""


@dataclass(frozen=True, slots=True)
class Poll:
    """A look at one of those that were begun, by the account or by the other one."""

    number: int
    """Which of them, counted round."""
    as_other: bool


@dataclass(frozen=True, slots=True)
class Pass:
    """Time passes, on a mock."""

    seconds: int


Step = Start | Poll | Pass

_numbers = st.integers(0, 15)
_starts: SearchStrategy[Step] = st.builds(Start, _numbers, st.booleans(), st.booleans(), st.integers(0, 20))
_polls: SearchStrategy[Step] = st.builds(Poll, _numbers, st.booleans())
_passes: SearchStrategy[Step] = st.builds(Pass, st.integers(1, 12))
PROGRAMS: SearchStrategy[list[Step]] = st.lists(st.one_of(_starts, _polls, _polls, _passes), min_size=8, max_size=20)


@dataclass(slots=True)
class Findings:
    """What the programs showed, by requirement."""

    broken: dict[str, Violation] = field(default_factory=dict)
    learned: set[str] = field(default_factory=set)
    """The requirements that something was seen of."""
    ended_by: Exception | None = None

    def judge(self, id: str) -> None:
        """Raises what was found, or Inconclusive where nothing was seen."""
        if id in self.broken:
            raise self.broken[id]
        if id not in self.learned:
            raise Inconclusive(str(self.ended_by) if self.ended_by else "no program has shown anything of it")

    def see(self, id: str, reason: str | None, *exchanges: Exchange) -> None:
        """Notes that something was seen, and what is wrong with it."""
        self.learned.add(id)
        if reason is not None:
            self.broken.setdefault(id, Violation(reason, *exchanges))


class Lifecycle:
    """Plays programs."""

    def __init__(self, run: Run, generations: Generations) -> None:
        self._run = run
        self._implementation = run.implementation
        self._generations = generations
        self._is_free = run.implementation.ledger.ceiling_usd is None
        self._found = Findings()
        self._by_id: dict[str, Exchange] = {}
        """The answer that gave each id."""

    def findings(self) -> Findings:
        """Plays them all. Raises Inconclusive where the random layer was not asked for."""
        if not self._run.examples:
            raise Inconclusive("needs --examples")
        count = self._run.examples if self._is_free else 1
        try:
            explore(PROGRAMS, self._play, count=count, seed_=self._run.seed)
        except Violation:
            pass  # it is among the findings
        except (Inconclusive, SpendingRefusedError, NoAnswerError) as error:
            self._found.ended_by = error
        return self._found

    def _play(self, program: Sequence[Step]) -> Violation | None:
        before = self._implementation.balance()
        begun: list[Observed] = []
        for step in program:
            match step:
                case Start():
                    if self._is_free or len(begun) < FEW:
                        self._start(step, begun)
                case Poll(number, as_other) if begun:
                    observed = begun[number % len(begun)]
                    if not as_other:
                        self._poll(observed)
                    elif self._implementation.target.second_api_key is not None:
                        self._look(observed)
                case Pass(seconds) if self._run.control:
                    self._generations.pass_time(seconds)
        for observed in begun:
            self._generations.finish(observed)
            for _ in range(POLLS_AFTER_END):
                self._poll(observed)
        self._count(begun, before)
        return next(iter(self._found.broken.values()), None)

    def _start(self, step: Start, begun: list[Observed]) -> None:
        modes = self._run.modes()
        model, mode = modes[step.pair % len(modes)] if self._is_free else modes[0]
        outcome = "slow=0" if step.waits else f"slow={step.lasts_s}"
        observed = self._generations.start(
            request(model, mode, smallest_params(mode)),
            switch="neither" if step.waits else "query",
            outcome=f"{outcome} fail" if step.fails else outcome,
        )
        if not observed.started.accepted:
            if observed.started.server_error:
                raise Inconclusive(f"a request was answered {observed.started.status}: what it costs is not known")
            return
        id = observed.id
        first = self._by_id.setdefault(id, observed.started)
        twice = first is not observed.started
        self._found.see("GEN-04", f"{id:.80} was given twice" if twice else None, first, observed.started)
        begun.append(observed)

    def _poll(self, observed: Observed) -> None:
        self._generations.poll(observed)
        self._judge(observed)

    def _judge(self, observed: Observed) -> None:
        """All that was shown of one generation so far."""
        shown = [observed.started, *observed.shown]
        for before, after in pairwise(shown):
            self._found.see("ASYNC-15", went_back(before.member("status"), after.member("status")), before, after)
            other = [name for name in ("generation_id", "model", "mode") if shown[0].member(name) != after.member(name)]
            self._found.see("ASYNC-12", f"{', '.join(other)} differ" if other else None, shown[0], after)
        completed = [each for each in shown if each.member("status") == "completed"]
        for before, after in pairwise(completed):
            changed = before.member("cost_usd") != after.member("cost_usd")
            self._found.see("ASYNC-19", "cost_usd has changed" if changed else None, before, after)

    def _look(self, observed: Observed) -> None:
        """As the other account."""
        headers = self._implementation.bearer(self._implementation.target.second_api_key)
        exchange = self._generations.look(observed, headers)
        if exchange.accepted or exchange.status == 404:
            reason = f"another account was answered {exchange.status}, expected 404" if exchange.accepted else None
            self._found.see("ASYNC-28", reason, observed.started, exchange)

    def _count(self, begun: Sequence[Observed], before: Exchange) -> None:
        """Whether the account has lost what the generations have cost."""
        after = self._implementation.balance()
        costs = [each.cost_usd for each in begun]
        known = [cost for cost in costs if cost is not None]
        if not begun or len(known) < len(costs):
            return
        if not is_paid(before, after, known):
            self._generations.let_settle()
            after = self._implementation.balance()
        if is_paid(before, after, known):
            self._found.see("BAL-06", None)
        elif self._is_free:
            fall = fall_usd(before, after)
            reason = f"the balance fell by {fall} USD, and {len(known)} generations cost {sum(known)} USD"
            self._found.see("BAL-06", reason, before, after)

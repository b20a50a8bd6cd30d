"""Money: what may be spent, what was, and what nobody knows yet. Here lives no price and no HTTP."""

from __future__ import annotations

import threading
from decimal import Decimal

from .errors import OverBudget


class Hold:
    """The money of one request, from before it is sent until its cost is known."""

    def __init__(self, budget: Budget, largest_usd: Decimal, *, outer: Hold | None = None) -> None:
        self.largest_usd = largest_usd
        self._budget = budget
        self._outer = outer

    @property
    def is_settled(self) -> bool:
        """Whether its cost is known."""
        return self._budget._is_settled(self)

    def settle(self, cost_usd: Decimal) -> None:
        """What it cost in the end. Once only: what comes later changes nothing."""
        self._budget._settle(self, cost_usd)
        if self._outer is not None:
            self._outer.settle(cost_usd)

    def release(self) -> None:
        """It costs nothing: it was not sent, refused, or refunded."""
        self.settle(Decimal(0))


class Budget:
    """The sum of what requests cost, kept below a limit. Any number of threads may share one.

    What is under way or of unknown outcome counts with the most that it may cost.
    """

    def __init__(self, limit_usd: Decimal | None = None, *, within: Budget | None = None) -> None:
        self.limit_usd = limit_usd
        self._within = within
        self._lock = threading.Lock()
        self._spent_usd = Decimal(0)
        self._held: set[Hold] = set()

    @property
    def spent_usd(self) -> Decimal:
        """The sum of every cost that is known."""
        with self._lock:
            return self._spent_usd

    @property
    def held_usd(self) -> Decimal:
        """The most that what is under way, or of unknown outcome, may cost."""
        with self._lock:
            return self._sum_held()

    def hold(self, largest_usd: Decimal | None) -> Hold:
        """Set the largest cost of a request aside. Raises OverBudget where that is too much, or is not published."""
        outer = None if self._within is None else self._within.hold(largest_usd)
        try:
            with self._lock:
                if self.limit_usd is not None:
                    self._check(self.limit_usd, largest_usd)
                hold = Hold(self, largest_usd or Decimal(0), outer=outer)
                self._held.add(hold)
                return hold
        except OverBudget:
            if outer is not None:
                outer.release()
            raise

    def resume(self, largest_usd: Decimal | None) -> Hold:
        """The money of what was sent before, maybe by another process: it counts, and is never too much."""
        hold = Hold(self, largest_usd or Decimal(0))
        with self._lock:
            self._held.add(hold)
        return hold

    def _check(self, limit_usd: Decimal, largest_usd: Decimal | None) -> None:
        held_usd = self._sum_held()
        if largest_usd is None:
            raise OverBudget("what this request costs is not published, so that no budget can be kept with it")
        if self._spent_usd + held_usd + largest_usd > limit_usd:
            raise OverBudget(
                f"this request may cost {largest_usd} USD; of the budget of {limit_usd} USD, {self._spent_usd} are "
                f"spent, and {held_usd} set aside for what is under way or of unknown outcome"
            )

    def _sum_held(self) -> Decimal:
        return sum((hold.largest_usd for hold in self._held), Decimal(0))

    def _is_settled(self, hold: Hold) -> bool:
        with self._lock:
            return hold not in self._held

    def _settle(self, hold: Hold, cost_usd: Decimal) -> None:
        with self._lock:
            if hold in self._held:
                self._held.remove(hold)
                self._spent_usd += cost_usd

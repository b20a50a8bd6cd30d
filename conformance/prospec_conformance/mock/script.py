"""Which generate requests meet which outcome, by rules instead of by their own wish. Here live no HTTP and no file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .outcomes import Wish


@dataclass(frozen=True, slots=True)
class Rule:
    """Which requests meet which outcome."""

    wish: Wish
    model: str | None = None
    mode: str | None = None
    account: str | None = None
    """Each of the three: None for any."""
    after: int = 0
    """How many requests pass by it first."""
    times: int | None = None
    """How many meet the outcome then; None for all."""

    def is_about(self, model: str, mode: str, account: str) -> bool:
        return self.model in (None, model) and self.mode in (None, mode) and self.account in (None, account)

    def is_due(self, passed: int) -> bool:
        """Whether the next request meets the outcome, after so many that came to this rule."""
        return self.after <= passed and (self.times is None or passed < self.after + self.times)


class Script:
    """The rules, and how many requests came to each."""

    def __init__(self, rules: Sequence[Rule], came: Counter[str]) -> None:
        """`came` keeps the numbers, under names of its own: `rule 0` and so on."""
        self._rules = rules
        self._came = came

    def outcome(self, model: str, mode: str, account: str) -> Wish | None:
        """What the next request of this kind meets: the outcome of the first rule that is about it and due.

        A request comes to a rule only past those before it, so that rules stand for one another's next turn: of two
        that are about everything, once each, the first is for the first request and the second for the second.
        """
        for number, rule in enumerate(self._rules):
            if rule.is_about(model, mode, account):
                passed = self._came[f"rule {number}"]
                self._came[f"rule {number}"] += 1
                if rule.is_due(passed):
                    return rule.wish
        return None

"""What the suite finds: a verdict for each requirement × model × mode × field, and their sum for each requirement.

Here live no I/O and no checks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import Literal

from prospec.ir import Level, Requirement

from .implementation import Exchange

Outcome = Literal["error", "failed", "warned", "passed", "skipped"]
WORST_FIRST: tuple[Outcome, ...] = ("error", "failed", "warned", "passed", "skipped")
"""Of several verdicts the first of these is their sum. One that passed counts more than any that were skipped."""


class Violation(AssertionError):  # noqa: N818 - a finding about the implementation, not an error of ours
    """The implementation broke a requirement."""

    def __init__(self, reason: str, *exchanges: Exchange, level: Level = Level.MUST) -> None:
        super().__init__(reason)
        self.reason = reason
        self.exchanges = exchanges
        self.level = level
        """SHOULD where what was broken is inferred, assumed or rests on a gap, whatever the requirement's level is."""


class Inconclusive(Exception):  # noqa: N818 - a finding about the run
    """Nothing was learned, for want of something."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judgement."""

    requirement: str
    model: str | None
    mode: str | None
    field: str | None
    outcome: Outcome
    reason: str | None = None
    exchanges: tuple[Exchange, ...] = dataclasses.field(default=(), repr=False)

    @property
    def where(self) -> str:
        return " ".join(part for part in (self.model, self.mode, self.field) if part)

    @property
    def id(self) -> str:
        return finding_id(self.requirement, self.model, self.mode, self.field)


def finding_id(requirement: str, model: str | None, mode: str | None, field: str | None) -> str:
    """What a judgement is called, the same in every run: PARAM-05-1f3b92aa."""
    place = json.dumps([requirement, model, mode, field])
    return f"{requirement}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class Summed:
    """All that was judged of one requirement."""

    requirement: Requirement
    outcome: Outcome
    verdicts: tuple[Verdict, ...]
    is_checked: bool = True
    """Whether the suite has a check for it."""

    @property
    def reason(self) -> str | None:
        """The reasons of the verdicts that made the outcome, each once; without a verdict, why there is none."""
        if self.requirement.unverifiable:
            return f"no program can check it: {self.requirement.unverifiable}"
        if not self.is_checked:
            return "the suite has no check for it yet"
        if not self.verdicts:
            return "nothing that was asked for bears on it, or the run ended before"
        reasons = [
            f"{verdict.where}: {verdict.reason}" if verdict.where else verdict.reason
            for verdict in self.verdicts
            if verdict.outcome == self.outcome and verdict.reason
        ]
        return "; ".join(dict.fromkeys(reasons)) or None


def summed(requirements: Iterable[Requirement], verdicts: Iterable[Verdict], checked: Set[str]) -> list[Summed]:
    """The outcome of each requirement, in their order; those that were not judged are skipped.

    `checked` are the ids that the suite has a check for.
    """
    by_id: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_id.setdefault(verdict.requirement, []).append(verdict)
    out = []
    for requirement in requirements:
        of = tuple(by_id.get(requirement.id, ()))
        out.append(Summed(requirement, worst(verdict.outcome for verdict in of), of, requirement.id in checked))
    return out


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The sum of several outcomes; skipped for none."""
    found = set(outcomes)
    for outcome in WORST_FIRST:
        if outcome in found:
            return outcome
    return "skipped"

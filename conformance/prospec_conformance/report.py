"""What a run found, as one document that every report is made from. Here live no I/O, no judgement and no layout.

No key, secret, token or signed URL gets into it: what anybody sent or answered passes `Report.redact`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .curl import command
from .implementation import Exchange, Target
from .outcome import Outcome, Summed, Verdict
from .readings import endpoint, readings
from .redaction import Redaction
from .reports import text

if TYPE_CHECKING:
    from prospec.ir import Spec

    from .confirm import Again
    from .known import Known

SHOWN = 2000
"""Characters of a body that a report keeps."""
MOST_BYTES = 100_000
"""Of a body that are looked at for that: an output may have many."""
SHOWN_REASON = 2000
LONG_NAME = 16
"""Characters of a name in an address from which on it is hard to guess."""
EVIDENCE = 5
"""Exchanges that a report keeps of one verdict."""


@dataclass(frozen=True)
class Report:
    """A finished run."""

    target: Target
    seed: int
    complete: bool
    spend_usd: float
    requests: int
    seconds: float
    summed: tuple[Summed, ...]
    examples: int = 0
    started_s: float = 0.0
    """Since the epoch."""
    spec: Spec | None = field(default=None, repr=False)
    """What it was judged by; without it there are no readings."""
    exchanges: tuple[Exchange, ...] = field(default=(), repr=False)
    """All that was sent, in its order."""
    again: Mapping[str, Again] = field(default_factory=dict, repr=False)
    """What became of findings that were tried again, by their ids."""
    known: Known | None = None
    """What became of the findings that are known; None where nobody said so."""

    @property
    def counts(self) -> dict[Outcome, int]:
        """Requirements by outcome."""
        found = Counter(each.outcome for each in self.summed)
        return {outcome: found[outcome] for outcome in ("passed", "failed", "warned", "skipped", "error")}

    @property
    def executed(self) -> int:
        """Verdicts that were reached."""
        return sum(1 for each in self.summed for verdict in each.verdicts if verdict.outcome != "skipped")

    @property
    def is_news(self) -> bool:
        """Whether a MUST is broken that nobody knew of, or what was said to be broken is not, or no longer excused."""
        if self.known is None:
            return bool(self.counts["failed"])
        failed = [verdict for each in self.summed for verdict in each.verdicts if verdict.outcome == "failed"]
        return self.known.is_stale or any(verdict.id not in self.known.reasons for verdict in failed)

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """What every report is made from, as spec/schema/report.json describes it."""
        return _document(self)

    @cached_property
    def redact(self) -> Redaction:
        """Takes the secrets of this run out of a text."""
        initiated = [each for each in self.exchanges if endpoint(each) == "initiateUpload" and each.accepted]
        tokens = {str(each.member("token") or "") for each in initiated}
        # Who has the place of an upload may need no more.
        places = {str(each.member("upload_url") or "").rpartition("/")[2] for each in initiated}
        return Redaction(self.target.secrets, tokens | {place for place in places if len(place) >= LONG_NAME})


def _document(report: Report) -> dict[str, Any]:
    return {
        "target": report.redact(report.target.base_url),
        "seed": report.seed,
        "examples": report.examples,
        "started_s": round(report.started_s, 3),
        "complete": report.complete,
        "summary": report.counts,
        "verdicts": dict(Counter(verdict.outcome for each in report.summed for verdict in each.verdicts)),
        "spend_usd": report.spend_usd,
        "requests": report.requests,
        "seconds": round(report.seconds, 3),
        "requirements": [_requirement(each, report) for each in report.summed],
        "known_failing": _known(report),
        "readings": [
            {
                "gap": each.gap,
                "topic": each.topic,
                "consistent": each.is_consistent,
                "seen": {name: dict(counts) for name, counts in each.seen.items()},
            }
            for each in (readings(report.exchanges, report.spec) if report.spec else ())
        ],
    }


def _requirement(each: Summed, report: Report) -> dict[str, Any]:
    requirement = each.requirement
    verdicts = [_verdict(verdict, report) for verdict in each.verdicts]
    shown = [evidence for verdict in verdicts if verdict["outcome"] == each.outcome for evidence in verdict["evidence"]]
    return {
        "id": requirement.id,
        "level": str(requirement.level),
        "area": requirement.area,
        "statement": requirement.statement,
        "source": requirement.section,
        "gap": requirement.gap,
        "unverifiable": requirement.unverifiable,
        "checked": each.is_checked,
        "outcome": each.outcome,
        "reason": _reason(each.reason, report),
        "evidence": shown[:3],
        "verdicts": verdicts,
    }


def _verdict(verdict: Verdict, report: Report) -> dict[str, Any]:
    again = report.again.get(verdict.id)
    is_finding = verdict.outcome in ("failed", "warned")
    return {
        "id": verdict.id,
        "model": verdict.model,
        "mode": verdict.mode,
        "field": verdict.field,
        "outcome": verdict.outcome,
        "reason": _reason(verdict.reason, report),
        "evidence": [_exchange(exchange, report) for exchange in verdict.exchanges[:EVIDENCE]],
        "known": report.known.reasons.get(verdict.id) if report.known and is_finding else None,
        "again": _again(again, report) if again and is_finding else None,
    }


def _again(again: Again, report: Report) -> dict[str, Any]:
    return {
        "seen": again.seen,
        "reason": _reason(again.reason, report),
        "smallest": _exchange(again.smallest, report) if again.smallest else None,
    }


def _reason(text: str | None, report: Report) -> str | None:
    return report.redact.beginning(text, SHOWN_REASON) if text else None


def _exchange(exchange: Exchange, report: Report) -> dict[str, Any]:
    """A request as a command, and its answer. `runnable`: as it stands, with the keys in the environment."""
    shell = command(exchange, report.target, report.redact)
    return {
        "curl": shell.text,
        "runnable": shell.is_whole,
        "status": exchange.status,
        "answer": report.redact.beginning(exchange.body[:MOST_BYTES].decode("utf-8", "replace"), SHOWN),
    }


def _known(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "requirement": entry.requirement,
            "model": entry.model,
            "mode": entry.mode,
            "field": entry.field,
            "reason": entry.reason,
            "expires": entry.expires.isoformat(),
            "place": entry.place,
            "state": state,
        }
        for entry, state in (report.known.states if report.known else ())
    ]


def as_json(report: Report) -> str:
    """report.json, as text."""
    return json.dumps(report.document, indent=2, ensure_ascii=True) + "\n"


def as_text(report: Report) -> str:
    """For a terminal."""
    return text.render(report.document)


def conclusion(report: Report) -> str:
    """One line."""
    judged = Counter(each.outcome for each in report.summed if each.is_checked)
    counts = ", ".join(f"{judged[outcome]} {outcome}" for outcome in report.counts if judged[outcome])
    if unjudged := sum(1 for each in report.summed if not each.is_checked):
        counts = f"{counts or 'nothing judged'}; {unjudged} requirements not judged"
    if report.known:
        states = Counter(state for _, state in report.known.states)
        told = ", ".join(f"{count} {state}" for state, count in states.items()) or "none"
        counts = f"{counts}; known failures: {told}"
    money = f", {report.spend_usd:.2f} USD spent" if report.spend_usd else ""
    unfinished = "" if report.complete else " The run was not finished."
    return f"{counts}; {report.requests} requests in {report.seconds:.1f} s{money}.{unfinished}"

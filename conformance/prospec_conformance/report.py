"""What a run found, as JSON for programs and as text for people. Here live no I/O and no judgement.

No key, secret, token or signed URL gets into either: what is shown of an exchange passes `redact`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .implementation import Exchange, Target
from .outcome import WORST_FIRST, Outcome, Summed, Verdict

SHOWN = 2000
"""Characters of a body that a report keeps."""
_SECRET = re.compile(r"prsp-[A-Za-z0-9_-]+|pl-upload-[0-9A-Za-z_-]+|(?<=[?&]token=)[^\"'&\s\\]+")
_MARK = "[redacted]"


@dataclass(frozen=True, slots=True)
class Report:
    """A finished run."""

    target: Target
    seed: int
    complete: bool
    spend_usd: float
    requests: int
    seconds: float
    summed: tuple[Summed, ...]

    @property
    def counts(self) -> dict[Outcome, int]:
        """Requirements by outcome."""
        found = Counter(each.outcome for each in self.summed)
        return {outcome: found[outcome] for outcome in ("passed", "failed", "warned", "skipped", "error")}

    @property
    def executed(self) -> int:
        """Verdicts that were reached."""
        return sum(1 for each in self.summed for verdict in each.verdicts if verdict.outcome != "skipped")


def redact(text: str, target: Target) -> str:
    """Text without any of the run's secrets, and without anything of the form of one."""
    for secret in target.secrets:
        text = text.replace(secret, _MARK)
    return _SECRET.sub(_MARK, text)


def as_json(report: Report) -> str:
    """report.json."""
    document = {
        "target": redact(report.target.base_url, report.target),
        "seed": report.seed,
        "complete": report.complete,
        "summary": report.counts,
        "verdicts": dict(Counter(verdict.outcome for each in report.summed for verdict in each.verdicts)),
        "spend_usd": report.spend_usd,
        "requests": report.requests,
        "seconds": round(report.seconds, 3),
        "requirements": [_requirement(each, report.target) for each in report.summed],
    }
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def _requirement(each: Summed, target: Target) -> dict[str, Any]:
    requirement = each.requirement
    shown = [exchange for verdict in each.verdicts if verdict.outcome == each.outcome for exchange in verdict.exchanges]
    return {
        "id": requirement.id,
        "level": str(requirement.level),
        "area": requirement.area,
        "statement": requirement.statement,
        "source": requirement.section,
        "gap": requirement.gap,
        "unverifiable": requirement.unverifiable,
        "outcome": each.outcome,
        "reason": redact(each.reason, target) if each.reason else None,
        "evidence": [exchange_as_json(exchange, target) for exchange in shown[:3]],
        "verdicts": [_verdict(verdict, target) for verdict in each.verdicts],
    }


def _verdict(verdict: Verdict, target: Target) -> dict[str, Any]:
    known = {"model": verdict.model, "mode": verdict.mode, "field": verdict.field, "outcome": verdict.outcome}
    return {
        **known,
        "reason": redact(verdict.reason, target) if verdict.reason else None,
        "evidence": [exchange_as_json(exchange, target) for exchange in verdict.exchanges],
    }


def exchange_as_json(exchange: Exchange, target: Target) -> dict[str, Any]:
    """A request as curl, which runs as it stands with the key in the environment, and its answer."""
    body = exchange.body[:SHOWN].decode("utf-8", "replace")
    return {
        "curl": redact(curl(exchange, target), target),
        "status": exchange.status,
        "answer": redact(body, target),
    }


def curl(exchange: Exchange, target: Target) -> str:
    """The request for a shell. The key stands as $PROSPOLABS_API_KEY."""
    parts = ["curl", "-sS", "-i", "-X", exchange.method, shlex.quote(target.base_url + exchange.path)]
    for name, value in exchange.sent_headers.items():
        header = f"{name}: {value}".replace(target.api_key, "$PROSPOLABS_API_KEY")
        parts += ["-H", f'"{header}"' if "$PROSPOLABS_API_KEY" in header else shlex.quote(header)]
    if isinstance(exchange.sent, bytes):
        parts += ["--data-binary", shlex.quote(exchange.sent[:SHOWN].decode("utf-8", "replace"))]
    elif exchange.sent is not None:
        parts += ["--data-binary", shlex.quote(json.dumps(exchange.sent)[:SHOWN])]
    return " ".join(parts)


def as_text(report: Report) -> str:
    """The verdict of each requirement, a line each, and under a finding where it was found."""
    lines = []
    for each in report.summed:
        if not each.is_checked:
            continue
        count = Counter(verdict.outcome for verdict in each.verdicts)
        places = ", ".join(f"{count[outcome]} {outcome}" for outcome in WORST_FIRST if count[outcome])
        lines.append(f"{each.outcome:7} {each.requirement.id:8} {each.requirement.statement} ({places})")
        if each.outcome != "passed":
            lines += _findings(each, report.target)
    return "\n".join(lines + _unjudged(report))


def _unjudged(report: Report) -> list[str]:
    """The requirements that the suite cannot judge, by area."""
    lines = []
    for why, is_beyond in (("no check yet", False), ("checked by no program", True)):
        left = [each.requirement for each in report.summed if not each.is_checked]
        ids = [each.id for each in left if bool(each.unverifiable) is is_beyond]
        if ids:
            areas = Counter(id.partition("-")[0] for id in ids)
            lines.append(f"{why}: {', '.join(f'{area} {count}' for area, count in areas.items())}")
    return lines


def _findings(each: Summed, target: Target) -> Sequence[str]:
    """Where and why, equal reasons together."""
    places: dict[str, list[str]] = {}
    for verdict in each.verdicts:
        if verdict.outcome == each.outcome and verdict.reason:
            places.setdefault(redact(verdict.reason, target), []).append(verdict.where)
    return [
        f"          {', '.join(filter(None, where[:4])) or each.requirement.section}"
        f"{f' and {len(where) - 4} more' if len(where) > 4 else ''}: {_plain(reason)}"
        for reason, where in places.items()
    ]


def _plain(text: str) -> str:
    """Without control characters: what a server said never steers a terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)[:400]


def conclusion(report: Report) -> str:
    """One line."""
    judged = Counter(each.outcome for each in report.summed if each.is_checked)
    counts = ", ".join(f"{judged[outcome]} {outcome}" for outcome in report.counts if judged[outcome])
    if unjudged := sum(1 for each in report.summed if not each.is_checked):
        counts = f"{counts or 'nothing judged'}; {unjudged} requirements not judged"
    money = f", {report.spend_usd:.2f} USD spent" if report.spend_usd else ""
    unfinished = "" if report.complete else " The run was not finished."
    return f"{counts}; {report.requests} requests in {report.seconds:.1f} s{money}.{unfinished}"

"""`prospec quote`: what requests would cost, one by one and in all. Here lives no price: the binding has those."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

from prospo.price import Quote

from .judging import Verdict, exit_code, verdicts
from .terminal import plain, say


def run(files: Sequence[str], *, format: Literal["text", "json"]) -> int:
    """Quote every request of every file, print, and return the exit code."""
    seen: Counter[str] = Counter()
    total = _Total()
    for verdict in verdicts(files, seen):
        seen["invalid"] += not verdict.valid
        if verdict.quote is not None:
            total.add(verdict.quote)
        print(_json(verdict) if format == "json" else _text(verdict))
    say(total.conclusion(seen), "red" if seen["invalid"] else None)
    return exit_code(seen)


class _Total:
    """The sum over all requests, and how much of it is documented."""

    def __init__(self) -> None:
        self.low = self.high = self.documented_low = self.documented_high = Decimal(0)
        self.unpriced = 0

    def add(self, quote: Quote) -> None:
        if quote.low_usd is None or quote.high_usd is None:
            self.unpriced += 1
            return
        self.low += quote.low_usd
        self.high += quote.high_usd
        if quote.evidence == "documented":
            self.documented_low += quote.low_usd
            self.documented_high += quote.high_usd

    def conclusion(self, seen: Counter[str]) -> str:
        parts = [f"{seen['requests']:,} requests, {_usd(self.low, self.high)}"]
        parts.append(f"documented: {_usd(self.documented_low, self.documented_high)}")
        if self.unpriced:
            parts.append(f"{self.unpriced:,} without a published price, not counted")
        if seen["invalid"]:
            parts.append(f"{seen['invalid']:,} invalid, not counted: see `prospec validate`")
        return "; ".join(parts)


def _usd(low: Decimal, high: Decimal) -> str:
    return f"{_amount(low)} USD" if low == high else f"{_amount(low)} to {_amount(high)} USD"


def _amount(usd: Decimal) -> str:
    """At least cents, and no digit less than there are."""
    text = f"{usd.normalize():f}"
    decimals = len(text.partition(".")[2])
    return text if decimals >= 2 else f"{usd:.2f}"


def _text(verdict: Verdict) -> str:
    where = f"{plain(verdict.file)}:{verdict.line}"
    named = plain(" ".join(part for part in (verdict.model, verdict.mode) if part))
    quote = verdict.quote
    if quote is None:
        count = len(verdict.problems)
        invalid = f"invalid, {count} problem{'' if count == 1 else 's'}"
        return ": ".join(part for part in (where, named, invalid) if part)
    if quote.low_usd is None or quote.high_usd is None:
        return f"{where}: {named}: {'; '.join(quote.notes)}"
    said = f"{_usd(quote.low_usd, quote.high_usd)} {quote.evidence}"
    if quote.usd is not None and (quote.low_usd != quote.high_usd or quote.usd_evidence != quote.evidence):
        said += f"; most likely {_usd(quote.usd, quote.usd)}, {quote.usd_evidence}"
    return f"{where}: {named}: {said}" + "".join(f"; {note}" for note in quote.notes)


def _json(verdict: Verdict) -> str:
    quote = verdict.quote
    known: dict[str, Any] = {"file": verdict.file, "line": verdict.line, "valid": verdict.valid}
    known |= {"model": verdict.model, "mode": verdict.mode}
    figures = ("low_usd", "high_usd", "evidence", "usd", "usd_evidence", "unit")
    for name in figures:
        value = None if quote is None else getattr(quote, name)
        known[name] = float(value) if isinstance(value, Decimal) else value
    return json.dumps({**known, "notes": [] if quote is None else quote.notes})

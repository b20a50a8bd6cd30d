"""Tries findings again: one of each requirement is judged anew, and the request that shows it is made smaller.

Everything is sent through the implementation, so the ceiling holds, and what it lets through is all that is sent.
Here live no expectations: the checks judge, and the schemas say whether a smaller request breaks the same rules.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .breaches import Breaches
from .implementation import Exchange, Implementation, NoAnswerError
from .mock.outcomes import HEADER as OUTCOME_HEADER
from .outcome import Outcome, Verdict
from .plugin import Run
from .readings import endpoint
from .spend import SpendingRefusedError

MOST_FINDINGS = 40
"""That are tried again in one run: at 60 requests a minute each may take some."""
MOST_REQUESTS = 10
"""For making one request smaller."""
Seen = Literal["confirmed", "not seen again", "not tried again"]
_WORST_FIRST: tuple[Outcome, ...] = ("failed", "warned")


@dataclass(frozen=True, slots=True)
class Again:
    """What became of a finding when it was tried again."""

    seen: Seen
    reason: str | None = None
    smallest: Exchange | None = None
    """The smallest request that still shows it, with its answer; None where no part of it could be left out by rule."""


def confirm(first: Run, implementation: Implementation, session: Callable[[Run], None]) -> dict[str, Again]:
    """Try findings of a run again, by their ids.

    `implementation` has seen no exchange yet, and shares the ledger of the run; `session` runs the checks that are
    named in the `findings` of a run.
    """
    chosen = {verdict.id: verdict for verdict in _one_each(first.verdicts)}
    too_many = list(chosen)[: max(0, len(chosen) - MOST_FINDINGS)]
    found = dict.fromkeys(too_many, Again("not tried again", f"{MOST_FINDINGS} others were"))
    for id, verdict in chosen.items():
        if id not in found and verdict.requirement in first.looking_back:
            missing = _send_again(implementation, verdict)
            if missing is not None:
                found[id] = Again("not tried again", missing)
    again = dataclasses.replace(
        first,
        implementation=implementation,
        on_verdict=lambda verdict: None,
        verdicts=[],
        probes={},
        findings=frozenset(chosen.keys() - found.keys()),
    )
    if again.findings:
        session(again)
    breaches = Breaches(first.spec)
    for id in again.findings or ():
        judged = [verdict for verdict in again.verdicts if verdict.id == id]
        found[id] = _seen_again(judged, implementation, breaches)
    return found


def _one_each(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The first of the worst findings of each requirement. The least of them come first."""
    chosen: dict[str, Verdict] = {}
    for outcome in _WORST_FIRST:
        for verdict in verdicts:
            if verdict.outcome == outcome:
                chosen.setdefault(verdict.requirement, verdict)
    return sorted(chosen.values(), key=lambda verdict: _WORST_FIRST.index(verdict.outcome), reverse=True)


def _send_again(implementation: Implementation, verdict: Verdict) -> str | None:
    """Send what a check that looks back has found; the reason where that cannot be done."""
    for exchange in verdict.exchanges[:1]:
        name = endpoint(exchange)
        headers = dict(exchange.sent_headers)
        if OUTCOME_HEADER in headers:
            # It may have been told to take minutes, and nobody moves the clock meanwhile.
            return "a mock was told what comes of it"
        try:
            if name == "generate":
                if exchange.accepted and implementation.ledger.ceiling_usd is not None:
                    return "an accepted request would be paid for again"
                implementation.generate(
                    exchange.sent,
                    expects_refusal=not exchange.accepted,
                    asynchronous="async=true" in exchange.path,
                    says_false="async=false" in exchange.path,
                    headers=headers,
                )
            elif name in ("other", "putUpload"):
                return "it cannot be sent by itself"
            else:
                implementation.send(exchange.method, exchange.path, sent=exchange.sent, headers=headers)
        except (NoAnswerError, SpendingRefusedError) as error:
            return str(error)
        return None
    return "it is no matter of one request"


def _seen_again(verdicts: list[Verdict], implementation: Implementation, breaches: Breaches) -> Again:
    """What the second judgement says."""
    broken = [verdict for verdict in verdicts if verdict.outcome in _WORST_FIRST]
    if broken:
        exchanges = broken[0].exchanges
        return Again("confirmed", None, smaller(exchanges[0], implementation, breaches) if exchanges else None)
    if any(verdict.outcome == "passed" for verdict in verdicts):
        return Again("not seen again", "the second time it was as it should be")
    reasons = [verdict.reason for verdict in verdicts if verdict.reason]
    return Again("not tried again", reasons[0] if reasons else "the run ended before")


def smaller(exchange: Exchange, implementation: Implementation, breaches: Breaches) -> Exchange | None:
    """The same with whatever can be left out: what the request breaks and the status of the answer stay.

    None where these do not say what is wrong with the exchange, as with a valid request that is accepted.
    """
    if endpoint(exchange) != "generate" or not isinstance(exchange.sent, dict):
        return None
    broken = breaches.of(exchange.sent)
    if exchange.accepted and not broken:
        return None
    must_be_refused = bool(breaches.of(exchange.sent, strict=False))
    tried = 0
    for left_out in _parts(exchange.sent):
        request = _without(exchange.sent, left_out)
        if breaches.of(request) != broken or tried >= MOST_REQUESTS:
            continue
        tried += 1
        try:
            answer = implementation.generate(
                request,
                expects_refusal=must_be_refused,
                asynchronous="async=true" in exchange.path,
                says_false="async=false" in exchange.path,
                headers=dict(exchange.sent_headers),
            )
        except (NoAnswerError, SpendingRefusedError):
            break
        if answer.status == exchange.status:
            exchange = answer
    return exchange


def _parts(request: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The members that may be left out, each by its path."""
    yield from ((name,) for name in request if name not in ("model", "mode", "params"))
    params = request.get("params")
    if isinstance(params, dict):
        yield from (("params", name) for name in params)


def _without(request: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    name, *rest = path
    if rest:
        return {**request, name: _without(request[name], tuple(rest))}
    return {key: value for key, value in request.items() if key != name}

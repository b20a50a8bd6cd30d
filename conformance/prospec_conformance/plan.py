"""What a run would send and cost, without sending anything: the very suite, dry, on the embedded mock.

The mock stands for an implementation that keeps every promise and takes its time; its clock moves where a run would
wait. Here live no checks and no prices.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from prospec.ir import Spec

from .control import Control
from .implementation import Exchange, Implementation, Target
from .mock import MockConfig, serve
from .outcome import Verdict
from .readings import endpoint
from .run import Options, run
from .spend import MOST_USD, WRONGLY_ACCEPTED, WRONGLY_ACCEPTED_IN_ALL, estimate_usd, mode_of

PROCESSING_S = 60.0
"""How long a generation takes in a plan. The documentation lets a caller wait 180 s."""
DRY_SEED = 1
"""Of the dry mock, and of the random requests unless one is asked for. The mock's time then moves by requests alone."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one area sends. An observation that several areas read counts where it is made."""

    requests: int = 0
    billable: int = 0
    """Generate requests that are accepted."""
    most_usd: Decimal = Decimal(0)
    """The most that those cost by the published prices."""

    def __add__(self, other: Share) -> Share:
        return Share(self.requests + other.requests, self.billable + other.billable, self.most_usd + other.most_usd)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run sends."""

    max_spend_usd: Decimal
    areas: Mapping[str, Share]
    """By area, in the order of the requirements."""
    at_worst_usd: Decimal
    """What an implementation can charge that accepts what it must refuse."""
    enough_usd: Decimal
    """The --max-spend under which nothing is left out for want of money."""
    judged: int
    """Requirements that get a verdict."""
    per_minute: int

    @property
    def total(self) -> Share:
        return sum(self.areas.values(), Share())

    def minutes(self, requests: int) -> int:
        """How long so many requests take at the rate limit, in whole minutes."""
        return math.ceil(requests / self.per_minute)


def plans(spec: Spec, options: Options, target: Target, per_minute: int) -> list[Plan]:
    """The plan without money, and the one with as much as the options allow, if that is any. As `plan`."""
    with_any = plan(spec, replace(options, max_spend_usd=MOST_USD), target, per_minute)
    asked = dict.fromkeys((Decimal(0), options.max_spend_usd))
    found = [plan(spec, replace(options, max_spend_usd=ceiling), target, per_minute) for ceiling in asked]
    return [replace(each, enough_usd=with_any.enough_usd) for each in found]


def plan(spec: Spec, options: Options, target: Target, per_minute: int) -> Plan:
    """The plan for a target. Nothing is sent there: its secrets tell only which there are, and its URL whether it is
    on this machine. Raises ValueError as `run` does, and KeyboardInterrupt.
    """
    config = MockConfig(processing_s=PROCESSING_S, rate_limit=per_minute, seed=DRY_SEED)
    dry = replace(
        options,
        seed=DRY_SEED if options.seed is None else options.seed,
        confirms=False,
        has_receiver=options.webhook_url is not None or target.is_local,
        # What is a tunnel for the target would lead the mock out of this machine.
        webhook_url=None,
        webhook_port=0,
    )
    sent_by: list[Implementation] = []
    marks: list[tuple[str, int]] = []

    def mark(verdict: Verdict) -> None:
        marks.append((verdict.requirement, len(sent_by[0].exchanges)))

    with serve(config, spec) as server:
        stand_in = Target(
            server.base_url,
            config.api_key,
            config.second_api_key if target.second_api_key else None,
            config.webhook_secret if target.webhook_secret else None,
        )
        clock = Control(server.base_url, config.control_token)
        try:
            report = run(
                spec,
                stand_in,
                dry,
                say=lambda line: None,
                on_verdict=mark,
                on_start=sent_by.append,
                time_of=clock,
            )
        finally:
            clock.close()
    if not report.complete:
        # pytest keeps an interruption to itself, and half a plan is none.
        raise KeyboardInterrupt
    ledger = sent_by[0].ledger
    return Plan(
        max_spend_usd=options.max_spend_usd,
        areas=_shares(spec, report.exchanges, marks),
        at_worst_usd=options.max_spend_usd or _at_worst_usd(spec, report.exchanges),
        enough_usd=ledger.enough_usd,
        judged=sum(1 for each in report.summed if any(verdict.outcome != "skipped" for verdict in each.verdicts)),
        per_minute=per_minute,
    )


def _shares(spec: Spec, exchanges: Sequence[Exchange], marks: Iterable[tuple[str, int]]) -> dict[str, Share]:
    """What each area sent, given how many requests there had been when each requirement was judged."""
    shares: dict[str, Share] = {}
    before = 0
    for requirement, count in marks:
        area = spec.requirement(requirement).area
        shares[area] = shares.get(area, Share()) + _share(spec, exchanges[before:count])
        before = count
    order = dict.fromkeys(each.area for each in spec.requirements)
    return {area: shares[area] for area in order if area in shares}


def _share(spec: Spec, exchanges: Sequence[Exchange]) -> Share:
    billable = [each for each in exchanges if endpoint(each) == "generate" and each.accepted]
    costs = [estimate_usd(spec, each.sent) for each in billable if isinstance(each.sent, Mapping)]
    return Share(len(exchanges), len(billable), sum(costs, Decimal(0)))


def _at_worst_usd(spec: Spec, exchanges: Iterable[Exchange]) -> Decimal:
    """What the dearest requests cost of those that a run without --max-spend goes on to send though they are taken."""
    sent = [each.sent if isinstance(each.sent, Mapping) else {} for each in exchanges if endpoint(each) == "generate"]
    costs = sorted(((estimate_usd(spec, each), mode_of(each)) for each in sent), reverse=True)
    taken: Counter[str] = Counter()
    most = Decimal(0)
    for cost, mode in costs:
        if taken[mode] < WRONGLY_ACCEPTED and taken.total() < WRONGLY_ACCEPTED_IN_ALL:
            taken[mode] += 1
            most += cost
    return most


# What is shown


def as_json(plans: Sequence[Plan]) -> str:
    """For programs: one entry a plan, the one without money first."""
    return json.dumps({"plans": [_document(each) for each in plans]}, indent=2)


def _document(of: Plan) -> dict[str, Any]:
    return {
        "max_spend_usd": float(of.max_spend_usd),
        "requests_per_minute": of.per_minute,
        **_shown(of, of.total),
        "at_worst_usd": float(of.at_worst_usd),
        "enough_usd": float(of.enough_usd),
        "requirements_judged": of.judged,
        "areas": {area: _shown(of, share) for area, share in of.areas.items()},
    }


def _shown(of: Plan, share: Share) -> dict[str, Any]:
    return {
        "requests": share.requests,
        "billable": share.billable,
        "most_usd": float(share.most_usd),
        "minutes": of.minutes(share.requests),
    }


def as_text(plans: Sequence[Plan]) -> str:
    """For a terminal: a table a plan."""
    return "\n\n".join("\n".join(_lines(each)) for each in plans)


def _lines(of: Plan) -> Iterator[str]:
    yield f"with --max-spend {of.max_spend_usd:f}" if of.max_spend_usd else "without --max-spend"
    yield f"{'':8}{'requests':>9}{'billable':>9}{'at most USD':>13}{'minutes':>9}"
    for area, share in (*of.areas.items(), ("in all", of.total)):
        cells = f"{share.requests:9}{share.billable:9}{share.most_usd:13.2f}{of.minutes(share.requests):9}"
        yield f"{area:8}{cells}"
    yield f"{of.judged} requirements judged, at {of.per_minute} requests a minute; what is waited for comes on top"
    if of.max_spend_usd:
        yield "no more is sent than what may cost that, even where twice the price is charged"
    else:
        yield f"nothing is charged, unless what has to be refused is taken: then at most {of.at_worst_usd:.2f} USD"
    if of.enough_usd > of.max_spend_usd:
        yield f"nothing would be left out for want of money with --max-spend {of.enough_usd:.2f}"

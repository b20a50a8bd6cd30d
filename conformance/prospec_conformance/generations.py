"""Generations that the suite makes and watches: asked for once, and judged by every check that they bear on.

Here live no expectations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import quote

from prospec.example import request, smallest_params
from prospec.ir import Mode, Model

from .implementation import Exchange, Implementation, NoAnswerError
from .money import is_paid
from .once import Once
from .outcome import Inconclusive
from .spend import SpendingRefusedError, amount

Switch = Literal["query", "body", "both", "neither", "query over body", "body over query"]
"""Where a request says that it is asynchronous; the last two say in the other place that it is not."""
LONGEST_S = 900.0
"""How long an end is waited for."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0
"""Between polls."""
MISSES = 3
"""Polls in a row that show nothing, after which no more are made."""
POLLS_AFTER_END = 2
LAG_S = 30.0
"""How late an account may tell what was spent, before it counts as not having told."""
ARRIVAL_S = 10.0
"""How long a request takes to get to a mock on this machine, at the most."""
EDGE_S = 60.0
"""How far from the end of a lifetime one looks: from which moment it counts is open by some seconds."""
LASTING: Mapping[str, str] = {
    "query": "slow=3",
    "body": "slow=1",
    "query over body": "slow=1",
    "body over query": "slow=1",
}
"""By switch, how long a mock is asked to take: to be seen in each state, and short where a fault makes one wait."""
FAILING: Mapping[str, str] = {"query": "fail slow=1", "neither": "fail"}
"""The same for what is to fail."""
LONGEST_ID = 200
LONGEST_URL = 2000
ENDS = ("completed", "failed")


@dataclass(slots=True, eq=False)
class Observed:
    """One generation, as its client sees it."""

    request: Mapping[str, Any]
    switch: Switch
    started: Exchange
    """The answer to the request."""
    asked_at: float
    answered_at: float
    """Of the request, in seconds since the epoch by this machine's clock."""
    polls: list[Exchange] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Raises Inconclusive where the answer has none that could be written into a URL."""
        id = self.started.member("generation_id")
        if not self.started.accepted or not isinstance(id, str) or not id:
            raise Inconclusive(
                f"the request was answered {self.started.status}, and started nothing that can be polled"
            )
        if len(id) > LONGEST_ID or not id.isprintable():
            raise Inconclusive("the generation_id is nothing that can be polled")
        return id

    @property
    def end(self) -> Exchange | None:
        """The first answer that showed it completed or failed."""
        answers = [self.started, *self.polls]
        return next((each for each in answers if each.accepted and each.member("status") in ENDS), None)

    @property
    def statuses(self) -> list[Any]:
        """In the order in which they were shown."""
        return [each.member("status") for each in (self.started, *self.polls) if each.accepted]

    @property
    def shown(self) -> list[Exchange]:
        """The polls that showed it."""
        return [each for each in self.polls if each.accepted]

    @property
    def cost_usd(self) -> Decimal | None:
        """What the answer that showed its end says that it costs: nothing if it failed. None where that is open."""
        if self.started.refused:
            return Decimal(0)
        if self.end is None:
            return None
        if self.end.member("status") == "failed":
            return Decimal(0)
        cost = amount(self.end.member("cost_usd"))
        return None if cost is None or cost < 0 else cost


def observed(started: Exchange) -> Observed:
    """The generation that an answer began, without the times of its request."""
    return Observed(started.sent, "query", started, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Generations that were made one after the other, and the account before, on the way and after."""

    made: Mapping[Switch, Observed]
    """Those that were asked for and answered, by the switch."""
    missing: dict[Switch, Exception]
    """What kept the others from being made, or from being watched to the end."""
    before: Exchange
    after_first: Exchange
    """The balance once the first had been seen to end."""
    after_polls: Exchange
    """The balance once the first had been polled some times more."""
    after: Exchange
    """The balance once all had ended."""
    settled: Exchange
    """`after`, or the balance some time later where that did not fit the costs."""
    others: tuple[Exchange, Exchange] | None
    """The balance of the second account, before the first request and after all had ended; None without a key."""

    def of(self, switch: Switch) -> Observed:
        """Raises whatever kept it from being made or watched."""
        if switch in self.missing:
            error = self.missing[switch]
            # Silence is one finding; whoever else asks for what was not answered learns nothing.
            self.missing[switch] = Inconclusive(str(error)) if isinstance(error, NoAnswerError) else error
            raise error
        return self.made[switch]


@dataclass(frozen=True, slots=True)
class Failed:
    """A generation that has failed, and the balance around it."""

    before: Exchange
    observed: Observed
    unasked: Exchange
    """The balance once it must have failed, and nobody had looked."""
    after: Exchange
    """The balance once it had been polled several times."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A synchronous request, during which the clock was moved."""

    observed: Observed
    asked_s: float
    """By the mock's clock, when the request was known to have come; it came no later."""
    before: Exchange
    after: Exchange
    """The balance around it."""

    @property
    def answered_s(self) -> float:
        """By the mock's clock, in whole seconds. Raises Inconclusive where the answer does not say."""
        at = date_s(self.observed.started)
        if at is None:
            raise Inconclusive("the answer has no Date to tell when it came")
        return at


@dataclass(frozen=True, slots=True)
class Expired:
    """A generation shortly before and shortly after its output was 7 days old."""

    observed: Observed
    fresh: Exchange
    early: Exchange
    late: Exchange
    """The output at once, shortly before and shortly after."""
    polled: Exchange
    """After the 7 days."""


class Generations:
    """Makes and watches them."""

    def __init__(self, implementation: Implementation, model: Model, mode: Mode) -> None:
        """`model` and `mode` are those that a check takes which does not care: the cheapest."""
        self._implementation = implementation
        self._once = Once()
        self.model = model
        self.mode = mode

    def request(self, **envelope: Any) -> dict[str, Any]:
        """A valid request for the cheapest mode."""
        return request(self.model, self.mode, smallest_params(self.mode)) | envelope

    def start(
        self,
        body: Mapping[str, Any] | None = None,
        *,
        switch: Switch = "query",
        outcome: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Observed:
        """Asks for one. `outcome` is for a mock (see mock/outcomes.py), any other implementation never sees it.

        Raises SpendingRefusedError before anything is sent, NoAnswerError after.
        """
        body = dict(self.request() if body is None else body)
        if switch in ("body", "both", "body over query"):
            body["async"] = True
        elif switch == "query over body":
            body["async"] = False
        asked_at = time.time()
        started = self._implementation.generate(
            body,
            expects_refusal=False,
            asynchronous=switch in ("query", "both", "query over body"),
            says_false=switch == "body over query",
            headers=headers,
            outcome=outcome,
        )
        return Observed(body, switch, started, asked_at, time.time())

    def poll(self, observed: Observed) -> Exchange:
        """Asks for its state once more."""
        exchange = self.look(observed)
        observed.polls.append(exchange)
        return exchange

    def look(self, observed: Observed, headers: Mapping[str, str] | None = None) -> Exchange:
        """Asks for its state, perhaps as somebody else, and does not count it among the polls."""
        return self._implementation.send("GET", f"/v1/generations/{quote(observed.id, safe='')}", headers=headers)

    def finish(self, observed: Observed) -> Exchange:
        """Polls until it has ended; the answer that showed it. Raises Inconclusive where it does not in good time.

        On a mock time is moved, anywhere else it passes.
        """
        waited_s, wait_s, missed = 0.0, FIRST_WAIT_S, 0
        while (end := observed.end) is None:
            exchange = self.poll(observed)
            missed = 0 if exchange.accepted else missed + 1
            if missed == MISSES:
                raise Inconclusive(f"polling was answered {exchange.status}")
            if observed.end is None:
                if waited_s >= LONGEST_S:
                    raise Inconclusive(f"the generation has not ended in {LONGEST_S:.0f} s")
                self.pass_time(wait_s)
                waited_s += wait_s
                wait_s = 2 * wait_s if self._implementation.control else min(2 * wait_s, LONGEST_WAIT_S)
        return end

    def pass_time(self, seconds: float) -> None:
        """On a mock the clock is moved, anywhere else it is waited."""
        self._implementation.pass_time(seconds)

    def let_settle(self) -> None:
        """Until the account must tell whatever was spent."""
        self.pass_time(LAG_S)

    def completed(self) -> Observed:
        """An asynchronous generation that has completed, the same for every check. Raises Inconclusive if it failed."""
        observed = self.batch().of("query")
        if observed.end is None or observed.end.member("status") != "completed":
            raise Inconclusive("the generation has not completed")
        return observed

    def synchronous(self, number: int = 0) -> Batch:
        """The same of one synchronous generation: "neither"."""
        return self._once(f"synchronous {number}", lambda: self._batch("neither"))

    def failed(self, switch: Switch = "query") -> Failed:
        """On a mock: one that it was asked to let fail, watched as far as that can be seen."""
        return self._once(f"failed {switch}", lambda: self._failed(switch))

    def batch(self, number: int = 0) -> Batch:
        """Asynchronous generations by every switch, the same for every check; another number makes others."""
        return self._once(f"batch {number}", lambda: self._batch("query", "body", "query over body", "body over query"))

    def named(self, name: str, body: Callable[[], Mapping[str, Any]]) -> Observed:
        """One that is begun once, whichever checks ask for it, or what `body` raised."""
        return self._once(f"named {name}", lambda: self.start(body()))

    def downloaded(self, name: str, body: Callable[[], Mapping[str, Any]]) -> Exchange:
        """The output of the one of that name, once it has completed."""
        return self._once(f"downloaded {name}", lambda: self._downloaded(self.named(name, body)))

    def _downloaded(self, observed: Observed) -> Exchange:
        url = self.finish(observed).member("output_url")
        if not isinstance(url, str):
            raise Inconclusive("no generation was completed, with an output_url")
        if not url.lower().startswith(("https://", "http://")):
            raise Inconclusive("output_url is no URL that can be downloaded")
        return self._implementation.download(url)

    def blocked(self, lasts_s: int) -> Blocked:
        """On a mock: a synchronous request for a generation that takes that long."""
        return self._once(f"blocked {lasts_s}", lambda: self._blocked(lasts_s))

    def expired(self) -> Expired:
        """On a mock: a generation that is 7 days old."""
        return self._once("expired", self._expired)

    def _batch(self, *switches: Switch) -> Batch:
        implementation, target = self._implementation, self._implementation.target
        second = None if target.second_api_key is None else implementation.bearer(target.second_api_key)
        others = [] if second is None else [implementation.send("GET", "/v1/balance", headers=second)]
        before = after_first = after_polls = implementation.balance()
        made: dict[Switch, Observed] = {}
        missing: dict[Switch, Exception] = {}
        for switch in switches:
            is_first = switch == switches[0]
            try:
                made[switch] = self.start(switch=switch, outcome=LASTING.get(switch))
                if is_first:
                    self._watch(made[switch])
            except (SpendingRefusedError, NoAnswerError) as error:
                missing[switch] = error
            if is_first:
                after_first = implementation.balance()
                if switch in made and made[switch].end is not None:
                    for _ in range(POLLS_AFTER_END):
                        self.poll(made[switch])
                after_polls = implementation.balance()
        for switch in switches[1:]:
            try:
                if switch in made:
                    self._watch(made[switch])
            except NoAnswerError as error:
                missing[switch] = error
        settled = after = implementation.balance()
        if not _has_settled(made.values(), before, after):
            self.let_settle()
            settled = implementation.balance()
        if second is not None:
            others.append(implementation.send("GET", "/v1/balance", headers=second))
        pair = (others[0], others[1]) if others else None
        return Batch(made, missing, before, after_first, after_polls, after, settled, pair)

    def _watch(self, observed: Observed) -> None:
        """Polls until it has ended, or as long as that makes sense."""
        with suppress(Inconclusive):
            self.finish(observed)

    def _failed(self, switch: Switch) -> Failed:
        before = self._implementation.balance()
        observed = self.start(switch=switch, outcome=FAILING[switch])
        self.let_settle()
        unasked = self._implementation.balance()
        with suppress(Inconclusive):
            self.finish(observed)
            for _ in range(POLLS_AFTER_END):
                self.poll(observed)
        return Failed(before, observed, unasked, self._implementation.balance())

    def _blocked(self, lasts_s: int) -> Blocked:
        control = self._implementation.control
        assert control is not None
        before = self._implementation.balance()
        already = control.generations()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.start, switch="neither", outcome=f"slow={lasts_s}")
            deadline = time.monotonic() + ARRIVAL_S
            while not waiting.done() and time.monotonic() < deadline:
                now = control.generations()
                # Generations of one id count once, so that their number says too little.
                if now.total() > already.total() or now["queued"] > already["queued"]:
                    break
                time.sleep(0.002)
            asked_s = control.now_s()
            control.advance(lasts_s + LAG_S)
            observed = waiting.result()
        return Blocked(observed, asked_s, before, self._implementation.balance())

    def _expired(self) -> Expired:
        control = self._implementation.control
        assert control is not None
        observed = self.start()
        end = self.finish(observed)
        url, started_s, ended_s = output_url(end), date_s(observed.started), control.now_s()
        if started_s is None:
            raise Inconclusive("the answer has no Date to tell when the generation began")
        fresh = self._implementation.download(url)
        lifetime_s = self._implementation.ledger.spec.service.output_lifetime_s
        control.advance(started_s + lifetime_s - EDGE_S - control.now_s())
        early = self._implementation.download(url)
        control.advance(ended_s + lifetime_s + EDGE_S - control.now_s())
        return Expired(observed, fresh, early, self._implementation.download(url), self.poll(observed))


def output_url(exchange: Exchange) -> str:
    """Where the output of a completed generation is. Raises Inconclusive where that is no URL."""
    url = exchange.member("output_url")
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise Inconclusive("output_url is no URL")
    return url


def date_s(exchange: Exchange) -> float | None:
    """When an answer was given, by its own clock; None where it does not say."""
    try:
        return parsedate_to_datetime(exchange.headers.get("date", "")).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _has_settled(made: Iterable[Observed], before: Exchange, after: Exchange) -> bool:
    """Whether the account has lost what the answers say that they cost."""
    costs = [each.cost_usd for each in made]
    with suppress(Inconclusive):
        return None not in costs and is_paid(before, after, filter(None, costs))
    return False

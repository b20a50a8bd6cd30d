"""BAL, and what ERR says of money: the balance, that it falls by what is paid, and by nothing else.

On a real account other programs may spend at the same time. So a balance that does not fit is read again a while later,
and where it still does not fit, the whole is done a second time before it is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from secrets import token_hex
from typing import Any

import pytest
from prospec.ir import Evidence
from prospo.price import estimate

from ..control import Control
from ..generations import Batch, Generations, Switch
from ..implementation import Exchange, Implementation
from ..money import CENT, fall_usd, is_paid, is_rounded
from ..outcome import Inconclusive, Violation
from ..plugin import Run, fields, requirement
from ..probe import settle_inconclusive
from ..samples import SAMPLES
from ..spend import SpendingRefusedError, amount

TRIES = 2
SMALLEST_USD = Decimal("0.0001")
"""Less than any published price, and than any difference between two."""
POLLS = 3


@pytest.fixture(scope="module")
def balance(implementation: Implementation) -> Exchange:
    """One answer of GET /v1/balance."""
    return implementation.balance()


@requirement("BAL-01")
def test_the_balance_is_an_object(balance: Exchange) -> None:
    """Returns { balance_usd, currency }."""
    settle_inconclusive(balance)
    if not balance.accepted:
        raise Violation(f"answered {balance.status}", balance)
    if not isinstance(balance.json, dict):
        raise Violation("the body is no JSON object", balance)
    missing = [name for name in ("balance_usd", "currency") if name not in balance.json]
    if missing:
        raise Violation(f"{' and '.join(missing)} missing", balance)


def _member(balance: Exchange, name: str) -> Any:
    if not balance.accepted or not isinstance(balance.json, dict) or name not in balance.json:
        raise Inconclusive(f"answered {balance.status}, without {name}")
    return balance.json[name]


@requirement("BAL-02")
def test_the_balance_is_a_number(balance: Exchange) -> None:
    """The sample: "balance_usd": 12.345."""
    if amount(value := _member(balance, "balance_usd")) is None:
        raise Violation(f"balance_usd is {type(value).__name__}, or no amount", balance)


@requirement("BAL-03")
def test_the_currency_is_usd(balance: Exchange) -> None:
    """The sample: "currency": "USD"."""
    if _member(balance, "currency") != "USD":
        raise Violation("currency is not 'USD'", balance)


@requirement("BAL-04")
def test_the_same_key_opens_the_balance(balance: Exchange) -> None:
    """Authenticates with the same Bearer token as any other endpoint."""
    if balance.status == 401:
        raise Violation("answered 401", balance)
    if not balance.accepted:
        raise Inconclusive(f"answered {balance.status}")


@requirement("BAL-05")
def test_the_balance_is_asked_for_with_nothing_more(balance: Exchange) -> None:
    """No body, no query params."""
    settle_inconclusive(balance)
    if not balance.accepted:
        raise Violation(f"answered {balance.status} without body and query", balance)


def _costs(batch: Batch) -> list[Decimal]:
    """Of all that were made. Raises Inconclusive where one is not known, and what kept them all from being made."""
    if not batch.made:
        raise next(iter(batch.missing.values()))
    costs = [each.cost_usd for each in batch.made.values()]
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        raise Inconclusive("what a generation has cost is not known")
    if not any(known):
        raise Inconclusive("no generation has cost anything")
    return known


def _twice(generations: Generations, find: Callable[[int], Violation | None]) -> None:
    """Raises what is found, if it is found again a while later. A second time may cost more than is left."""
    found: Violation | None = None
    for number in range(TRIES):
        try:
            found = find(number)
        except SpendingRefusedError as error:
            if found is None:
                raise
            raise Inconclusive(f"{found.reason}; seen once, and another program may have spent: {error}") from None
        if found is None:
            return
        if number < TRIES - 1:
            generations.let_settle()
    assert found is not None
    raise found


@requirement("BAL-06")
@fields("asynchronous", "synchronous")
def test_a_generation_takes_its_cost(generations: Generations, field: str) -> None:
    """cost_usd: exact USD amount deducted from your balance for this generation."""

    def find(number: int) -> Violation | None:
        batch = generations.batch(number) if field == "asynchronous" else generations.synchronous(number)
        costs = _costs(batch)
        if is_paid(batch.before, batch.settled, costs):
            return None
        fall = fall_usd(batch.before, batch.settled)
        reason = f"the balance fell by {fall} USD, and {len(costs)} generations cost {sum(costs)} USD"
        return Violation(reason, batch.before, *_ends(batch), batch.settled)

    _twice(generations, find)


def _ends(batch: Batch) -> list[Exchange]:
    return [each.end for each in batch.made.values() if each.end is not None]


@requirement("BAL-14")
def test_the_balance_is_current(generations: Generations) -> None:
    """Returns your current USD credit balance."""

    def find(number: int) -> Violation | None:
        batch = generations.batch(number)
        costs, first = _costs(batch), batch.of("query").cost_usd
        if not is_paid(batch.before, batch.settled, costs):
            reason = "the balance did not fall by the costs, not even later"
            if number == TRIES - 1:
                raise Inconclusive(reason)
            return Violation(reason, batch.before, batch.settled)
        pairs = ((batch.after_first, [first] if first is not None else []), (batch.after, costs))
        for after, paid in pairs:
            if not is_paid(batch.before, after, paid):
                fall = fall_usd(batch.before, after)
                reason = f"the balance had fallen by {fall} USD when {sum(paid)} USD were spent, and showed it later"
                return Violation(reason, batch.before, after, batch.settled)
        return None

    _twice(generations, find)


@requirement("BAL-16")
def test_the_balance_is_not_rounded(generations: Generations) -> None:
    """The sample has three decimals: 12.345."""
    batch = generations.batch()
    cost = batch.of("query").cost_usd
    if cost is None or cost % CENT == 0:
        raise Inconclusive("no generation was made whose cost has a fraction of a cent")
    if is_rounded(batch.before, batch.after_first, cost):
        raise Violation(f"a cost of {cost} USD shows in whole cents", batch.before, batch.after_first)
    if fall_usd(batch.before, batch.after_first) != cost:
        raise Inconclusive("the balance did not fall by the cost")


@requirement("BAL-13")
def test_the_balance_is_the_callers_own(generations: Generations, implementation: Implementation) -> None:
    """Returns { balance_usd, currency } for the authenticated user."""
    if implementation.target.second_api_key == implementation.target.api_key:
        raise Inconclusive("both keys are the same")

    def find(number: int) -> Violation | None:
        batch = generations.batch(number)
        _costs(batch)
        assert batch.others is not None
        before, after = batch.others
        fall = fall_usd(before, after)
        return Violation(f"the balance fell by {fall} USD while another account spent", before, after) if fall else None

    _twice(generations, find)


def _costs_nothing(
    implementation: Implementation, generations: Generations, what: str, act: Callable[[], Sequence[Exchange]]
) -> None:
    """Raises Violation where the balance falls over an act, twice; Inconclusive where it cannot be read."""

    def find(_number: int) -> Violation | None:
        before = implementation.balance()
        exchanges = act()
        after = implementation.balance()
        fall = fall_usd(before, after)
        return Violation(f"the balance fell by {fall} USD over {what}", before, *exchanges, after) if fall > 0 else None

    _twice(generations, find)


REFUSALS = (
    "not JSON",
    "no model",
    "an unknown model",
    "an unknown mode",
    "no params",
    "no required param",
    "params of another type",
    "an unknown generation",
)


@requirement("BAL-07")
@fields(*REFUSALS)
def test_a_refused_request_costs_nothing(current: Run, generations: Generations, field: str) -> None:
    """Pay per generation."""
    implementation = current.implementation

    def act() -> list[Exchange]:
        if field == "an unknown generation":
            id = f"{current.spec.service.generation_prefix}{token_hex(12)}"
            exchange = implementation.send("GET", f"/v1/generations/{id}")
        else:
            exchange = implementation.generate(_refusable(generations, field), expects_refusal=True)
        settle_inconclusive(exchange)
        if not exchange.refused:
            raise Inconclusive(f"answered {exchange.status}: it was not refused")
        return [exchange]

    _costs_nothing(implementation, generations, "a refused request", act)


def _refusable(generations: Generations, kind: str) -> Any:
    """A request that must be refused."""
    genuine = generations.request()
    match kind:
        case "not JSON":
            return b"model=no-such-model"
        case "no model" | "no params":
            return {name: value for name, value in genuine.items() if name != kind.removeprefix("no ")}
        case "an unknown model":
            return {**genuine, "model": "no-such-model"}
        case "an unknown mode":
            return {**genuine, "mode": "no-such-mode"}
        case "no required param":
            if not any(param.mandatory and param.evidence is Evidence.DOCUMENTED for param in generations.mode.params):
                raise Inconclusive("the documentation names no param that this mode requires")
            return {**genuine, "params": {}}
        case _:
            return {**genuine, "params": 5}


@requirement("BAL-08")
@fields("asynchronous", "synchronous")
def test_a_failure_is_refunded_in_full(generations: Generations, field: str) -> None:
    """failed (auto-refunded). The corresponding cost has been refunded automatically."""
    failed = generations.failed(_switch(field))
    fall = fall_usd(failed.before, failed.unasked)
    if fall > 0:
        reason = f"once a generation has failed, the balance is {fall} USD lower than before it"
        raise Violation(reason, failed.before, failed.observed.started, failed.unasked)


@requirement("BAL-09")
@fields("asynchronous", "synchronous")
def test_a_failure_is_refunded_once(generations: Generations, field: str) -> None:
    """The corresponding cost has been failed. Looking again and again refunds it no second time."""
    failed = generations.failed(_switch(field))
    for after in (failed.unasked, failed.after):
        rise = -fall_usd(failed.before, after)
        if rise > 0:
            reason = f"once a generation has failed, the balance is {rise} USD higher than before it"
            raise Violation(reason, failed.before, failed.observed.started, after)


def _switch(field: str) -> Switch:
    return "neither" if field == "synchronous" else "query"


@requirement("BAL-10")
def test_polling_costs_nothing(generations: Generations) -> None:
    """Pay per generation."""

    def find(number: int) -> Violation | None:
        batch = generations.batch(number)
        if batch.of("query").end is None:
            raise Inconclusive("no generation was polled between two balances")
        fall = fall_usd(batch.after_first, batch.after_polls)
        reason = f"the balance fell by {fall} USD over some polls"
        return Violation(reason, batch.after_first, batch.after_polls) if fall > 0 else None

    _twice(generations, find)


@requirement("BAL-11")
def test_uploading_costs_nothing(generations: Generations, implementation: Implementation) -> None:
    """Pay per generation."""

    def act() -> list[Exchange]:
        if implementation.upload(*SAMPLES["image"]) is None:
            raise Inconclusive("no file could be uploaded")
        return []

    _costs_nothing(implementation, generations, "an upload", act)


@requirement("BAL-12")
def test_asking_for_the_balance_costs_nothing(generations: Generations, implementation: Implementation) -> None:
    """Useful for budget alerts, dashboards."""
    _costs_nothing(
        implementation, generations, "some balances", lambda: [implementation.balance() for _ in range(POLLS)]
    )


@contextmanager
def _left_with(control: Control, balance_usd: Decimal) -> Iterator[None]:
    """For a while the account has no more than that."""
    before = control.balance("first")
    control.set_balance("first", balance_usd)
    try:
        yield
    finally:
        control.set_balance("first", before)


@requirement("ERR-10")
@fields("nothing", "less than the cost")
def test_what_the_balance_does_not_cover_is_answered_403(
    implementation: Implementation, generations: Generations, control: Control, field: str
) -> None:
    """403: insufficient balance."""
    request = generations.request()
    least = estimate(request).low_usd
    if field != "nothing" and not least:
        raise Inconclusive("no price is published for the request")
    left = Decimal(0) if field == "nothing" or least is None else least - SMALLEST_USD
    with _left_with(control, left):
        answer = implementation.generate(request, expects_refusal=True)
    if answer.status in (401, 408, 429) or answer.status > 500:
        raise Inconclusive(f"answered {answer.status}, which says nothing about the balance")
    if answer.status != 403:
        raise Violation(f"with a balance of {left} USD, a request was answered {answer.status}, expected 403", answer)


@requirement("ERR-15")
def test_the_403_says_why(implementation: Implementation, generations: Generations, control: Control) -> None:
    """The sample: "detail": "Insufficient balance. Please top up to continue."."""
    with _left_with(control, Decimal(0)):
        answer = implementation.generate(generations.request(), expects_refusal=True)
    if answer.status != 403 or not isinstance(answer.json, dict):
        raise Inconclusive(f"the request was answered {answer.status}, and no 403 with a JSON object")
    if not isinstance(answer.member("detail"), str):
        raise Violation("detail is no string", answer)


@requirement("ERR-12")
def test_a_500_costs_nothing(implementation: Implementation, generations: Generations) -> None:
    """500: your balance is automatically refunded."""
    before = implementation.balance()
    answer = generations.start(outcome="accept-then-500").started
    after = implementation.balance()
    if answer.status != 500:
        raise Inconclusive(f"answered {answer.status}, no 500")
    fall = fall_usd(before, after)
    if fall > 0:
        raise Violation(f"the balance fell by {fall} USD over a 500", before, answer, after)


@requirement("ERR-14")
def test_a_504_costs_nothing(current: Run, generations: Generations) -> None:
    """504: of a refund it is not said."""
    blocked = generations.blocked(3 * current.spec.service.sync_timeout_s)
    answer = blocked.observed.started
    if answer.status != 504:
        raise Inconclusive(f"answered {answer.status}, no 504")
    fall = fall_usd(blocked.before, blocked.after)
    if fall > 0:
        raise Violation(f"the balance fell by {fall} USD over a 504", blocked.before, answer, blocked.after)

"""The ceiling: whatever an implementation charges, says and shows, a run costs no more than was allowed.

First the ledger against made-up accounts, then whole runs on the mock, by the mock's own count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prospec.example import request, smallest_params
from prospec.ir import Mode, Model, Spec
from prospec.loader import load
from prospec_conformance.control import Control
from prospec_conformance.implementation import Target
from prospec_conformance.mock import FAULTS, MockConfig, serve
from prospec_conformance.mock.changes import Change, in_bodies
from prospec_conformance.mock.faults.fault import fault
from prospec_conformance.mock.outcomes import parsed
from prospec_conformance.mock.script import Rule
from prospec_conformance.probe import documented_modes
from prospec_conformance.report import Report
from prospec_conformance.run import Options, run
from prospec_conformance.spend import (
    DOUBTFUL_IN_ALL,
    UNPUBLISHED_USD,
    WRONGLY_ACCEPTED,
    WRONGLY_ACCEPTED_IN_ALL,
    Ledger,
    SpendingRefusedError,
    estimate_usd,
)

SPEC: Spec = load()
MODES: list[tuple[Model, Mode]] = list(documented_modes(SPEC))
UNPRICED = {model.id for model in SPEC.models if model.price is None}
PRICED = next(pair for pair in MODES if pair[0].id not in UNPRICED)
START = Decimal(1000)


@dataclass(frozen=True)
class Account:
    """An implementation, as far as it is about money."""

    times: Decimal
    """What is charged, as a multiple of the price."""
    lag: int
    """So many requests later it is charged."""
    shows: Callable[[Decimal], object]
    """What the balance endpoint makes of the balance."""
    says: Callable[[Decimal], object]
    """What an answer names as the cost."""
    answers: bool
    """Whether an accepted request is answered as one."""


ACCOUNTS = st.builds(
    Account,
    times=st.sampled_from([Decimal("0.5"), Decimal(1), Decimal(1), Decimal("1.5"), Decimal(2)]),
    lag=st.integers(0, 5),
    shows=st.sampled_from([float, float, str, lambda _left: None, int, lambda _left: 1000.0]),
    says=st.sampled_from([lambda _cost: None, lambda _cost: 0, float, lambda cost: -float(cost), lambda _cost: True]),
    answers=st.booleans(),
)
ASKED = st.lists(st.tuples(st.integers(0, len(MODES) - 1), st.booleans()), min_size=1, max_size=60)


@given(account=ACCOUNTS, asked=ASKED, ceiling=st.decimals("0.01", "60", places=2))
def test_no_account_that_charges_at_most_twice_passes_the_ceiling(
    account: Account, asked: list[tuple[int, bool]], ceiling: Decimal
) -> None:
    """It accepts everything, and takes the most of the price. What has no price costs no more than is assumed."""
    ledger, charged = Ledger(SPEC, ceiling), Decimal(0)
    late: deque[Decimal] = deque([Decimal(0)] * account.lag)
    ledger.saw_balance(account.shows(START))
    for index, expects_refusal in asked:
        body = request(*MODES[index], smallest_params(MODES[index][1]))
        try:
            estimate = ledger.reserve(body, expects_refusal=expects_refusal)
        except SpendingRefusedError:
            continue
        late.append(estimate * (min(account.times, Decimal(1)) if body["model"] in UNPRICED else account.times))
        charged += late.popleft()
        if account.answers:
            ledger.settle(body, account.says(estimate), estimate, expected_refusal=expects_refusal)
            ledger.saw_balance(account.shows(START - charged))
        else:
            ledger.unsettled(body, estimate)
    assert charged + sum(late) <= ceiling


def test_an_account_that_tells_is_trusted_and_the_whole_ceiling_is_used() -> None:
    """Beside what is kept for requests that have to be refused."""
    ceiling = Decimal(60)
    body = request(*PRICED, smallest_params(PRICED[1]))
    spent = {}
    for name, shows in {"tells": float, "is silent": lambda _left: None}.items():
        ledger, charged = Ledger(SPEC, ceiling), Decimal(0)
        ledger.saw_balance(shows(START))
        with suppress(SpendingRefusedError):
            while True:
                charged += ledger.reserve(body, expects_refusal=False)
                ledger.settle(body, None, estimate_usd(SPEC, body), expected_refusal=False)
                ledger.saw_balance(shows(START - charged))
        spent[name] = charged
    most = ceiling - UNPUBLISHED_USD
    price = estimate_usd(SPEC, body)
    assert most - 2 * price < spent["tells"] <= most
    assert most / 2 - price < spent["is silent"] <= most / 2


def test_what_names_no_mode_is_sent_to_the_end_unless_the_ceiling_is_small() -> None:
    ledger = Ledger(SPEC, Decimal(20))
    body = request(*PRICED, smallest_params(PRICED[1]))
    with suppress(SpendingRefusedError):
        while True:
            ledger.settle(body, None, ledger.reserve(body, expects_refusal=False), expected_refusal=False)
    ledger.reserve({"model": "nobody-knows"}, expects_refusal=True)
    with pytest.raises(SpendingRefusedError, match="may cost 5 USD"):
        Ledger(SPEC, Decimal(4)).reserve({"model": "nobody-knows"}, expects_refusal=True)


def test_without_money_what_fails_often_at_the_server_ends_the_probing() -> None:
    ledger, body = Ledger(SPEC, Decimal(0)), {"model": "nobody-knows"}
    for _ in range(DOUBTFUL_IN_ALL):
        ledger.unsettled(body, ledger.reserve(body, expects_refusal=True))
    with pytest.raises(SpendingRefusedError, match="may have been charged"):
        ledger.reserve(body, expects_refusal=True)


# Whole runs

ANY = fault("GEN-01-any", "Every request is taken.", Change(refusal=lambda _request, _found: None))


def charged_late(times: int) -> Change:
    """Charges with the request after the next what one costs, so many times."""
    late = deque([Decimal(0)] * 2)

    def charge(cost: Decimal) -> Decimal:
        late.append(cost * times)
        return late.popleft()

    return Change(charge=charge)


UNSHOWN = in_bodies(lambda _body: {"currency": "USD"}, lambda answer: answer.endpoint == "getBalance")
DISHONEST = {
    "doubled": lambda: {"a": Change(charge=lambda cost: 2 * cost)},
    "late": lambda: {"a": charged_late(1)},
    "late and doubled": lambda: {"a": charged_late(2)},
    "unshown": lambda: {"a": UNSHOWN},
    "unshown and doubled": lambda: {"a": UNSHOWN, "b": Change(charge=lambda cost: 2 * cost)},
    "unshown and late": lambda: {"a": UNSHOWN, "b": charged_late(1)},
    "everything taken": lambda: {"a": ANY.change},
    "everything taken, unshown and doubled": lambda: {
        "a": ANY.change,
        "b": UNSHOWN,
        "c": Change(charge=lambda cost: 2 * cost),
    },
}
AFTER = {"accept-then-drop": "drop", "accept-then-504": "504"}


@contextmanager
def ran(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Change], options: Options, outcomes: tuple[Rule, ...] = ()
) -> Iterator[tuple[Report, Decimal, Control]]:
    """A run on a mock that is judged as anybody's, and what it has charged by its own count."""
    faults = {f"GEN-01-{name}": fault(f"GEN-01-{name}", "Made up.", change) for name, change in changes.items()}
    for module in ("app", "config"):
        monkeypatch.setattr(f"prospec_conformance.mock.{module}.FAULTS", {**FAULTS, **faults})
    config = MockConfig(balance_usd=START, faults=frozenset(faults), outcomes=outcomes, seed=1)
    with serve(config, SPEC) as server:
        control = Control(server.base_url, config.control_token)
        target = Target(server.base_url, config.api_key, config.second_api_key, config.webhook_secret)
        report = run(SPEC, target, options, say=lambda line: None, time_of=control)
        yield report, START - control.balance("first"), control
        control.close()


@pytest.mark.parametrize("ceiling", [Decimal("0.05"), Decimal(20)], ids=str)
@pytest.mark.parametrize("how", DISHONEST)
def test_no_run_costs_more_than_its_ceiling(monkeypatch: pytest.MonkeyPatch, how: str, ceiling: Decimal) -> None:
    options = Options(seed=1, max_spend_usd=ceiling, examples=0, sends_large=False)
    with ran(monkeypatch, DISHONEST[how](), options) as (_, charged, control):
        assert control.generations().total() > 0
        assert 0 <= charged <= ceiling


@pytest.mark.parametrize("ceiling", [Decimal("0.05"), Decimal(2)], ids=str)
@pytest.mark.parametrize("outcome", AFTER)
def test_what_is_accepted_and_not_answered_counts(
    monkeypatch: pytest.MonkeyPatch, outcome: str, ceiling: Decimal
) -> None:
    options = Options(seed=1, max_spend_usd=ceiling, examples=0, sends_large=False)
    with ran(monkeypatch, {}, options, (Rule(parsed(outcome)),)) as (report, charged, control):
        assert control.generations().total() > 0
        assert 0 < charged <= ceiling
        assert report.counts["error"] == 0


def test_without_money_nothing_that_should_be_accepted_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with ran(monkeypatch, {}, Options(seed=1, examples=3, sends_large=False)) as (report, charged, control):
        assert control.generations().total() == 0
        assert charged == 0
        assert report.spend_usd == 0


def test_without_money_the_probing_ends_where_everything_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    options = Options(seed=1, examples=0, areas=frozenset({"PARAM"}))
    with ran(monkeypatch, {"a": ANY.change}, options) as (report, _, control):
        assert 0 < control.generations().total() <= WRONGLY_ACCEPTED_IN_ALL
        taken = [each.sent for each in report.exchanges if each.path.startswith("/v1/generate") and each.accepted]
        modes = [(each["model"], each.get("mode")) for each in taken]
        assert max(map(modes.count, modes)) <= WRONGLY_ACCEPTED
        failed = [each for each in report.summed if each.outcome == "failed"]
        assert failed
        reasons = " ".join(verdict.reason or "" for each in report.summed for verdict in each.verdicts)
        assert f"{WRONGLY_ACCEPTED} requests that had to be refused were accepted" in reasons

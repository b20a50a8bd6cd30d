"""What a run may cost, and what it has cost. Here live no I/O and no prices: those are in the catalog."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from prospec.ir import Choice, Number, Spec, Type
from prospo.price import estimate

UNPUBLISHED_USD = Decimal(5)
"""Taken for a request without a published price; the dearest sample of the documentation is 3.22."""
WRONGLY_ACCEPTED = 3
"""Requests of one mode that had to be refused and were accepted, after which the probing of that mode ends."""
WRONGLY_ACCEPTED_IN_ALL = 10
"""The same for a whole run without --max-spend."""


class SpendingRefusedError(Exception):
    """The request was not sent, because it may cost more than the user allowed."""


def estimate_usd(spec: Spec, request: Mapping[str, Any]) -> Decimal:
    """The most that a request may cost if it is accepted, rightly or not."""
    model = spec.model(str(request.get("model")))
    if model is None or model.price is None:
        return UNPUBLISHED_USD
    whole = isinstance(request.get("params"), Mapping) and isinstance(request.get("mode", ""), str)
    most = estimate(request).high_usd if whole else None
    if most is not None:
        return most
    if model.price.quantity is None:
        return UNPUBLISHED_USD
    rows = [mode.param(model.price.quantity) for mode in model.modes]
    units = max((_most(row.type) for row in rows if row), default=Decimal(1))
    return max(rate.high for rate in model.price.rates) * units


def _most(quantity: Type) -> Decimal:
    """The largest quantity that a row takes."""
    match quantity:
        case Number(max=high) if high is not None:
            return Decimal(str(high))
        case Choice(of):
            return max(Decimal(value.removesuffix("s")) for value in of)
        case _:
            return Decimal(1)


class Ledger:
    """Keeps the ceiling. `ceiling_usd` None is a mock, which costs nothing; 0 allows free requests only."""

    def __init__(self, spec: Spec, ceiling_usd: Decimal | None) -> None:
        self.spec = spec
        self.ceiling_usd = ceiling_usd
        self.spent_usd = Decimal(0)
        self.at_risk_usd = Decimal(0)
        """Of requests whose fate is not known. It counts against the ceiling: one that trusts in luck is none."""
        self.wrongly_accepted: Counter[str] = Counter()
        self._first_balance: Decimal | None = None

    @property
    def may_spend(self) -> bool:
        return self.ceiling_usd is None or self.ceiling_usd > 0

    def reserve(self, request: Mapping[str, Any], *, expects_refusal: bool) -> Decimal:
        """Ask before sending. Returns the estimate; raises SpendingRefusedError with the reason."""
        estimate = estimate_usd(self.spec, request)
        if self.ceiling_usd is None:
            return Decimal(0)
        if expects_refusal and self.wrongly_accepted[_of(request)] >= WRONGLY_ACCEPTED:
            raise SpendingRefusedError(
                f"{WRONGLY_ACCEPTED} requests that had to be refused were accepted; no more are sent"
            )
        if not self.may_spend:
            if expects_refusal and self.wrongly_accepted.total() >= WRONGLY_ACCEPTED_IN_ALL:
                raise SpendingRefusedError(
                    f"{WRONGLY_ACCEPTED_IN_ALL} requests were wrongly accepted; no more are sent"
                )
            if expects_refusal:
                return estimate
            raise SpendingRefusedError("needs --max-spend: an accepted request costs money")
        if expects_refusal and self.spec.model(str(request.get("model"))) is None and not self.wrongly_accepted:
            # It names nothing that could be charged for, and this implementation has refused whatever it had to.
            return estimate
        left = self.ceiling_usd - self.spent_usd - self.at_risk_usd
        if estimate > left:
            raise SpendingRefusedError(f"may cost {estimate} USD, and {left} USD of --max-spend are left")
        return estimate

    def settle(self, request: Mapping[str, Any], charged: object, estimate: Decimal, *, expected_refusal: bool) -> None:
        """Book an accepted request: what the answer says it cost, or the estimate where it does not say."""
        if self.ceiling_usd is None:
            return
        says = isinstance(charged, int | float) and not isinstance(charged, bool) and charged >= 0
        self.spent_usd += max(Decimal(str(charged)), Decimal(0)) if says else estimate
        if expected_refusal:
            self.wrongly_accepted[_of(request)] += 1

    def saw_balance(self, balance: object) -> None:
        """Believe the account where it has lost more, since the first balance seen, than the answers named."""
        if self.ceiling_usd is None or isinstance(balance, bool) or not isinstance(balance, int | float):
            return
        left = Decimal(str(balance))
        self._first_balance = left if self._first_balance is None else self._first_balance
        self.spent_usd = max(self.spent_usd, self._first_balance - left)

    def unsettled(self, estimate: Decimal) -> None:
        """Book a request that was answered with a server error, or not at all."""
        self.at_risk_usd += estimate


def _of(request: Mapping[str, Any]) -> str:
    return f"{request.get('model')} {request.get('mode', '')}"

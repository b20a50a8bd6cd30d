"""What a run may cost, and what it has cost. Here live no I/O and no prices: those are in the catalog."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from prospec.ir import Choice, Number, Spec, Type
from prospo.price import estimate

UNPUBLISHED_USD = Decimal(5)
"""Taken for a request without a published price; the dearest sample of the documentation is 3.22."""
WRONGLY_ACCEPTED = 3
"""Requests of one mode that had to be refused and were accepted, after which the probing of that mode ends."""
WRONGLY_ACCEPTED_IN_ALL = 10
"""The same for a whole run without --max-spend."""
DOUBTFUL_IN_ALL = 30
"""Requests of such a run that failed at the server, or got no answer: each may have been charged."""
EXACT = 3
"""How often in a row the balance has to fall by the price of a request until that is believed."""
UNTRUSTED = Decimal(2)
"""How many times its price a request may cost until then. Where the first is charged more, that is not held."""
KEPT_FROM_USD = Decimal(1)
"""The ceiling from which a part of it is kept for requests that have to be refused."""
MOST_USD = Decimal(10) ** 12
"""What is more is no amount, and no balance of a person's."""


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


def _is_priced(spec: Spec, request: Mapping[str, Any]) -> bool:
    """Whether what it costs rests on a published price."""
    model = spec.model(str(request.get("model")))
    return model is not None and model.price is not None


def _least_usd(spec: Spec, request: Mapping[str, Any]) -> Decimal:
    """The least that a priced request may cost; the most where its params say nothing of that."""
    whole = isinstance(request.get("params"), Mapping) and isinstance(request.get("mode", ""), str)
    least = estimate(request).low_usd if whole else None
    return estimate_usd(spec, request) if least is None else least


def amount(value: object) -> Decimal | None:
    """A number of an answer, as it was written; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = Decimal(str(value))
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() and abs(number) <= MOST_USD else None


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
    """Keeps the ceiling. `ceiling_usd` None is a mock, which costs nothing; 0 allows free requests only.

    A request is let through where twice its price is left, and that is booked until the balance is seen to fall by the
    price itself, `EXACT` times in a row. So an account that shows nothing, shows it late, or charges twice does not
    pass the ceiling.
    """

    def __init__(self, spec: Spec, ceiling_usd: Decimal | None) -> None:
        self.spec = spec
        self.ceiling_usd = ceiling_usd
        self.wrongly_accepted: Counter[str] = Counter()
        self._said_usd = Decimal(0)
        """What the answers say that they cost, or the estimate where they do not say."""
        self._lost_usd = Decimal(0)
        """What the account has lost since the first balance that was seen."""
        self._sure_usd = Decimal(0)
        """The most that those requests cost that the account was seen to be charged for, and those without a price."""
        self._unsure_usd = Decimal(0)
        """The same of all others that were accepted, or may have been."""
        self._exact: list[Decimal] = []
        """The estimates of those whose price the balance fell by, one after the other, up to now."""
        self._dearer = Decimal(1)
        """The most that the account has lost, as a multiple of all that was booked by then."""
        self._doubtful = 0
        """Requests whose fate is not known."""
        self._accepted: tuple[Decimal, Decimal] | None = None
        """The least and the most that the request costs that was accepted since the last balance."""
        self.enough_usd = Decimal(0)
        """A ceiling under which nothing that was asked for so far would have been left out."""
        self._first_balance: Decimal | None = None
        self._last_balance: Decimal | None = None

    @property
    def may_spend(self) -> bool:
        return self.ceiling_usd is None or self.ceiling_usd > 0

    @property
    def spent_usd(self) -> Decimal:
        """What the run has cost, as far as answers and balance tell."""
        return max(self._said_usd, self._lost_usd)

    def reserve(self, request: Mapping[str, Any], *, expects_refusal: bool) -> Decimal:
        """Ask before sending. Returns the estimate; raises SpendingRefusedError with the reason."""
        if self.ceiling_usd is None:
            return Decimal(0)
        estimate = estimate_usd(self.spec, request)
        if expects_refusal and self.wrongly_accepted[mode_of(request)] >= WRONGLY_ACCEPTED:
            raise SpendingRefusedError(
                f"{WRONGLY_ACCEPTED} requests that had to be refused were accepted; no more are sent"
            )
        if not self.may_spend:
            self._reserve_nothing(expects_refusal)
            return estimate
        # What has no price is estimated with room enough.
        factor = self._factor if _is_priced(self.spec, request) else Decimal(1)
        needed = estimate * factor
        kept = Decimal(0) if expects_refusal else self._kept_usd
        self.enough_usd = max(self.enough_usd, needed + self._gone_usd + (0 if expects_refusal else UNPUBLISHED_USD))
        left = self.ceiling_usd - self._gone_usd - kept
        if needed > left:
            times = "" if factor == 1 else f", {factor:f} times its price to be safe"
            raise SpendingRefusedError(f"may cost {needed:f} USD{times}; {left:f} USD of --max-spend are left")
        return estimate

    def _reserve_nothing(self, expects_refusal: bool) -> None:
        """The same where nothing may be spent."""
        if not expects_refusal:
            raise SpendingRefusedError("needs --max-spend: an accepted request costs money")
        if self.wrongly_accepted.total() >= WRONGLY_ACCEPTED_IN_ALL:
            raise SpendingRefusedError(f"{WRONGLY_ACCEPTED_IN_ALL} requests were wrongly accepted; no more are sent")
        if self._doubtful >= DOUBTFUL_IN_ALL:
            raise SpendingRefusedError(
                f"{DOUBTFUL_IN_ALL} requests failed at the server and may have been charged; no more are sent"
            )

    def settle(self, request: Mapping[str, Any], charged: object, estimate: Decimal, *, expected_refusal: bool) -> None:
        """Book an accepted request: what the answer says it cost, or the estimate where it does not say."""
        if self.ceiling_usd is None:
            return
        said = amount(charged)
        said = None if said is None or said < 0 else said
        self._said_usd += estimate if said is None else said
        self._book(request, estimate if said is None else max(said, estimate))
        self._accepted = (_least_usd(self.spec, request), estimate) if _is_priced(self.spec, request) else None
        if expected_refusal:
            self.wrongly_accepted[mode_of(request)] += 1

    def saw_balance(self, balance: object) -> None:
        """Believe the account where it has lost more, since the first balance seen, than the answers named."""
        left = amount(balance)
        if self.ceiling_usd is None or left is None:
            return
        self._first_balance = left if self._first_balance is None else self._first_balance
        before, self._last_balance = self._last_balance, left
        self._lost_usd = max(self._lost_usd, self._first_balance - left)
        if booked := self._sure_usd + self._unsure_usd:
            self._dearer = max(self._dearer, self._lost_usd / booked)
        if self._accepted is not None and before is not None:
            least, most = self._accepted
            self._exact = [*self._exact, most] if least <= before - left <= most else []
            if len(self._exact) >= EXACT:
                self._sure_usd += sum(self._exact)
                self._unsure_usd -= sum(self._exact)
                # These are done with; the next goes on from them.
                self._exact = [Decimal(0)] * EXACT
        self._accepted = None

    def unsettled(self, request: Mapping[str, Any], estimate: Decimal) -> None:
        """Book a request that was answered with a server error, or not at all.

        It counts against the ceiling for good: one that trusts in luck is none.
        """
        if self.ceiling_usd is not None:
            self._book(request, estimate)
            self._doubtful += 1

    def _book(self, request: Mapping[str, Any], usd: Decimal) -> None:
        if _is_priced(self.spec, request):
            self._unsure_usd += usd
        else:
            self._sure_usd += usd

    @property
    def _gone_usd(self) -> Decimal:
        """The most that everything may have cost by now."""
        return max(self._lost_usd, self._sure_usd + self._unsure_usd * self._factor)

    @property
    def _kept_usd(self) -> Decimal:
        """The part of the ceiling that is kept for requests that have to be refused, and then cost nothing."""
        if self.ceiling_usd is None or self.ceiling_usd < KEPT_FROM_USD:
            return Decimal(0)
        return min(self.ceiling_usd / 2, UNPUBLISHED_USD)

    @property
    def _factor(self) -> Decimal:
        """What a request may cost, as a multiple of its price."""
        return max(Decimal(math.ceil(self._dearer)), UNTRUSTED)


def mode_of(request: Mapping[str, Any]) -> str:
    """The name under which the requests of a mode are counted together."""
    return f"{request.get('model')} {request.get('mode', '')}"

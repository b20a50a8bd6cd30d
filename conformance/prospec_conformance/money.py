"""What answers say of money, exactly, and whether a balance fell by what was paid. Here live no I/O and no verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from .implementation import Exchange
from .outcome import Inconclusive
from .spend import amount

CENT = Decimal("0.01")


def balance_usd(exchange: Exchange) -> Decimal:
    """What an answer says of the balance. Raises Inconclusive where it says nothing."""
    found = amount(exchange.member("balance_usd")) if exchange.accepted else None
    if found is None:
        raise Inconclusive(f"the balance cannot be read: answered {exchange.status}")
    return found


def fall_usd(before: Exchange, after: Exchange) -> Decimal:
    """By how much the balance fell. Raises Inconclusive where it cannot be read."""
    return balance_usd(before) - balance_usd(after)


def is_rounded(before: Exchange, after: Exchange, cost_usd: Decimal) -> bool:
    """Whether a balance that is kept in whole cents fell by the cost as well as it could: by less than a cent."""
    in_cents = all(balance_usd(each) % CENT == 0 for each in (before, after))
    return in_cents and cost_usd % CENT != 0 and abs(fall_usd(before, after) - cost_usd) < CENT


def is_paid(before: Exchange, after: Exchange, costs_usd: Iterable[Decimal]) -> bool:
    """Whether the balance fell by the sum of the costs, as exactly as it can tell. Raises Inconclusive as above."""
    cost = sum(costs_usd, Decimal(0))
    return fall_usd(before, after) == cost or is_rounded(before, after, cost)

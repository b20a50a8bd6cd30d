"""What a request costs, by the published prices. Here lives no price: those are in the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from .catalog import MODELS
from .model import Evidence, Mode, Price, Rate
from .problem import InvalidRequest
from .rules import validate
from .values import is_number

PARAM_SECONDS = "s"
"""Some models write a duration as a string with this suffix: "8s"."""
_WEAKEST_FIRST: tuple[Evidence, ...] = ("assumed", "inferred", "documented")


@dataclass(frozen=True, slots=True)
class Quote:
    """What a request costs, in USD. None where nothing is published that tells."""

    low_usd: Decimal | None
    high_usd: Decimal | None
    """Above `low_usd` where the documentation leaves a range."""
    evidence: Evidence | None
    """How well the range is known."""
    usd: Decimal | None
    """The one figure that is most likely; None where the range has none."""
    usd_evidence: Evidence | None
    unit: str | None
    notes: tuple[str, ...] = ()
    """What the figures rest on, and the entries of gaps.toml that leave them open."""


UNKNOWN = Quote(None, None, None, None, None, None, ("no price is published",))


def quote(request: Mapping[str, Any]) -> Quote:
    """What a request costs if it is accepted. Raises InvalidRequest for one that would be refused.

    A param that the request leaves out counts with its default, as well known as that is.
    """
    problems = [problem for problem in validate(request) if problem.severity == "error"]
    if problems:
        raise InvalidRequest(problems)
    return estimate(request)


def cost_usd(request: Mapping[str, Any]) -> Decimal | None:
    """The most likely USD of a request of a known shape, or None where no one figure is published."""
    return estimate(request).usd


def estimate(request: Mapping[str, Any]) -> Quote:
    """`quote` of a request that has been judged: it has a known model and mode, and an object of params."""
    model = MODELS.get(request["model"])
    mode = None if model is None else model.mode(request.get("mode"))
    if model is None or mode is None or model.price is None:
        return UNKNOWN
    params = request["params"]
    priced = _priced_by(model.id)
    try:
        return _remembered(model.id, mode.id, *[params.get(name, _LEFT_OUT) for name in priced])
    except TypeError:  # a list or an object where a price asks for a value: nobody remembers these
        return _quote(model.price, mode, {name: params[name] for name in priced if name in params})


_LEFT_OUT = object()


@cache
def _priced_by(model: str) -> tuple[str, ...]:
    """The params that a model's price depends on."""
    price = MODELS[model].price
    assert price
    names = [price.quantity, price.longest_by, *(name for rate in price.rates for name, _ in rate.when)]
    return tuple(dict.fromkeys(name for name in names if name))


@lru_cache(4096, typed=True)
def _remembered(model: str, mode: str, *values: object) -> Quote:
    of = MODELS[model]
    row = of.mode(mode)
    assert of.price
    assert row
    given = zip(_priced_by(model), values, strict=True)
    return _quote(of.price, row, {name: value for name, value in given if value is not _LEFT_OUT})


def _quote(price: Price, mode: Mode, params: Mapping[str, Any]) -> Quote:
    left_out = {param.name: param for param in mode.params if param.default is not None and param.name not in params}
    effective = {name: param.default for name, param in left_out.items()} | dict(params)
    notes = (*((price.note,) if price.note else ()), *(f"see {gap}" for gap in price.gaps))
    quantity = _quantity(price, mode, effective)
    rate = next((rate for rate in price.rates if all(effective.get(name) == value for name, value in rate.when)), None)
    if quantity is None or rate is None:
        return Quote(None, None, None, None, None, price.unit, ("no price is published for these params", *notes))
    fewest, most = quantity
    counts = {price.quantity or price.longest_by, *(name for name, _ in rate.when)}
    known: list[Evidence] = [
        rate.evidence,
        *(param.evidence_of("default") for name, param in left_out.items() if name in counts),
    ]
    if most > 1:
        known.append(price.quantity_evidence)
    # Documented is the range over the params whose effect is inferred; which of its rates applies is inferred then.
    alike = [each for each in price.rates if _documented(price, each) == _documented(price, rate)]
    is_open = fewest != most or rate.low != rate.high
    return Quote(
        low_usd=min(each.low for each in alike) * fewest,
        high_usd=max(each.high for each in alike) * most,
        evidence=_weakest(known),
        usd=None if is_open else rate.low * most,
        usd_evidence=None if is_open else _weakest(known if len(alike) == 1 else [*known, "inferred"]),
        unit=price.unit,
        notes=notes,
    )


def _documented(price: Price, rate: Rate) -> list[tuple[str, str | bool]]:
    """The conditions of a rate that are documented to make it so."""
    return [pair for pair in rate.when if pair[0] not in price.inferred]


def _weakest(known: Iterable[Evidence]) -> Evidence:
    return min(known, key=_WEAKEST_FIRST.index)


def _quantity(price: Price, mode: Mode, effective: Mapping[str, Any]) -> tuple[Decimal, Decimal] | None:
    """The fewest and the most units that a request is charged for."""
    if price.quantity is None:
        value = effective.get(price.longest_by or "")
        longest = next((units for of, units in price.longest if of == value), None)
        return None if longest is None else (Decimal(0), Decimal(longest))
    value = effective.get(price.quantity)
    number = _number(value)
    row = next((param for param in mode.params if param.name == price.quantity), None)
    if number is None or row is None or number <= 0 or (row.enum and value not in row.enum):
        return None
    if (row.min is not None and number < row.min) or (row.max is not None and number > row.max):
        return None
    return number, number


def _number(value: object) -> Decimal | None:
    if isinstance(value, str):
        value = value.removesuffix(PARAM_SECONDS)
        return Decimal(value) if value.isascii() and value.isdigit() else None
    return Decimal(str(value)) if is_number(value) else None

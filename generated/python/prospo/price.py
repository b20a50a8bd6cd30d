"""What a request costs, by the published prices. Here lives no price: those are in the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from .catalog import MODELS
from .model import Mode, Model
from .values import is_number

PARAM_SECONDS = "s"
"""Some models write a duration as a string with this suffix: "8s"."""


def cost_usd(request: Mapping[str, Any]) -> Decimal | None:
    """USD for a valid request, or None where no price is published for it.

    A param that the request leaves out counts with its default. What is published and what is inferred stands in the
    model's `price.evidence` and `price.note`.
    """
    model = MODELS.get(request["model"])
    mode = None if model is None else model.mode(request.get("mode"))
    if model is None or mode is None:
        return None
    return _cost(model, mode, request["params"])


def _cost(model: Model, mode: Mode, params: Mapping[str, Any]) -> Decimal | None:
    price = model.price
    if price is None or price.quantity is None:
        return None
    effective = {param.name: param.default for param in mode.params} | dict(params)
    value = effective.get(price.quantity)
    quantity = _number(value)
    row = next((param for param in mode.params if param.name == price.quantity), None)
    if quantity is None or row is None or quantity <= 0 or (row.enum and value not in row.enum):
        return None
    if (row.min is not None and quantity < row.min) or (row.max is not None and quantity > row.max):
        return None
    for rate in price.rates:
        if all(effective.get(name) == value for name, value in rate.when):
            return Decimal(rate.usd) * quantity
    return None


def _number(value: object) -> Decimal | None:
    if isinstance(value, str):
        value = value.removesuffix(PARAM_SECONDS)
        return Decimal(value) if value.isascii() and value.isdigit() else None
    return Decimal(str(value)) if is_number(value) else None

"""The catalog for reading: as JSON for programs, as tables for people. Here lives no fact and no printing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from prospo.model import Mode, Model, Param, Price, Rate
from rich.console import Group
from rich.table import Table
from rich.text import Text

_PARAM = ("name", "type", "required", "default", "enum", "min", "max", "min_items", "max_items", "multiple_of")
_PARAM_MORE = ("max_ratio", "unit", "media", "evidence", "source", "note")


def as_json(models: Sequence[Model], mode: str | None) -> str:
    """A list of models, in the shape that the contract fixes; what a row does not have is absent."""
    return json.dumps([_model(model, mode) for model in models], indent=2, ensure_ascii=False)


def _model(model: Model, only: str | None) -> dict[str, Any]:
    modes = [mode for mode in model.modes if only in (None, mode.id)]
    plain = {"id": model.id, "name": model.name, "family": model.family, "kind": model.kind}
    price = {"price": _price(model.price)} if model.price else {}
    return {**plain, **price, "modes": [_mode(mode) for mode in modes]}


def _price(price: Price) -> dict[str, Any]:
    known = {"unit": price.unit, "quantity": price.quantity, "evidence": price.evidence, "source": price.source}
    rest = {"rates": [_rate(rate) for rate in price.rates], "gaps": price.gaps or None, "note": price.note}
    return {name: value for name, value in {**known, **rest}.items() if value is not None}


def _rate(rate: Rate) -> dict[str, Any]:
    """One figure, or both ends of a range."""
    usd = {"low": float(rate.low), "high": float(rate.high)} if rate.low != rate.high else {"usd": float(rate.low)}
    return {"when": dict(rate.when), **usd, "evidence": rate.evidence}


def _mode(mode: Mode) -> dict[str, Any]:
    plain = {"id": mode.id, "title": mode.title, "evidence": mode.evidence, "on_wire": mode.on_wire}
    return {**plain, "params": [_param(param) for param in mode.params], "example": json.loads(mode.example)}


def _param(param: Param) -> dict[str, Any]:
    values = {name: getattr(param, name) for name in _PARAM + _PARAM_MORE}
    return {name: value for name, value in values.items() if value is not None}


def table(models: Sequence[Model]) -> Table:
    """A line a model."""
    out = Table(box=None, pad_edge=False)
    for heading in ("model", "name", "kind", "modes", "price"):
        out.add_column(heading, no_wrap=heading != "modes")
    for model in models:
        out.add_row(model.id, model.name, model.kind, ", ".join(mode.id for mode in model.modes), _from(model.price))
    return out


def _from(price: Price | None) -> str:
    if price is None:
        return "not published"
    return f"from {min(rate.low for rate in price.rates)} USD a {price.unit}"


def page(model: Model, only: str | None) -> Group:
    """Everything on one model, or on one mode of it."""
    parts: list[Text | Table] = [Text(f"{model.name} ({model.id}), {model.kind}", style="bold")]
    if model.price:
        parts += [Text(f"price, {model.price.evidence}: {_rates(model.price)}")]
    for mode in model.modes:
        if only in (None, mode.id):
            default = ", the default mode" if mode is model.modes[0] else ""
            parts += [Text(), Text(f"mode {mode.id}: {mode.title} ({mode.evidence}{default})", style="bold")]
            parts += [_rows(mode), Text(f"example: {mode.example}", overflow="fold")]
    return Group(*parts)


def _rates(price: Price) -> str:
    rates = [
        f"{rate.low}{f' to {rate.high}' if rate.low != rate.high else ''} USD a {price.unit}"
        + "".join(f", {name} {_shown(value)}" for name, value in rate.when)
        for rate in price.rates
    ]
    return "; ".join(rates + ([price.note] if price.note else []))


def _rows(mode: Mode) -> Table:
    out = Table(box=None, pad_edge=False)
    for heading in ("param", "type", "required", "default", "values", "evidence"):
        out.add_column(heading, no_wrap=heading != "values", overflow="fold")
    for param in mode.params:
        default = "" if param.default is None else _shown(param.default)
        required = "yes" if param.mandatory else ""
        out.add_row(param.name, param.type, required, default, _values(param), param.evidence)
    return out


def _values(param: Param) -> str:
    parts = [", ".join(param.enum)] if param.enum else []
    unit = f" {param.unit}" if param.unit else ""
    if param.min is not None or param.max is not None:
        parts.append(f"{param.min} to {param.max}{unit}")
    if param.multiple_of:
        parts.append(f"multiples of {param.multiple_of}, ratio up to {param.max_ratio}:1")
    if param.media:
        parts.append(f"{param.media}: https URL or upload token")
    if param.max_items:
        parts.append(f"at most {param.max_items}")
    return "; ".join(parts)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

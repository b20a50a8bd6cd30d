"""The table of each mode as `validate` walks it: its rows, each with a test that the usual right values pass.

Here lives no message, and no last word on a value: what fails a test may be right all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .catalog import MODELS
from .model import Mode, Model, Param
from .values import LARGEST, LEAST, is_media, is_size

Test = Callable[[Any], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One row of a table."""

    name: str
    param: Param
    path: str
    """JSON Pointer into the request."""
    is_mandatory: bool
    is_usual: Test
    """Whether a value is right, as most are. One that is not usual has to be looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The rows of one mode."""

    model: Model
    mode: Mode
    rows: tuple[Row, ...]
    names: frozenset[str]
    """Of the params."""


def _test(param: Param) -> Test:
    low = LEAST if param.min is None else param.min
    high = LARGEST if param.max is None else param.max
    listed = frozenset(param.enum or ())
    match param.type:
        case "string" if param.media:
            return is_media
        case "string" if param.enum:
            return lambda value: type(value) is str and value in listed
        case "string":
            return lambda value: type(value) is str
        case "boolean":
            return lambda value: value is True or value is False
        case "number":
            return lambda value: (type(value) is int or type(value) is float) and low <= value <= high
        case "array":
            least, most = param.min_items or 0, LARGEST if param.max_items is None else param.max_items
            return lambda value: type(value) is list and least <= len(value) <= most and all(map(is_media, value))
        case "string|object":
            step, ratio = param.multiple_of or 1, param.max_ratio or 1
            return lambda value: value in listed if type(value) is str else is_size(value, low, high, step, ratio)


def _table(model: Model, mode: Mode) -> Table:
    names = frozenset(param.name for param in mode.params)
    rows = (Row(param.name, param, f"/params/{param.name}", param.mandatory, _test(param)) for param in mode.params)
    return Table(model, mode, tuple(rows), names)


TABLES: Mapping[str, Mapping[str, Table]] = {
    model.id: {mode.id: _table(model, mode) for mode in model.modes} for model in MODELS.values()
}
"""By model and mode; the first mode is the one that a request without `mode` gets."""
NAMES = frozenset(name for tables in TABLES.values() for table in tables.values() for name in table.names)
"""Of the params of all modes."""

"""Requests drawn at random, from the catalog: valid ones, and valid ones with exactly one rule broken.

Here live no verdicts; what is drawn knows what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from hypothesis import strategies as st
from prospec.example import URLS
from prospec.ir import Choice, Flag, ListOf, Media, Number, Param, Size, Spec, Text, Type

from .plants import ABSENT, Plant, edges, plants

BLAND = st.sampled_from(["A red ball on a white table", "A quiet lake at dawn", "Slow pan over green hills"])
"""Texts that no content filter has a reason to refuse."""


@dataclass(frozen=True, slots=True)
class Planted:
    """Params with exactly one fault."""

    params: dict[str, Any]
    plant: Plant


def values(type: Type, text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Valid values of one type."""
    match type:
        case Text():
            return text
        case Flag():
            return st.booleans()
        case Choice(of):
            return st.sampled_from(of)
        case Number(low, high, _):
            if low is None and high is None:
                return st.integers(min_value=0, max_value=2**31 - 1)
            whole = st.integers(
                min_value=None if low is None else int(-(-low // 1)), max_value=None if high is None else int(high // 1)
            )
            return whole if low is None or high is None or low < high // 1 else st.floats(low, high)
        case Media(media):
            return st.sampled_from([URLS[media], URLS[media].replace("//", "//cdn."), URLS[media] + "?v=2"])
        case ListOf(item, low_items, high_items):
            return st.lists(values(item, text), min_size=low_items or 1, max_size=high_items or 4)
        case Size():
            return _sizes(type)
        case _:
            assert_never(type)


def _sizes(size: Size) -> st.SearchStrategy[Any]:
    step, ratio = size.multiple_of, size.max_ratio
    sides = st.integers(-(-size.min // step), size.max // step)

    def second(first: int) -> st.SearchStrategy[dict[str, int]]:
        low, high = max(-(-size.min // step), -(-first // ratio)), min(size.max // step, first * ratio)
        return st.integers(low, high).map(lambda other: {"width": first * step, "height": other * step})

    return st.one_of(st.sampled_from(size.presets), sides.flatmap(second))


def valid_params(rows: Sequence[Param], text: st.SearchStrategy[str] = BLAND) -> st.SearchStrategy[dict[str, Any]]:
    """Params with every mandatory row and any of the others."""
    return st.fixed_dictionaries(
        {param.name: values(param.type, text) for param in rows if param.mandatory},
        optional={param.name: values(param.type, text) for param in rows if not param.mandatory and edges(param)},
    )


def faults(spec: Spec, param: Param) -> st.SearchStrategy[Plant]:
    """One fault of a row: off the lattice, or a number anywhere outside the range."""
    drawn: list[st.SearchStrategy[Plant]] = [st.sampled_from(list(plants(spec, param)))]
    if isinstance(param.type, Number):
        if (low := param.type.min) is not None:
            drawn.append(st.floats(max_value=low, exclude_max=True, allow_infinity=False).map(_at(param, "minimum")))
        if (high := param.type.max) is not None:
            drawn.append(st.floats(min_value=high, exclude_min=True, allow_infinity=False).map(_at(param, "maximum")))
    return st.one_of(drawn)


def _at(param: Param, code: str) -> Any:
    return lambda value: Plant(param, code, value)


def planted(
    spec: Spec, rows: Sequence[Param], breakable: Sequence[Param], text: st.SearchStrategy[str] = BLAND
) -> st.SearchStrategy[Planted]:
    """Valid params with one fault in one of the breakable rows."""
    faulty = st.sampled_from(list(breakable)).flatmap(lambda param: faults(spec, param))
    return st.builds(_plant, valid_params(rows, text), faulty)


def _plant(params: dict[str, Any], plant: Plant) -> Planted:
    present = params if plant.value is not ABSENT else {plant.param.name: None, **params}
    return Planted(plant.into(present), plant)

"""A row of the catalog as the bindings have it: the names of its facts, and their values. Several targets take it.

Here lives no word of a target language.
"""

from __future__ import annotations

from typing import Any, assert_never

from ..ir import Choice, Flag, ListOf, Media, Number, Param, Size, Text, Type


def facts(param: Param) -> dict[str, Any]:
    """Name -> value, without those that do not apply."""
    known: dict[str, Any] = {
        "name": param.name,
        "type": _wire_type(param.type),
        "required": param.required,
        "evidence": param.evidence,
        "source": param.source,
        "default": param.default,
        **_constraints(param.type),
        "inferred": param.inferred or None,
        "note": param.note,
    }
    return {name: value for name, value in known.items() if value is not None}


def _wire_type(type: Type) -> str:
    match type:
        case Text() | Choice() | Media():
            return "string"
        case Flag():
            return "boolean"
        case Number():
            return "number"
        case ListOf():
            return "array"
        case Size():
            return "string|object"
        case _:
            assert_never(type)


def _constraints(type: Type) -> dict[str, Any]:
    match type:
        case Text() | Flag():
            return {}
        case Choice(of):
            return {"enum": of}
        case Number(low, high, unit):
            return {"min": low, "max": high, "unit": unit}
        case Media(media):
            return {"media": media}
        case ListOf(item, low_items, high_items):
            return {"min_items": low_items, "max_items": high_items, "media": item.media}
        case Size(presets, step, low, high, ratio):
            return {"enum": presets, "min": low, "max": high, "multiple_of": step, "max_ratio": ratio, "unit": "px"}
        case _:
            assert_never(type)

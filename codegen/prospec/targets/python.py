"""The target `python`: how Python spells a literal, a name, a check. Its templates hold loops, its logic is copied."""

from __future__ import annotations

import json
import keyword
import math
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import fields as fields_of
from decimal import Decimal
from typing import Any, assert_never

from ..emit import HEADER, Code, Files, render
from ..example import example_request
from ..ir import Choice, Evidence, Flag, ListOf, Media, Mode, Model, Number, Param, Size, Spec, Text, Type
from ..schema import bundle, describe, pairs, size_name, type_name
from . import datamodel


@dataclass(frozen=True, slots=True)
class Row:
    """A documented row as its check is printed."""

    key: Code
    refused: Code
    """An expression over `value`, true for a value that breaks the row."""


@dataclass(frozen=True, slots=True)
class Check:
    """The check of one mode as it is printed."""

    function: Code
    keys: tuple[Code, ...]
    mandatory: tuple[Row, ...]
    optional: tuple[Row, ...]
    closed: Code


@dataclass(frozen=True, slots=True)
class TypedMode:
    """One mode as a method of its model."""

    function: Code
    params: Code
    """The TypedDict of its params."""
    wire_id: str | None
    """What the request says for it; None where the provider declares no mode."""
    doc: Code


@dataclass(frozen=True, slots=True)
class TypedModel:
    """One model as an attribute of the client."""

    id: str
    attribute: Code
    type: Code
    doc: Code
    modes: tuple[TypedMode, ...]


def emit(spec: Spec) -> Files:
    """The package `prospo`."""
    filters: dict[str, Callable[..., Any]] = {
        "lit": literal,
        "fields": fields,
        "part": Code,
        "word": lambda word: literal(str(word)),
        "cited_by": lambda gap: cited_by(spec, gap.id),
        "example": lambda mode, model: json.dumps(example_request(spec, model, mode), ensure_ascii=False),
    }
    context = {
        "header": Code(HEADER),
        "spec": spec,
        "modes": [_check(model, mode) for model, mode in pairs(spec)],
        "typed": [_typed(model) for model in spec.models],
        "aliases": [(each.name, getattr(spec.aliases, each.name)) for each in fields_of(spec.aliases)],
        "envelope": tuple(spec.openapi["components"]["schemas"]["GenerateRequest"]["properties"]),
    }
    out = render("python", filters, context)
    out["prospo/types.py"] = _types(spec)
    return out


def literal(value: object) -> Code:
    """A Python literal that reads back as the same value. `repr` escapes every character that is not printable."""
    match value:
        case float() if not math.isfinite(value):
            raise TypeError(f"no literal for {value}")
        case None | bool() | int() | float():
            return Code(repr(value))
        case Decimal():
            return Code(f"Decimal({str(value)!r})")
        case Evidence():
            return Code(repr(str(value)))
        case str():
            return Code(repr(value))
        case tuple():
            return Code(f"({''.join(f'{literal(item)}, ' for item in value)})")
        case _:
            raise TypeError(f"no literal for a {type(value).__name__}")


def identifier(*ids: str) -> Code:
    """seedance-2-fast, text -> seedance_2_fast__text. Raises ValueError for what is no name in Python.

    Beyond ASCII two names that differ may be one to Python: they are refused.
    """
    name = "__".join(id.replace("-", "_") for id in ids)
    if not name.isascii() or not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{name!r} is no Python name")
    return Code(name)


def attribute(id: str) -> Code:
    """kling-o3 -> kling_o3, as the name of an attribute; import -> import_, as Python has it for a word of its own."""
    return identifier(id + "_" if keyword.iskeyword(id) else id)


def docstring(*lines: str, indent: int) -> Code:
    """A docstring, a line each, of which no character ends it; what cannot be printed stands as its escape."""
    safe = [
        _within_quotes("".join(each if each.isprintable() else repr(each)[1:-1] for each in line)) for line in lines
    ]
    end = "" if len(safe) == 1 else "\n" + " " * indent
    inner = "\n".join(" " * indent + line if index and line else line for index, line in enumerate(safe))
    return Code(f'"""{inner}{end}"""')


def _within_quotes(line: str) -> str:
    """A line as it stands between three quotes. One of its own is escaped where another or an end follows."""
    return "".join(
        f"\\{char}" if char == "\\" or (char == '"' and line[index + 1 : index + 2] in ('"', "")) else char
        for index, char in enumerate(line)
    )


def fields(param: Param) -> Code:
    """The keyword arguments of a row of the catalog, without those that do not apply."""
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
    return Code(", ".join(f"{name}={literal(value)}" for name, value in known.items() if value is not None))


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


def cited_by(spec: Spec, gap: str) -> tuple[str, ...]:
    """What rests on a gap: requirements by id, params and prices by where they stand."""
    found = [requirement.id for requirement in spec.requirements if requirement.gap == gap]
    found += [f"{model.id} price" for model in spec.models if model.price and gap in model.price.gaps]
    for model, mode in pairs(spec):
        found += [f"{model.id} {mode.id} {param.name}" for param in mode.params if gap in dict(param.gaps).values()]
    return tuple(found)


def _check(model: Model, mode: Mode) -> Check:
    """The documented rules of one mode: what is only inferred or assumed refuses nothing."""
    binding = [param for param in mode.params if param.evidence is Evidence.DOCUMENTED]
    keys = [(model.id, mode.id)] + ([(model.id, "")] if mode is model.modes[0] else [])
    names = ", ".join(literal(param.name) for param in mode.params)
    return Check(
        function=identifier(model.id, mode.id),
        keys=tuple(literal(key) for key in keys),
        mandatory=tuple(Row(literal(param.name), _refused(param)) for param in binding if param.mandatory),
        optional=tuple(Row(literal(param.name), _refused(param)) for param in binding if not param.mandatory),
        closed=Code(f"params.keys() <= {{{names}}}" if mode.evidence is Evidence.DOCUMENTED else "True"),
    )


def _typed(model: Model) -> TypedModel:
    return TypedModel(
        id=model.id,
        attribute=attribute(model.id),
        type=Code(type_name(model.id)),
        doc=docstring(f"{model.name}.", indent=4),
        modes=tuple(
            TypedMode(
                function=attribute(mode.id),
                params=Code(f"{type_name(model.id, mode.id)}Params"),
                wire_id=mode.id if mode.on_wire else None,
                doc=_manual(model, mode),
            )
            for mode in model.modes
        ),
    )


def _manual(model: Model, mode: Mode) -> Code:
    """What a person wants to know of one mode and of each of its params, as an editor shows it."""
    rows = [
        f"{param.name}: {'required. ' if param.mandatory else ''}{_words(param.type)}{describe(param)}"
        for param in mode.params
    ]
    head = f"{model.name}, {mode.title}. {str(mode.evidence).capitalize()}: {mode.source}."
    return docstring(head, "", *rows, "", "Raises what `generate` does; `with_options` sets the rest.", indent=8)


def _words(type: Type) -> str:
    match type:
        case Choice(of) | Size(of):
            return f"One of {', '.join(of)}. "
        case _:
            return ""


def _refused(param: Param) -> Code:
    match param.type:
        case Text():
            return Code("not isinstance(value, str)")
        case Flag():
            return Code("not isinstance(value, bool)")
        case Choice(of):
            return Code(f"not isinstance(value, str) or value not in {{{', '.join(map(literal, of))}}}")
        case Number(low, high, _):
            bounds = [literal(low) + " <= "] if low is not None else []
            bounds += ["value"] + ([" <= " + literal(high)] if high is not None else [])
            outside = f" or not {''.join(bounds)}" if len(bounds) > 1 else ""
            return Code(f"not is_number(value){outside}")
        case Media():
            return Code("not is_media(value)")
        case ListOf(_, low_items, high_items):
            lengths = []
            if low_items is not None and "minItems" not in param.inferred:
                lengths.append(f"len(value) < {literal(low_items)}")
            if high_items is not None and "maxItems" not in param.inferred:
                lengths.append(f"len(value) > {literal(high_items)}")
            return Code(" or ".join(["not is_array(value)", *lengths, "not all(map(is_media, value))"]))
        case Size(presets, step, low, high, ratio):
            rules = f"low={low:d}, high={high:d}, step={step:d}, ratio={ratio:d}"
            return Code(f"not is_size(value, frozenset({literal(presets)}), {rules})")
        case _:
            assert_never(param.type)


def _types(spec: Spec) -> str:
    """TypedDicts of every request and its params, from the strict bundle."""
    schemas = bundle(spec, strict=True)["components"]["schemas"]
    names = [size_name(param) for _, mode in pairs(spec) for param in mode.params if isinstance(param.type, Size)]
    names += [f"{type_name(model.id, mode.id)}{kind}" for model, mode in pairs(spec) for kind in ("Params", "Request")]
    return datamodel.module(
        {name: schemas[name] for name in names},
        "TypedDict",
        use_closed_typed_dict=False,
        collapse_root_models=True,
        reuse_model=True,
    )

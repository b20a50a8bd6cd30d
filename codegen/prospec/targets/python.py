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
from ..schema import describe, pairs, request_schema, size_name, type_name
from .rows import facts


@dataclass(frozen=True, slots=True)
class Row:
    """A documented row as its check is printed."""

    key: Code
    found: Code
    """The value: an expression over `params`."""
    has_name: bool
    """Whether it is called `value`; what is looked at once needs no name."""
    refused: Code
    """An expression, true for a value that breaks the row, or a list that does by itself."""
    item_refused: Code | None
    """The same over each `item` of a list."""


@dataclass(frozen=True, slots=True)
class Check:
    """The check of one mode as it is printed."""

    id: Code
    function: Code
    mandatory: tuple[Row, ...]
    optional: tuple[Row, ...]
    names: Code
    """The names of all rows, as the items of a set."""
    closed: bool
    """Whether the mode refuses a param that no row lists."""
    is_documented: bool
    """Whether every row may refuse a value, so that a param that was not looked at is one that no row lists."""

    @property
    def needed(self) -> Code:
        """How many params are mandatory."""
        return literal(len(self.mandatory))

    @property
    def has_value(self) -> bool:
        return any(row.has_name for row in (*self.mandatory, *self.optional))


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


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a TypedDict."""

    name: Code
    type: Code
    doc: Code


@dataclass(frozen=True, slots=True)
class TypedDicts:
    """The types of one mode: of its params and of its request."""

    name: Code
    """Without the word Params or Request at its end."""
    doc: Code
    rows: tuple[Member, ...]
    has_attributes: bool
    """Whether every row can be written as an attribute of a class: none is a word of Python's own."""
    request: tuple[tuple[Code, Code], ...]
    """Keys and types."""


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
    rows = [param for _, mode in pairs(spec) for param in mode.params]
    sizes = dict.fromkeys(size_name(param) for param in rows if isinstance(param.type, Size))
    context = {
        "header": Code(HEADER),
        "spec": spec,
        "models": [(literal(model.id), [_check(model, mode) for mode in model.modes]) for model in spec.models],
        "typed": [_typed(model) for model in spec.models],
        "dicts": [_dicts(spec, model, mode) for model, mode in pairs(spec)],
        "sizes": [Code(name) for name in sizes],
        "aliases": [(each.name, getattr(spec.aliases, each.name)) for each in fields_of(spec.aliases)],
        "envelope": tuple(spec.openapi["components"]["schemas"]["GenerateRequest"]["properties"]),
    }
    return render("python", filters, context)


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
    return Code(", ".join(f"{name}={literal(value)}" for name, value in facts(param).items()))


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
    return Check(
        id=literal(mode.id),
        function=identifier(model.id, mode.id),
        mandatory=tuple(_row(param) for param in binding if param.mandatory),
        optional=tuple(_row(param) for param in binding if not param.mandatory),
        names=Code(", ".join(literal(param.name) for param in mode.params)),
        closed=mode.evidence is Evidence.DOCUMENTED,
        is_documented=len(binding) == len(mode.params),
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


def _row(param: Param) -> Row:
    key = literal(param.name)
    has_name = not isinstance(param.type, Text | Choice)
    found = f"params.get({key})" if param.mandatory else f"params[{key}]"
    return Row(
        key=key,
        found=Code(found),
        has_name=has_name,
        refused=_refused(param, "value" if has_name else found),
        item_refused=_no_media("item") if isinstance(param.type, ListOf) else None,
    )


def _no_media(name: str) -> Code:
    return Code(f"plain_media({name}) is None and any_media({name}) is None")


def _refused(param: Param, value: str) -> Code:
    """Whether a value breaks the row. It may raise TypeError for one of another type."""
    match param.type:
        case Text():
            return Code(f"not isinstance({value}, str)")
        case Flag():
            return Code("value is not True and value is not False")
        case Choice(of):
            return Code(f"{value} not in {{{', '.join(map(literal, of))}}}")
        case Number(low, high, _):
            usual = "type(value) is not int and type(value) is not float and not is_number(value)"
            least = "LEAST" if low is None else literal(low)
            most = "LARGEST" if high is None else literal(high)
            return Code(f"{usual} or not {least} <= value <= {most}")
        case Media():
            return _no_media("value")
        case ListOf(_, low_items, high_items):
            lengths = []
            if low_items is not None and "minItems" not in param.inferred:
                lengths.append(f"len(value) < {literal(low_items)}")
            if high_items is not None and "maxItems" not in param.inferred:
                lengths.append(f"len(value) > {literal(high_items)}")
            return Code(" or ".join(["type(value) is not list and not is_array(value)", *lengths]))
        case Size(presets, step, low, high, ratio):
            listed = f"value not in {{{', '.join(map(literal, presets))}}}"
            rules = f"{low:d}, {high:d}, {step:d}, {ratio:d}"
            return Code(f"{listed} if isinstance(value, str) else not is_size(value, {rules})")
        case _:
            assert_never(param.type)


def _dicts(spec: Spec, model: Model, mode: Mode) -> TypedDicts:
    """The types of one mode's params and of its request."""
    types = [(param, _needed(_type(param), is_needed=param.mandatory)) for param in mode.params]
    request = request_schema(spec, model, mode, strict=True)
    name = type_name(model.id, mode.id)
    known = {
        "params": f"{name}Params",
        "model": f"Literal[{literal(model.id)}]",
        "mode": f"Literal[{literal(mode.id)}]",
    }
    members = {
        key: known.get(key) or JSON_TYPES.get(schema.get("type"), "object")
        for key, schema in request["properties"].items()
    }
    return TypedDicts(
        name=Code(name),
        doc=docstring(request["properties"]["params"]["description"], indent=4),
        rows=tuple(Member(Code(param.name), type, docstring(describe(param), indent=4)) for param, type in types),
        has_attributes=not any(keyword.iskeyword(param.name) for param in mode.params),
        request=tuple(
            (literal(key), _needed(type, is_needed=key in request["required"])) for key, type in members.items()
        ),
    )


JSON_TYPES = {"string": "str", "boolean": "bool", "integer": "int", "number": "float"}
"""The types that the envelope's own members have."""


def _needed(type: str, *, is_needed: bool) -> Code:
    return Code(type if is_needed else f"NotRequired[{type}]")


def _type(param: Param) -> str:
    match param.type:
        case Text() | Media():
            return "str"
        case Flag():
            return "bool"
        case Choice(of):
            return f"Literal[{', '.join(map(literal, of))}]"
        case Number():
            return "float"
        case ListOf():
            return "list[str]"
        case Size(presets=presets):
            return f"Literal[{', '.join(map(literal, presets))}] | {size_name(param)}"
        case _:
            assert_never(param.type)

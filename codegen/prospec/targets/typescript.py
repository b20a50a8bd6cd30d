"""The target `typescript`: how TypeScript spells a literal, a name, a comment, a type, a check.

Its templates hold loops, its logic is copied. Here lives nothing of how the package is built: npm and tsc do that.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from decimal import Decimal
from typing import Any, assert_never

from ..emit import HEADER, Code, Files, render
from ..example import example_request
from ..ir import Choice, Evidence, Flag, ListOf, Media, Mode, Model, Number, Param, Size, Spec, Text, Type
from ..schema import describe, type_name
from ..shape import LARGEST
from .rows import facts


@dataclass(frozen=True, slots=True)
class Row:
    """A param as it is printed: a property of a type, a case of a check, an entry of the catalog."""

    property: Code
    type: Code
    doc: Code
    case: Code
    refused: Code | None
    """An expression over `value`, true for a value that breaks the row; None where nothing is documented."""
    counts: bool
    """Whether the check counts it: it is documented, and no request may lack it."""
    fields: Code


@dataclass(frozen=True, slots=True)
class TypedMode:
    """One mode as it is printed."""

    of: Mode
    params: Code
    """The interface of its params."""
    check: Code
    """The function that judges them."""
    doc: Code
    check_doc: Code
    rows: tuple[Row, ...]
    counted: bool
    """Whether any row counts."""
    complete: Code
    """An expression over `seen`, true where every row that counts was there."""
    binds: bool
    """Whether any row is documented."""
    closed: bool
    """Whether a param that no row lists is refused."""
    example: str


@dataclass(frozen=True, slots=True)
class TypedModel:
    """One model as it is printed: a module of its own."""

    of: Model
    constant: Code
    file: str
    """What an import of it names, from the folder that it is in."""
    path: str
    """What an import of it names, from the folder above."""
    doc: Code
    types: tuple[Code, ...]
    """What it imports of the types of the catalog."""
    helpers: tuple[Code, ...]
    """What its checks import."""
    modes: tuple[TypedMode, ...]
    checks: tuple[Code, ...]
    """The checks that it exports."""
    params: tuple[Code, ...]
    """The interfaces that it exports."""
    wire_modes: Code
    """The type of what a request may say for its mode."""


def emit(spec: Spec) -> Files:
    """The npm package `prospo`, but for what npm and tsc make of it."""
    filters: dict[str, Callable[..., Any]] = {"lit": literal, "constant": constant, "joined": joined}
    models = {model.id: _typed(spec, model) for model in spec.models}
    _refuse_twice([name for model in models.values() for name in (model.constant, *model.checks)])
    context = {
        "header": Code(HEADER),
        "spec": spec,
        "models": tuple(models.values()),
        "aliases": [(each.name, getattr(spec.aliases, each.name)) for each in fields_of(spec.aliases)],
        "envelope": tuple(spec.openapi["components"]["schemas"]["GenerateRequest"]["properties"]),
    }
    return render("typescript", filters, context, {"model": models})


def joined(names: Sequence[Code]) -> Code:
    """A list of names."""
    return Code(", ".join(names))


def _refuse_twice(names: Sequence[str]) -> None:
    """Raises ValueError where two exports would have one name."""
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two things of the catalog would be called {', '.join(sorted(twice))}")


def literal(value: object) -> Code:
    """A literal that reads back as the same value, whatever HTML or comment it may come to stand in.

    It is JSON, on one line, with an escape for every character that is not printable. Raises TypeError for what has
    none: numbers that are not finite, integers that a double does not hold, other types.
    """
    match value:
        case float() if not math.isfinite(value):
            raise TypeError(f"no literal for {value}")
        case bool() | None:
            return Code(json.dumps(value))
        case int() if abs(value) > LARGEST:
            raise TypeError(f"no literal for {value}")
        case int() | float():
            return Code(repr(value))
        case Decimal() | Evidence():
            return literal(str(value))
        case str():
            return Code('"' + "".join(map(_in_quotes, value)).replace("</", "<\\/") + '"')
        case tuple():
            return Code(f"[{', '.join(map(literal, value))}]")
        case _:
            raise TypeError(f"no literal for a {type(value).__name__}")


def _in_quotes(char: str) -> str:
    return f"\\{char}" if char in '"\\' else _visible(char)


def _visible(char: str) -> str:
    """A character, or its escape where an editor does not show it."""
    return char if char.isprintable() else json.dumps(char)[1:-1] if char != "\x7f" else "\\u007f"


_RESERVED = """
arguments await break case catch class const continue debugger default delete do else enum eval export extends
false finally for function if implements import in instanceof interface let new null package private protected
public return static super switch this throw true try typeof undefined var void while with yield
"""
RESERVED = frozenset(_RESERVED.split())
"""What names nothing of ours in a module."""
HELPERS = ("areMedia", "isArray", "isMedia", "isNumber", "isObject", "isSize")
"""The functions of values.ts."""
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


def identifier(name: str) -> Code:
    """A name as it stands in code. Raises ValueError for what is none."""
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(f"{name!r} is no TypeScript name")
    return Code(name)


def constant(id: str) -> Code:
    """seedance-2-fast -> seedance2Fast; import -> import_, as is-media -> isMedia_, which its module imports."""
    name = type_name(id)
    name = name[:1].lower() + name[1:]
    return identifier(f"{name}_" if name in RESERVED or name in HELPERS else name)


def comment(text: str) -> Code:
    """A doc comment of one line, of which no character ends it or makes a tag; what is not printable is escaped.

    `*/` would end the comment, `@` begin a tag, `</` end a script: a backslash keeps each from it.
    """
    shown = "".join(map(_visible, text))
    safe = shown.replace("*/", "*\\/").replace("@", "\\@").replace("</", "<\\/")
    return Code(f"/** {safe} */")


def _typed(spec: Spec, model: Model) -> TypedModel:
    modes = tuple(_mode(spec, model, mode) for mode in model.modes)
    checks = " ".join(row.refused or "" for mode in modes for row in mode.rows)
    has_size = any(isinstance(param.type, Size) for mode in model.modes for param in mode.params)
    return TypedModel(
        of=model,
        constant=constant(model.id),
        file=f"./{model.id}.js",
        path=f"./models/{model.id}.js",
        doc=comment(f"{model.name}."),
        types=(Code("Model"), *([Code("Size")] if has_size else [])),
        helpers=tuple(Code(each) for each in HELPERS if each == "isObject" or f"{each}(" in checks),
        modes=modes,
        checks=tuple(mode.check for mode in modes),
        params=tuple(mode.params for mode in modes),
        wire_modes=Code(" | ".join(literal(mode.id) for mode in model.modes if mode.on_wire) or "never"),
    )


def _mode(spec: Spec, model: Model, mode: Mode) -> TypedMode:
    rows = tuple(map(_row, mode.params))
    head = f"{model.name}, {mode.title}. {str(mode.evidence).capitalize()}: {mode.source}."
    name = type_name(model.id, mode.id)
    counted = sum(row.counts for row in rows)
    return TypedMode(
        of=mode,
        params=identifier(f"{name}Params"),
        check=identifier(f"is{name}"),
        doc=comment(head),
        check_doc=comment(f"Whether `params` keeps every documented rule of the mode {mode.id}."),
        rows=rows,
        counted=counted > 0,
        complete=Code(f"seen === {counted}" if counted else "true"),
        binds=any(row.refused for row in rows),
        closed=mode.evidence is Evidence.DOCUMENTED,
        example=json.dumps(example_request(spec, model, mode), ensure_ascii=False),
    )


def _row(param: Param) -> Row:
    binds = param.evidence is Evidence.DOCUMENTED
    return Row(
        property=Code(f"{_property(param.name)}{'' if param.mandatory else '?'}"),
        type=_type(param.type),
        doc=comment(describe(param)),
        case=literal(param.name),
        refused=_refused(param) if binds else None,
        counts=binds and param.mandatory,
        fields=_fields(param),
    )


def _property(name: str) -> Code:
    """A member's name: bare where it can be."""
    return Code(name) if _NAME.fullmatch(name) else literal(name)


def _type(type: Type) -> Code:
    match type:
        case Text() | Media():
            return Code("string")
        case Flag():
            return Code("boolean")
        case Number():
            return Code("number")
        case Choice(of):
            return Code(" | ".join(map(literal, of)))
        case ListOf():
            return Code("readonly string[]")
        case Size(presets):
            return Code(" | ".join([*map(literal, presets), "Size"]))
        case _:
            assert_never(type)


def _refused(param: Param) -> Code:
    match param.type:
        case Text():
            return Code('typeof value !== "string"')
        case Flag():
            return Code('typeof value !== "boolean"')
        case Choice(of):
            return Code(" && ".join(f"value !== {literal(each)}" for each in of))
        case Number(low, high, _):
            ends = [f"value {sign} {literal(end)}" for sign, end in (("<", low), (">", high)) if end is not None]
            return Code(" || ".join(["!isNumber(value)", *ends]))
        case Media():
            return Code("!isMedia(value)")
        case ListOf(_, low_items, high_items):
            lengths = []
            if low_items is not None and "minItems" not in param.inferred:
                lengths.append(f"value.length < {literal(low_items)}")
            if high_items is not None and "maxItems" not in param.inferred:
                lengths.append(f"value.length > {literal(high_items)}")
            return Code(" || ".join(["!isArray(value)", *lengths, "!areMedia(value)"]))
        case Size(presets, step, low, high, ratio):
            rules = ", ".join(map(literal, (low, high, step, ratio)))
            return Code(" && ".join([*(f"value !== {literal(each)}" for each in presets), f"!isSize(value, {rules})"]))
        case _:
            assert_never(param.type)


def _fields(param: Param) -> Code:
    """The members of a row of the catalog, without those that do not apply."""
    return Code(", ".join(f"{_camel(name)}: {literal(value)}" for name, value in facts(param).items()))


def _camel(name: str) -> str:
    """max_items -> maxItems."""
    head, *rest = name.split("_")
    return head + "".join(map(str.capitalize, rest))

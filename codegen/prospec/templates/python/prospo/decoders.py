"""Requests as bytes, by msgspec: what the extra `fast` brings. The verdicts are the same with it and without.

There is one typed decoder a (model, mode). What it takes is a valid request; what it refuses need not be an invalid
one, since it knows only what most requests are like: each member once, no param that no row lists, rows that are only
inferred of the type that they should have. So the rules have the last word. Here live no rules of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, defstruct

from . import jsontext
from .catalog import MODELS
from .model import Mode, Model, Param
from .problem import NotJSONError
from .rules import HEAD, Usual, is_valid
from .values import any_media, is_within_ratio, plain_media

MANY = 4096
"""Heads that are remembered. Programs that write more of them do not begin with the model and mode."""
LARGEST_BOUND = 2**53
"""A typed decoder makes a double of each number. Beyond this, two whole numbers may be one double."""
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError)
"""What msgspec raises for bytes that it does not read, and for what is not bytes."""


class _Named(Struct, gc=False):
    model: str
    mode: str | None = None


named = msgspec.json.Decoder(_Named).decode
"""The model and mode of a request as bytes."""
_value = msgspec.json.Decoder().decode


def is_valid_json(data: bytes, usual: dict[bytes, Usual]) -> bool:
    """The verdict on bytes that no usual decoder takes; `usual` learns from those that are valid all the same."""
    data = bytes(data)  # which text is not, while msgspec reads text as well
    try:
        # This reads bytes beyond the profile as well, but none of the profile in another way.
        if not is_valid(_value(data)):
            return False
    except UNREADABLE:
        pass
    try:
        request = jsontext.parse(data)
    except NotJSONError:
        return False
    if not is_valid(request):
        return False
    head = data[:HEAD]
    if head in usual:
        usual[head] = _by_name  # other models or modes begin in the same way
    elif len(usual) < MANY:
        usual[head] = _decoder(request["model"], request.get("mode"))
    return True


def parse(data: bytes) -> Any:
    """The same as `jsontext.parse` within its usual limits."""
    if jsontext.is_tame(data):
        try:
            return _value(data)
        except UNREADABLE:
            pass  # the other one says why
    return jsontext.parse(data)


def _by_name(data: bytes) -> object:
    of = named(data)
    return _decoder(of.model, of.mode)(data)


@cache
def _decoder(model_id: str, mode_id: str | None) -> Usual:
    """The decoder of one mode; of what is no mode, one that takes nothing."""
    model = MODELS.get(model_id)
    mode = model.mode(mode_id) if model else None
    return decoder(model, mode) if model and mode else lambda data: False


def decoder(model: Model, mode: Mode) -> Usual:
    """Takes requests as bytes that keep the documented rows of the mode; of a mode that has no type here, none."""
    if not all(map(_is_exact, mode.params)):
        return lambda data: False
    decode = msgspec.json.Decoder(_request(model, mode)).decode
    rows = [param for param in mode.params if param.media and param.evidence == "documented"]
    if not rows:
        return decode
    get = attrgetter(*(f"params.{param.name}" for param in rows))
    # Of one row it gives no tuple. A list of media will do, as if it were one of such values; a string will not.
    chosen = get if len(rows) > 1 or rows[0].type == "array" else lambda request: (get(request),)

    def judge(data: bytes) -> bool:
        for found in chosen(decode(data)):
            for value in (found,) if type(found) is str else found:
                if plain_media(value) is None and any_media(value) is None:
                    return False
        return True

    return judge


def _is_exact(param: Param) -> bool:
    return all(bound is None or abs(bound) <= LARGEST_BOUND for bound in (param.min, param.max))


def _request(model: Model, mode: Mode) -> type[Struct]:
    members = [
        ("model", Literal[model.id]),
        ("mode", Literal[mode.id], None) if mode is model.modes[0] else ("mode", Literal[mode.id]),
        ("params", _closed("Params", [_field(param) for param in mode.params])),
        ("webhook_url", str, None),
        ("async_", bool, None),
    ]
    return _closed("Request", members, rename={"async_": "async"})


def _closed(name: str, fields: Iterable[Any], **options: Any) -> type[Struct]:
    """A type that refuses any other member. Its instances live for a moment: the collector need not know them."""
    return defstruct(name, fields, forbid_unknown_fields=True, kw_only=True, gc=False, **options)


def _field(param: Param) -> tuple[Any, ...]:
    """Name and type, and for a row that may be left out a default, which is no media."""
    if param.evidence != "documented":
        return param.name, _likely(param), ()
    return (param.name, _bound(param)) if param.mandatory else (param.name, _bound(param), ())


def _bound(param: Param) -> Any:
    """The type of a documented row, but for what its media have to be."""
    match param.type:
        case "number":
            return Annotated[float, Meta(ge=param.min, le=param.max)]
        case "string" if param.enum:
            return Literal[param.enum]
        case "array":
            low = param.min_items if "minItems" not in param.inferred else None
            high = param.max_items if "maxItems" not in param.inferred else None
            return Annotated[list[str], Meta(min_length=low, max_length=high)]
        case "string|object":
            return Literal[param.enum or ()] | _size(param)
        case _:
            return _likely(param)


def _likely(param: Param) -> Any:
    """The plain type of a row. One that is only inferred may have another: then the rules judge it."""
    types = {"string": str, "boolean": bool, "number": float, "array": list[str]}
    return types[param.type] if param.type in types else str | _size(param)


def _size(param: Param) -> type[Struct]:
    side = Annotated[float, Meta(ge=param.min, le=param.max, multiple_of=param.multiple_of)]
    ratio = param.max_ratio or 1

    def check(size: Any) -> None:
        if not is_within_ratio(size.width, size.height, ratio):
            raise ValueError

    return _closed("Size", [("width", side), ("height", side)], namespace={"__post_init__": check})

"""A request body in, a refusal or nothing out.

The verdict is a JSON Schema validator's on `prospec.schema`, never the generated rules': two deciders that share no
code can disagree, and so catch one another's faults. Here live no I/O and nothing that needs an account.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any, NoReturn, cast
from urllib.parse import quote

from jsonschema import Draft202012Validator, ValidationError, validators
from prospec.ir import ListOf, Media, Mode, Model, Spec
from prospec.schema import request_schema

from .changes import Change, Refusal

MAX_DEPTH = 64
POINTER_MAX_CHARS = 200
"""A member's name may be as long as the body; a header may not."""

REASONS: Mapping[str, str] = {
    "required": "is missing",
    "additionalProperties": "is not known here",
    "type": "must be of type {}",
    "anyOf": "is of a type that does not fit here",
    "enum": "must be one of {}",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "multipleOf": "must be a multiple of {}",
    "pattern": "must be an https URL or an upload token",
    "x-max-ratio": "must have a width and a height of which neither is more than {} times the other",
}
KEYWORDS: Mapping[str, str] = {"pattern": "media", "x-max-ratio": "size", "anyOf": "type"}
"""The names under which a violation is reported, where the keyword itself says too little."""


def _whole_pattern(validator: Any, pattern: str, instance: object, _schema: object) -> Iterator[ValidationError]:
    """`pattern` without Python's leave: its `$` also matches before a final newline. Every pattern here is anchored."""
    if validator.is_type(instance, "string") and not re.fullmatch(pattern, cast(str, instance)):
        yield ValidationError("does not match")


def _max_ratio(validator: Any, ratio: int, instance: object, _schema: object) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    width, height = instance.get("width"), instance.get("height")
    if validator.is_type(width, "integer") and validator.is_type(height, "integer"):
        small, large = sorted((cast(float, width), cast(float, height)))
        if large > ratio * small:
            yield ValidationError("too long")


def _items(validator: Any, item: object, instance: object, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    """The items of a list, unless it is longer than allowed: that comes first, and there may be very many of them."""
    if not isinstance(instance, list) or len(instance) <= schema.get("maxItems", math.inf):
        yield from _every_item(validator, item, instance, schema)


def _no_others(
    validator: Any, allowed: object, instance: object, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """The first member that is not listed, whatever the number of them."""
    if allowed is not False:
        yield from _other_members(validator, allowed, instance, schema)
    elif isinstance(instance, dict) and not instance.keys() <= schema["properties"].keys():
        yield ValidationError("not listed")


_other_members: Any = cast(Any, Draft202012Validator).VALIDATORS["additionalProperties"]
_every_item: Any = cast(Any, Draft202012Validator).VALIDATORS["items"]
Validator: Any = cast(Any, validators).extend(
    Draft202012Validator,
    {"pattern": _whole_pattern, "items": _items, "additionalProperties": _no_others, "x-max-ratio": _max_ratio},
)


def parse(body: bytes) -> Any:
    """The JSON value of a body, or the Refusal of what the validation profile does not take. Its size is not judged."""
    not_json = Refusal(400, "The body is not JSON in UTF-8.", "json")
    nested = Refusal(400, f"The body is nested more than {MAX_DEPTH} deep.", "json")
    try:
        text = body.decode()
        value = json.loads(
            text, parse_constant=_no_constant, parse_int=_whole if _has_long_run(body) else None, parse_float=_finite
        )
    except RecursionError:
        return nested
    except ValueError:
        return not_json
    if _has_half_a_pair(text):
        return not_json
    may_be_deep = body.count(b"[") + body.count(b"{") > MAX_DEPTH
    return nested if may_be_deep and _depth(body) > MAX_DEPTH else value


class Judge:
    """Decides by one spec, under one change. Validators are built when first needed."""

    def __init__(self, spec: Spec, change: Change) -> None:
        schemas = spec.openapi["components"]["schemas"]
        self._spec = spec
        self._change = change
        self._envelope = Validator(schemas["GenerateRequest"])
        self._initiate = Validator(schemas["InitiateUploadRequest"])
        self._pairs: dict[tuple[str, str], Any] = {}

    def generate(self, request: Any) -> Refusal | None:
        """The first thing wrong with a generate request; a Refusal in its place stands.

        What passes is an object with a known model and mode and an object of params.
        """
        return self._change.refusal(request, self._generate(request))

    def initiate(self, request: Any) -> Refusal | None:
        """The first thing wrong with the announcement of an upload, apart from its content type's being unknown."""
        return _first(self._initiate, request)

    def _generate(self, request: Any) -> Refusal | None:
        refusal = _first(self._envelope, request)
        if refusal:
            return refusal
        model = self._spec.model(request["model"])
        if model is None:
            return Refusal(400, "There is no model of this id.", "model", "/model")
        mode = model.mode(request.get("mode"))
        if mode is None:
            return Refusal(400, f"{model.name} has no such mode.", "mode", "/mode")
        return _first(self._validator(model, mode), request)

    def _validator(self, model: Model, mode: Mode) -> Any:
        pair = (model.id, mode.id)
        if pair not in self._pairs:
            schema = request_schema(self._spec, model, mode, strict=self._change.strict)
            self._change.schema(model, mode, schema)
            self._pairs[pair] = Validator(schema)
        return self._pairs[pair]


def upload_tokens(spec: Spec, mode: Mode, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(JSON Pointer, token) for every upload token among the media of `params`."""
    for param in mode.params:
        value = params.get(param.name)
        values = {f"/params/{param.name}": value} if isinstance(param.type, Media) else {}
        if isinstance(param.type, ListOf) and isinstance(value, list):
            values = {f"/params/{param.name}/{index}": item for index, item in enumerate(value)}
        for pointer, item in values.items():
            if isinstance(item, str) and re.fullmatch(spec.service.uploads.token_pattern, item):
                yield pointer, item


def _first(validator: Any, value: Any) -> Refusal | None:
    if isinstance(value, Refusal):
        return value
    error = next(validator.iter_errors(value), None)
    return None if error is None else _refusal(_inmost(error))


def _inmost(error: ValidationError) -> ValidationError:
    """Of an anyOf that failed, the first thing wrong with the branch that is meant: the one whose type matches."""
    while error.context:
        strangers = {child.schema_path[0] for child in error.context if child.validator == "type" and not child.path}
        meant = [child for child in error.context if child.schema_path[0] not in strangers]
        if not meant:
            break
        error = meant[0]
    return error


def _refusal(error: ValidationError) -> Refusal:
    keyword, limit, instance = str(error.validator), cast(Any, error.validator_value), cast(Any, error.instance)
    path = list(error.absolute_path)
    match keyword:  # a missing or unknown member bears its own pointer
        case "required":
            path += [name for name in limit if name not in instance][:1]
        case "additionalProperties":
            known = cast(Any, error.schema)["properties"]
            path += [name for name in instance if name not in known][:1]
    pointer = _pointer(path)
    shown = ", ".join(str(item) for item in limit) if isinstance(limit, list) else limit
    reason = REASONS.get(keyword, "is not allowed here").format(shown)
    return Refusal(400, f"{pointer or 'The body'} {reason}.", KEYWORDS.get(keyword, keyword), pointer)


def _pointer(path: list[str | int]) -> str:
    """A JSON Pointer in ASCII, as in a URI fragment, so that it fits a header whatever the members are called."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    text = "".join(f"/{part}" for part in parts)
    return quote(text, safe="/~!$&'()*+,;=:@", errors="replace")[:POINTER_MAX_CHARS]


def _depth(body: bytes) -> int:
    """How deep the text of a JSON value nests, what a later equal key overwrites included."""
    steps = _a_string.sub(b"", body).translate(_STEP, delete=_NO_BRACKET)
    return max(accumulate(memoryview(steps).cast("b")), default=0)


_a_string = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_STEP = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""A bracket -> the byte that is 1 or -1 where bytes have a sign."""
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


def _has_half_a_pair(text: str) -> bool:
    r"""Whether a string of a JSON text, a key included, has a \u escape of a surrogate without the other half."""
    return _half_a_pair.search(text.replace(r"\\", "..")) is not None


_half_a_pair = re.compile(r"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F])")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_LONGEST_INT = 308
"""Digits. An integer of no more is below the largest double."""
_has_long_run = re.compile(rb"(?<![0-9])[0-9]{%d}" % (_LONGEST_INT + 1)).search


def _whole(text: str) -> int:
    if len(text) > _LONGEST_INT:
        _finite(text)
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("beyond the range of a number")
    return number

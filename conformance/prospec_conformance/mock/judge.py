"""A request body in, a refusal or nothing out.

The verdict is a JSON Schema validator's on `prospec.schema`, never the generated rules': two deciders that share no
code can disagree, and so catch one another's faults. A compiled validator lets requests pass; of what it does not,
python-jsonschema tells the reason, or that there is none. Here live no I/O and nothing that needs an account.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard, cast
from urllib.parse import quote

import jsonschema_rs
from prospec.ir import ListOf, Media, Mode, Model, Spec
from prospec.schema import Schema, request_schema

from .changes import Change, Refusal

if TYPE_CHECKING:
    from jsonschema import ValidationError

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


def _is_match(pattern: str, instance: object) -> bool:
    """`pattern` without Python's leave: its `$` also matches before a final newline. Every pattern here is anchored."""
    return not isinstance(instance, str) or re.fullmatch(pattern, instance) is not None


def _is_within(ratio: int, instance: object) -> bool:
    """Whether no side of a size is more than `ratio` times the other; true of what has no two whole sides."""
    if not isinstance(instance, dict):
        return True
    width, height = instance.get("width"), instance.get("height")
    return not _is_whole(width) or not _is_whole(height) or max(width, height) <= ratio * min(width, height)


def _is_whole(value: object) -> TypeGuard[float]:
    """Whether JSON Schema calls it an integer: 5.0 is one, true is not."""
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


TAUGHT: Mapping[str, Callable[[Any, object], bool]] = {"pattern": _is_match, "x-max-ratio": _is_within}
"""A keyword -> whether an instance keeps to its value. Both validators are taught these: no two makes of regular
expressions are alike."""


def _compiled(keyword: str) -> type:
    """A keyword of `TAUGHT` in the form that the compiled validator takes."""
    keeps = TAUGHT[keyword]

    class Keyword:
        def __init__(self, _parent: object, value: Any, _path: object) -> None:
            self._value = value

        def validate(self, instance: object) -> None:
            if not keeps(self._value, instance):
                raise ValueError(keyword)

    return Keyword


_COMPILED = {keyword: _compiled(keyword) for keyword in TAUGHT}


@cache
def _explainer() -> Any:
    """The validator that explains. Its import takes as long as 10,000 verdicts, and so waits for the first refusal."""
    from jsonschema import Draft202012Validator, ValidationError, validators

    standard: Any = Draft202012Validator

    def taught(keyword: str) -> Any:
        def check(_validator: Any, value: Any, instance: object, _schema: object) -> Iterator[ValidationError]:
            if not TAUGHT[keyword](value, instance):
                yield ValidationError(keyword)

        return check

    def items(validator: Any, item: object, instance: object, schema: Schema) -> Iterator[ValidationError]:
        """The items of a list, unless it is longer than allowed: that comes first, and there may be very many."""
        if not isinstance(instance, list) or len(instance) <= schema.get("maxItems", math.inf):
            yield from standard.VALIDATORS["items"](validator, item, instance, schema)

    def no_others(validator: Any, allowed: object, instance: object, schema: Schema) -> Iterator[ValidationError]:
        """The first member that is not listed, whatever the number of them."""
        if allowed is not False:
            yield from standard.VALIDATORS["additionalProperties"](validator, allowed, instance, schema)
        elif isinstance(instance, dict) and not instance.keys() <= schema["properties"].keys():
            yield ValidationError("not listed")

    keywords = {keyword: taught(keyword) for keyword in TAUGHT}
    return cast(Any, validators).extend(standard, {**keywords, "items": items, "additionalProperties": no_others})


NOT_JSON = Refusal(400, "The body is not JSON in UTF-8.", "json")
NESTED = Refusal(400, f"The body is nested more than {MAX_DEPTH} deep.", "json")


def parse(body: bytes) -> Any:
    """The JSON value of a body, or the Refusal of what the validation profile does not take. Its size is not judged."""
    try:
        text = body.decode()
        value = (_careful if _has_long_run(body) else _plain).decode(text)
    except RecursionError:
        return NESTED
    except ValueError:
        return NOT_JSON
    if b"\\u" in body and _has_half_a_pair(text):
        return NOT_JSON
    may_be_deep = body.count(b"[") + body.count(b"{") > MAX_DEPTH
    return NESTED if may_be_deep and _depth(body) > MAX_DEPTH else value


class Judge:
    """Decides by one spec, under one change. Validators are built when first needed."""

    def __init__(self, spec: Spec, change: Change) -> None:
        schemas = spec.openapi["components"]["schemas"]
        self._spec = spec
        self._change = change
        self._envelope = _Decider(schemas["GenerateRequest"])
        self._initiate = _Decider(schemas["InitiateUploadRequest"])
        self._pairs: dict[tuple[str, str], _Decider] = {}

    def generate(self, request: Any) -> Refusal | None:
        """The first thing wrong with a generate request; a Refusal in its place stands.

        What passes is an object with a known model and mode and an object of params.
        """
        return self._change.refusal(request, self._generate(request))

    def initiate(self, request: Any) -> Refusal | None:
        """The first thing wrong with the announcement of an upload, apart from its content type's being unknown."""
        return self._initiate.refusal(request)

    def _generate(self, request: Any) -> Refusal | None:
        refusal = self._envelope.refusal(request)
        if refusal:
            return refusal
        model = self._spec.model(request["model"])
        if model is None:
            return Refusal(400, "There is no model of this id.", "model", "/model")
        mode = model.mode(request.get("mode"))
        if mode is None:
            return Refusal(400, f"{model.name} has no such mode.", "mode", "/mode")
        return self._decider(model, mode).refusal(request)

    def _decider(self, model: Model, mode: Mode) -> _Decider:
        pair = (model.id, mode.id)
        if pair not in self._pairs:
            schema = request_schema(self._spec, model, mode, strict=self._change.strict)
            self._change.schema(model, mode, schema)
            self._pairs[pair] = _Decider(schema)
        return self._pairs[pair]


class _Decider:
    """One schema and both its validators: the one that is quick, and the one that explains.

    Values must come from `parse`: the quick one raises on half a surrogate pair and on deep nesting.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._lets_pass = jsonschema_rs.Draft202012Validator(schema, keywords=_COMPILED).is_valid

    @cached_property
    def _explain(self) -> Callable[[Any], Iterator[ValidationError]]:
        return cast(Callable[[Any], "Iterator[ValidationError]"], _explainer()(self._schema).iter_errors)

    def refusal(self, value: Any) -> Refusal | None:
        """The first thing wrong with a value; a Refusal in its place stands."""
        if isinstance(value, Refusal):
            return value
        if self._lets_pass(value):
            return None
        error = next(self._explain(value), None)
        return None if error is None else _refusal(_inmost(error))


def prepare() -> None:
    """Loads what the first requests would otherwise wait for: the explainer and the prices."""
    import prospo.price  # noqa: F401

    _explainer()


def upload_tokens(spec: Spec, mode: Mode, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(JSON Pointer, token) for every upload token among the media of `params`."""
    is_token = re.compile(spec.service.uploads.token_pattern).fullmatch
    for param in mode.params:
        value = params.get(param.name)
        if value is None:
            continue
        if isinstance(value, str) and isinstance(param.type, Media):
            values = {f"/params/{param.name}": value}
        elif isinstance(value, list) and isinstance(param.type, ListOf):
            values = {f"/params/{param.name}/{index}": item for index, item in enumerate(value)}
        else:
            continue
        for pointer, item in values.items():
            if isinstance(item, str) and is_token(item):
                yield pointer, item


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
_a_digit = re.compile(rb"[0-9]")
_long_run = re.compile(rb"(?<![0-9])[0-9]{%d}" % (_LONGEST_INT + 1))


def _has_long_run(body: bytes) -> bool:
    """Whether an integer may be longer. One that is has a digit among the few bytes that are looked at first."""
    sample = body[_LONGEST_INT :: _LONGEST_INT + 1]
    return _a_digit.search(sample) is not None and _long_run.search(body) is not None


def _whole(text: str) -> int:
    if len(text) > _LONGEST_INT:
        _finite(text)
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("beyond the range of a number")
    return number


_plain = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)
_careful = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite, parse_int=_whole)
"""What reads a body with an integer that may be too long. A decoder of one's own is built anew for each text."""

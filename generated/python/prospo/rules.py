"""Judges a request: fast (`is_valid`), or with every problem explained (`validate`).

The facts come from the catalog; the fast checks are generated. Here live the envelope's rules and the walk over a
mode's table. How a value is named in a message stands in `wording`, what was likely meant in `suggestion`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from itertools import islice
from types import ModuleType
from typing import Any, Literal

from . import values, wording
from .catalog import ENVELOPE
from .checks import CHECKS, FIRST
from .jsontext import MAX_BYTES, parse
from .model import Evidence
from .problem import NotJSONError, Problem, Severity
from .suggestion import LONGEST, remembered
from .tables import NAMES, TABLES, Row, Table

FEW = 20
"""Unknown members of which each is looked up for what it may have meant. More of them are no misspellings."""
MANY = 100
"""Problems of one kind in one place that are told one by one; those beyond are counted."""


def is_valid(request: Mapping[str, Any]) -> bool:
    """Whether the API would take this request, as far as documented facts tell. The same verdict as `validate`."""
    try:
        params = request["params"]
        size = len(request)
        if "mode" in request:
            check, known = CHECKS[request["model"]][request["mode"]], 3
        else:
            check, known = FIRST[request["model"]], 2
        if size != known:
            if "webhook_url" in request:
                known += 1
                if not isinstance(request["webhook_url"], str):
                    return False
            if "async" in request:
                known += 1
                if request["async"] is not True and request["async"] is not False:
                    return False
            if size != known:
                return False
        # The usual type by itself: `isinstance` of an abstract class takes ten times as long.
        if type(params) is dict is type(request):
            return check(params)
        return isinstance(params, Mapping) and isinstance(request, Mapping) and check(params)
    except (KeyError, TypeError, AttributeError):  # lacks a member, or is of another type
        return False


def is_valid_json(data: bytes) -> bool:
    """`is_valid` of a request as bytes; False for what is not JSON."""
    try:
        if _usual.get(data[:HEAD], _unusual)(data) is not False and len(data) <= MAX_BYTES:
            return True
    except Exception:  # however a decoder refuses it: the rules have the last word
        return _by_rules(data)
    return _by_rules(data)


HEAD = 48
"""Bytes at the start of a request that most often tell its model and mode, and nothing that only this one has."""
Usual = Callable[[bytes], object]
"""Takes some of the valid requests, and of others gives False or raises an exception."""
_usual: dict[bytes, Usual] = {}
"""By the head of a request; empty without the extra `fast`."""


def _unusual(_: bytes) -> Literal[False]:
    return False


def _by_rules(data: bytes) -> bool:
    if quick := _decoders or _decoders_by_now():
        verdict: bool = quick.is_valid_json(data, _usual)
        return verdict
    try:
        return is_valid(parse(data))
    except NotJSONError:
        return False


def validate(request: Mapping[str, Any]) -> list[Problem]:
    """Every problem of a request, a mistake each; empty when there is none.

    Problems of severity `warning` leave it valid. The order is that of the documentation's tables; members that no
    table lists come last, as the request has them.
    """
    if type(request) is not dict and not isinstance(request, Mapping):
        return [_error("", "type", f"a request is an object, got {wording.kind(request)}")]
    unlisted: list[Any] = [] if _MEMBERS.issuperset(request) else [key for key in request if key not in ENVELOPE]
    hints = _hints(unlisted, request) if unlisted else {}
    table, problems = _table(request, hints)
    if "params" in request:
        params = request["params"]
        if type(params) is not dict and not isinstance(params, Mapping):
            message = f"params takes an object, got {wording.kind(params)}"
            problems.append(_error("/params", "type", message, wording.as_object(params)))
        elif table:
            problems += _params(params, table, unlisted)
    elif not _is_misspelt("params", hints):
        names = table.names if table else NAMES
        beside = [key for key in unlisted[:FEW] if key in names]
        unlisted = [key for key in unlisted if key not in beside]
        hint = f"params: {', '.join(beside)} inside it, not beside model" if beside else None
        problems.append(_error("/params", "required", "params is missing: the object of the model's parameters", hint))
    if "webhook_url" in request and not isinstance(value := request["webhook_url"], str):
        message = f"webhook_url takes a string, got {wording.kind(value)}"
        problems.append(_error("/webhook_url", "type", message, wording.as_one_media(value)))
    if "async" in request and not isinstance(value := request["async"], bool):
        message = f"async takes true or false, got {wording.kind(value)}"
        problems.append(_error("/async", "type", message, wording.as_flag(value)))
    if unlisted:
        problems += _unlisted(unlisted, hints, request, table)
    return problems


def validate_json(data: bytes) -> list[Problem]:
    """`validate` of a request as bytes. What is not JSON is one problem, of code `json`."""
    quick = _decoders or _decoders_by_now()
    try:
        request = (quick.parse if quick else parse)(data)
    except NotJSONError as error:
        return [_error("", "json", f"not a JSON value: {error}")]
    return validate(request)


PATIENCE = 1000
"""Requests as bytes before msgspec is loaded, if it is there: loading it takes as long as thousands of them do."""
_waited = 0
_decoders: ModuleType | None = None


def _decoders_by_now() -> ModuleType | None:
    """The module `decoders`, once it pays to load it; None before, and where the extra `fast` is not installed."""
    global _waited, _decoders  # noqa: PLW0603 - a choice of the process, with the same verdicts either way
    if _waited <= PATIENCE:
        _waited += 1
        if _waited > PATIENCE:
            with suppress(ImportError):
                _decoders = import_module(".decoders", __package__)
    return _decoders


def _error(path: str, code: str, message: str, hint: str | None = None) -> Problem:
    return Problem(path, code, "error", "documented", message, hint)


_MEMBERS = frozenset(ENVELOPE)
_Hints = Mapping[Any, str | None]
"""By a key that nothing lists; of the first of them."""


def _hints(keys: Sequence[Any], request: Mapping[Any, Any]) -> _Hints:
    return {key: wording.member(key, request, ()) for key in keys[:FEW]}


def _is_misspelt(name: str, hints: _Hints) -> bool:
    return wording.did_you_mean(name) in hints.values()


def _unlisted(keys: Sequence[Any], hints: _Hints, request: Mapping[Any, Any], table: Table | None) -> list[Problem]:
    found = []
    names = table.names if table else ()
    for key in keys[: MANY + 1]:
        message = f"a request has no member {wording.name(key)}; it has {', '.join(ENVELOPE)}"
        hint = wording.member(key, request, names) if key in names else hints.get(key)
        found.append(_error(wording.pointer("", key), "additionalProperties", message, hint))
    return _counted(found, len(keys))


def _counted(problems: list[Problem], count: int) -> list[Problem]:
    """The first of `count` problems of one kind, of which the last tells how many more there are."""
    if count > MANY + 1:
        last = problems[-1]
        problems[-1] = replace(last, message=f"{last.message}; and {count - MANY - 1:,} more like it")
    return problems


def _table(request: Mapping[Any, Any], hints: _Hints) -> tuple[Table | None, list[Problem]]:
    """The table of the model and mode that a request names, and what is wrong with their names."""
    tables: Mapping[str, Table] = {}
    problems: list[Problem] = []
    if "model" in request:
        id = request["model"]
        if not isinstance(id, str):
            message = f"model takes a string, got {wording.kind(id)}"
            problems.append(_error("/model", "type", message, wording.model_id(id)))
        elif id in TABLES:
            tables = TABLES[id]
        else:
            message = f"the catalog has no model {wording.name(id)}"
            problems.append(_error("/model", "model", message, wording.model_id(id)))
    elif not _is_misspelt("model", hints):
        problems.append(_error("/model", "required", "model is missing: the id of a model of the catalog"))
    if "mode" not in request:
        return next(iter(tables.values()), None), problems
    id = request["mode"]
    if isinstance(id, str) and id in tables:
        table = tables[id]
        if not table.mode.on_wire:
            message = f"{table.model.id} declares no mode: the id {id} is ours, and the API may refuse it"
            problems.append(Problem("/mode", "mode", "warning", table.mode.evidence, message, "leave mode out"))
        return table, problems
    model = next((table.model for table in tables.values()), None)
    if not isinstance(id, str):
        hint = wording.mode_id(id, model) if model else None
        problems.append(_error("/mode", "type", f"mode takes a string, got {wording.kind(id)}", hint))
    elif model:
        message = f"{model.id} has no mode {wording.name(id)}; it has {', '.join(tables)}"
        problems.append(_error("/mode", "mode", message, wording.mode_id(id, model)))
    return None, problems


@dataclass(slots=True)
class _Strays:
    """What stands in params, or beside them, in a place or under a name that it should not have."""

    unknown: list[Any]
    """The keys of params that no row has."""
    problems: dict[Any, Problem]
    """By such a key; of the first of them."""
    misspelt: dict[str, Any]
    """The name of a param -> the key that means it."""
    misplaced: set[Any]
    """Names of params that stand elsewhere."""


_NO_STRAYS = _Strays([], {}, {}, set())


def _params(params: Mapping[Any, Any], table: Table, beside: Sequence[Any]) -> list[Problem]:
    """The problems of params. A param that stands beside them, or under a misspelt name, is not missing as well."""
    strays = _NO_STRAYS if not beside and table.names.issuperset(params) else _strays(params, table, beside)
    problems: list[Problem] = []
    for row in table.rows:
        if row.name in params:
            value = params[row.name]
            if not row.is_usual(value):
                problems += _value(row, value)
        elif row.is_mandatory and row.name not in strays.misplaced:
            problems += _missing(row, table, strays)
    if strays.unknown:
        problems += _unknown(strays, table)
    return problems


def _missing(row: Row, table: Table, strays: _Strays) -> list[Problem]:
    """The problem of a param that is missing, unless a misspelt one tells it. One that it tells is unknown no more."""
    misspelt, hint = strays.misspelt.get(row.name), None
    if misspelt is not None:
        if _severity(table.mode.evidence) == "error" or _severity(row.param.evidence) == "warning":
            return []
        strays.unknown.remove(misspelt)
        hint = f"did you mean {row.name} by {wording.name(misspelt)}?"
    return [_broken(row, "required", f"is missing; {table.model.id} needs it in mode {table.mode.id}", hint)]


def _strays(params: Mapping[Any, Any], table: Table, beside: Iterable[Any]) -> _Strays:
    found = _Strays([key for key in params if key not in table.names], {}, {}, {*beside})
    taken = NAMES.intersection(params)
    for key in found.unknown[:FEW]:
        is_object = isinstance(params[key], Mapping)
        found.problems[key], meant = _stray(str(key), is_object, taken, table)
        if meant:
            found.misspelt.setdefault(meant, key)
        if is_object and wording.is_envelope(key):
            found.misplaced |= _wrapped(params[key], table)
    return found


@remembered
def _stray(text: str, is_object: bool, taken: frozenset[str], table: Table) -> tuple[Problem, str | None]:
    """The problem of a param that the mode does not have, and the param of the mode that it means, if any."""
    hint, meant = wording.unknown_param(text, is_object, taken, table.model, table.mode)
    return _no_param(text, hint, table), meant


def _unknown(strays: _Strays, table: Table) -> list[Problem]:
    keys, known = strays.unknown, strays.problems
    found = [known[key] if key in known else _no_param(str(key), None, table) for key in keys[: MANY + 1]]
    return _counted(found, len(keys))


def _no_param(text: str, hint: str | None, table: Table) -> Problem:
    evidence = table.mode.evidence
    message = f"{table.model.id} in mode {table.mode.id} has no param {wording.name(text)}"
    path = wording.pointer("/params", text)
    return Problem(path, "additionalProperties", _severity(evidence), evidence, message, hint)


def _wrapped(inner: Mapping[Any, Any], table: Table) -> set[Any]:
    """The names of what stands in another object, under a name that means params."""
    if _severity(table.mode.evidence) == "error":
        return {*inner}
    # Then the wrapping is a warning, and what it hides may be an error.
    errors = {row.name for row in table.rows if _severity(row.param.evidence) == "error"}
    return {name for name in inner if name not in errors}


def _severity(evidence: Evidence) -> Severity:
    """Only a documented fact makes a request invalid."""
    return "error" if evidence == "documented" else "warning"


def _broken(row: Row, code: str, message: str, hint: str | None, path: str = "") -> Problem:
    """That a row is broken: by its value, or at a path within it."""
    evidence = row.param.evidence_of(code)
    within = path.replace("/", ".") if path and code != "additionalProperties" else ""
    return Problem(row.path + path, code, _severity(evidence), evidence, f"{row.name}{within} {message}", hint)


def _value(row: Row, value: Any) -> Sequence[Problem]:
    """What is wrong with the value of a param, if anything. Who sends a wrong one sends it again and again."""
    is_small = type(value) in _SMALL or (type(value) is str and len(value) <= LONGEST)
    return (_known_value if is_small else _any_value)(row, value)


_SMALL = frozenset({int, bool, type(None)})
"""Types of values that are told apart by what they are equal to: 0.0 and -0.0 are not."""


def _any_value(row: Row, value: Any) -> Sequence[Problem]:
    param = row.param
    match param.type:
        case "string" if param.media:
            return [] if values.is_media(value) else [_no_media(row, value)]
        case "string":
            return _text(row, value)
        case "number":
            return _number(row, value)
        case "boolean" if not isinstance(value, bool):
            message = f"takes true or false, got {wording.kind(value)}"
            return [_broken(row, "type", message, wording.as_flag(value))]
        case "array":
            return _array(row, value)
        case "string|object" if not (isinstance(value, str) and param.enum and value in param.enum):
            return _size(row, value)
        case _:
            return []


_known_value = lru_cache(1024, typed=True)(_any_value)


def _text(row: Row, value: Any) -> list[Problem]:
    listed = row.param.enum
    if not isinstance(value, str):
        hint = wording.as_text(value, listed)
        return [_broken(row, "type", f"takes a string, got {wording.kind(value)}", hint)]
    return [_broken(row, "enum", *wording.not_listed(value, listed))] if listed and value not in listed else []


def _number(row: Row, value: Any) -> list[Problem]:
    param = row.param
    if not values.is_number(value):
        hint = wording.as_number(value, param)
        return [_broken(row, "type", f"takes a number, got {wording.kind(value)}", hint)]
    if param.min is not None and value < param.min:
        message = f"is {wording.number(value)}, below {wording.bounds(param)}"
        # Who sends the seed -1 wants a random one: none at all.
        hint = "leave it out" if param.name == "seed" else wording.beyond(param.min)
        return [_broken(row, "minimum", message, hint)]
    if param.max is not None and value > param.max:
        message = f"is {wording.number(value)}, above {wording.bounds(param)}"
        return [_broken(row, "maximum", message, wording.beyond(param.max))]
    return []


def _no_media(row: Row, value: object, path: str = "", more: str = "") -> Problem:
    if not isinstance(value, str):
        message = f"takes a string, got {wording.kind(value)}{more}"
        return _broken(row, "type", message, wording.as_one_media(value), path)
    message = f"is neither an https URL nor an upload token{more}"
    return _broken(row, "media", message, wording.as_media(value), path)


def _array(row: Row, value: Any) -> list[Problem]:
    if not values.is_array(value):
        return [_broken(row, "type", f"takes a list, got {wording.kind(value)}", wording.as_list(value))]
    least, most = row.param.min_items, row.param.max_items
    found = []
    if least is not None and len(value) < least:
        found.append(_broken(row, "minItems", f"has {len(value)} items; at least {least} is expected", None))
    if most is not None and len(value) > most:
        found.append(_broken(row, "maxItems", f"has {len(value):,} items; at most {most} are taken", None))
    others = ((index, item) for index, item in enumerate(value) if not values.is_media(item))
    for told, (index, item) in enumerate(islice(others, MANY + 1)):
        more = "; items after it are not told of" if told == MANY else ""
        found.append(_no_media(row, item, f"/{index}", more))
    return found


def _size(row: Row, value: Any) -> list[Problem]:
    param, presets = row.param, row.param.enum or ()
    if isinstance(value, str):
        if value in presets:
            return []
        message, _ = wording.not_listed(value, presets)
        return [_broken(row, "enum", message, wording.as_size(value, presets))]
    if not isinstance(value, Mapping):
        message = f"takes a preset's name or an object of width and height, got {wording.kind(value)}"
        return [_broken(row, "type", message, wording.as_size(value, presets))]
    others = [key for key in value if key not in SIDES]
    hints = {key: wording.side(key, value) for key in others[:FEW]}
    found = [
        problem
        for side in SIDES
        if side in value or not _is_misspelt(side, hints)
        for problem in _side(row, value, side)
    ]
    both = all(side in value for side in SIDES)
    if both and not found and not values.is_within_ratio(value["width"], value["height"], param.max_ratio or 1):
        ratio = param.max_ratio
        sides = " x ".join(wording.number(value[side]) for side in SIDES)
        found.append(_broken(row, "size", f"is {sides}; the ratio goes from 1:{ratio} to {ratio}:1", None))
    unknown = []
    for key in others[: MANY + 1]:
        message = f"has no member {wording.name(key)}; it has width and height"
        unknown.append(_broken(row, "additionalProperties", message, hints.get(key), wording.pointer("", key)))
    return found + _counted(unknown, len(others))


SIDES = ("width", "height")


def _side(row: Row, size: Mapping[Any, Any], side: str) -> list[Problem]:
    param, path = row.param, f"/{side}"
    if side not in size:
        return [_broken(row, "required", "is missing; a size has width and height", None, path)]
    value, step = size[side], param.multiple_of or 1
    if not values.is_integer(value):
        hint = wording.as_side(value, step)
        return [_broken(row, "type", f"takes an integer, got {wording.kind(value)}", hint, path)]
    if param.min is not None and value < param.min:
        message = f"is {wording.number(value)}, below {wording.bounds(param)}"
        return [_broken(row, "minimum", message, wording.beyond(param.min), path)]
    if param.max is not None and value > param.max:
        message = f"is {wording.number(value)}, above {wording.bounds(param)}"
        return [_broken(row, "maximum", message, wording.beyond(param.max), path)]
    if value % step:
        message = f"is {value}, no multiple of {step}"
        return [_broken(row, "multipleOf", message, wording.multiple(value, step), path)]
    return []

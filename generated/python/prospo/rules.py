"""Judges a request: fast (`is_valid`), or with every problem explained (`validate`).

The facts come from the catalog; the fast checks are generated. Here live the envelope's rules and the walk over a
mode's table. How a value is named in a message stands in `wording`, what was likely meant in `suggestion`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from itertools import islice
from types import ModuleType
from typing import Any, Literal, TypeVar

from . import values, wording
from .catalog import ENVELOPE, MODELS
from .checks import CHECKS, FIRST
from .jsontext import MAX_BYTES, parse
from .model import Evidence, Mode, Model, Param
from .problem import NotJSONError, Problem, Severity

FEW = 20
"""Unknown members of which each is looked up for what it may have meant. More of them are no misspellings."""
MANY = 100
"""Problems of one kind in one place that are told one by one; those beyond are counted."""
_Found = TypeVar("_Found")
_Judged = tuple[_Found | None, list[Problem]]


def is_valid(request: Mapping[str, Any]) -> bool:
    """Whether the API would take this request, as far as documented facts tell. The same verdict as `validate`."""
    try:
        params = request["params"]
        if "mode" in request:
            check, beyond = CHECKS[request["model"]][request["mode"]], len(request) - 3
        else:
            check, beyond = FIRST[request["model"]], len(request) - 2
        if not check(params):
            return False
        if beyond and "webhook_url" in request:
            beyond -= 1
            if not isinstance(request["webhook_url"], str):
                return False
        if beyond and "async" in request:
            beyond -= 1
            if not isinstance(request["async"], bool):
                return False
    except (KeyError, TypeError, AttributeError):  # lacks a member, or is of another type
        return False
    # The usual type by itself: `isinstance` of an abstract class takes ten times as long.
    return (
        not beyond
        and (type(params) is dict or isinstance(params, Mapping))
        and (type(request) is dict or isinstance(request, Mapping))
    )


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
    if not isinstance(request, Mapping):
        return [_error("", "type", f"a request is an object, got {wording.kind(request)}")]
    unlisted = [key for key in request if key not in ENVELOPE]
    hints = {key: wording.member(key, request, ()) for key in unlisted[:FEW]}
    meant = {*hints.values()}
    model, problems = _model(request, wording.did_you_mean("model") in meant)
    mode, of_mode = _mode(request, model)
    problems += of_mode
    table = _ROWS[model.id, mode.id] if model and mode else {}
    if "params" in request:
        if not isinstance(request["params"], Mapping):
            message = f"params takes an object, got {wording.kind(request['params'])}"
            problems.append(_error("/params", "type", message, wording.as_object(request["params"])))
        elif model and mode:
            problems += _params(request["params"], model, mode, unlisted)
    elif wording.did_you_mean("params") not in meant:
        names = table or _EVERY_PARAM
        beside = [key for key in unlisted[:FEW] if key in names]
        unlisted = [key for key in unlisted if key not in beside]
        hint = f"params: {', '.join(beside)} inside it, not beside model" if beside else None
        problems.append(_error("/params", "required", "params is missing: the object of the model's parameters", hint))
    if not isinstance(request.get("webhook_url", ""), str):
        value = request["webhook_url"]
        message = f"webhook_url takes a string, got {wording.kind(value)}"
        problems.append(_error("/webhook_url", "type", message, wording.as_one_media(value)))
    if not isinstance(request.get("async", False), bool):
        value = request["async"]
        problems.append(
            _error("/async", "type", f"async takes true or false, got {wording.kind(value)}", wording.as_flag(value))
        )
    if unlisted:
        told = (_unlisted(key, request, table, hints.get(key)) for key in unlisted)
        problems += _counted(told, len(unlisted))
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


_ROWS: Mapping[tuple[str, str], Mapping[str, Param]] = {
    (model.id, mode.id): {param.name: param for param in mode.params}
    for model in MODELS.values()
    for mode in model.modes
}
_EVERY_PARAM = {name for rows in _ROWS.values() for name in rows}


def _unlisted(key: object, request: Mapping[Any, Any], table: Mapping[str, Param], hint: str | None) -> Problem:
    message = f"a request has no member {wording.name(key)}; it has {', '.join(ENVELOPE)}"
    hint = wording.member(key, request, table) if key in table else hint
    return _error(wording.pointer(key), "additionalProperties", message, hint)


def _counted(problems: Iterable[Problem], count: int) -> Iterator[Problem]:
    """The first of many problems of one kind, and in one more the number of those that are left."""
    rest = iter(problems)
    yield from islice(rest, MANY)
    for problem in islice(rest, 1):
        more = f"{problem.message}; and {count - MANY - 1:,} more like it" if count > MANY + 1 else problem.message
        yield Problem(problem.path, problem.code, problem.severity, problem.evidence, more, problem.hint)


def _model(request: Mapping[Any, Any], is_misspelt: bool) -> _Judged[Model]:
    if "model" not in request:
        missing = _error("/model", "required", "model is missing: the id of a model of the catalog")
        return None, [] if is_misspelt else [missing]
    id = request["model"]
    if not isinstance(id, str):
        return None, [_error("/model", "type", f"model takes a string, got {wording.kind(id)}", wording.model_id(id))]
    model = MODELS.get(id)
    if model is None:
        message = f"the catalog has no model {wording.name(id)}"
        return None, [_error("/model", "model", message, wording.model_id(id))]
    return model, []


def _mode(request: Mapping[Any, Any], model: Model | None) -> _Judged[Mode]:
    if "mode" not in request:
        return None if model is None else model.mode(None), []
    id = request["mode"]
    if not isinstance(id, str):
        hint = wording.mode_id(id, model) if model else None
        return None, [_error("/mode", "type", f"mode takes a string, got {wording.kind(id)}", hint)]
    if model is None:
        return None, []
    mode = model.mode(id)
    if mode is None:
        message = f"{model.id} has no mode {wording.name(id)}; it has {', '.join(mode.id for mode in model.modes)}"
        return None, [_error("/mode", "mode", message, wording.mode_id(id, model))]
    if not mode.on_wire:
        message = f"{model.id} declares no mode: the id {mode.id} is ours, and the API may refuse it"
        return mode, [Problem("/mode", "mode", "warning", mode.evidence, message, "leave mode out")]
    return mode, []


def _params(params: Mapping[Any, Any], model: Model, mode: Mode, beside: Iterable[Any]) -> Iterator[Problem]:
    """The problems of params. A param that stands beside them, or under a misspelt name, is not missing as well."""
    rows = _ROWS[model.id, mode.id]
    unknown = [key for key in params if key not in rows]
    likely = {key: wording.unknown_param(key, params, model, mode) for key in unknown[:FEW]}
    misplaced = {*beside, *_wrapped(params, unknown[:FEW], rows, mode)} if unknown else {*beside}
    misspelt = {meant: key for key, (_, meant) in reversed(likely.items()) if meant}
    told: set[Any] = set()
    for name, param in rows.items():
        if name in params:
            yield from _row(param, _value(param, params[name]))
        elif param.mandatory and name not in misplaced:
            key = misspelt.get(name)
            if key is not None and _severity(mode.evidence) == "error":
                continue
            hint = None
            if key is not None and _severity(param.evidence) == "error":
                told.add(key)
                hint = f"did you mean {name} by {wording.name(key)}?"
            elif key is not None:
                continue
            yield from _row(param, [("", "required", f"is missing; {model.id} needs it in mode {mode.id}", hint)])
    left = [key for key in unknown if key not in told]
    if left:
        yield from _counted((_unknown(key, likely.get(key, (None,))[0], model, mode) for key in left), len(left))


def _wrapped(params: Mapping[Any, Any], unknown: Iterable[Any], rows: Mapping[str, Param], mode: Mode) -> set[Any]:
    """The params that stand in another object, under a name that means params."""
    around = [params[key] for key in unknown if wording.is_envelope(key)]
    wrapped = {name for inner in around if isinstance(inner, Mapping) for name in inner}
    if _severity(mode.evidence) == "warning":  # then the wrapping is a warning, and what it hides may be an error
        return {name for name in wrapped if name not in rows or _severity(rows[name].evidence) == "warning"}
    return wrapped


def _row(param: Param, faults: Iterable[_Fault]) -> Iterator[Problem]:
    for path, code, message, hint in faults:
        evidence = param.evidence_of(code)
        where = wording.pointer("params", param.name) + path
        whole = f"{param.name}{'' if code == 'additionalProperties' else path.replace('/', '.')} {message}"
        yield Problem(where, code, _severity(evidence), evidence, whole, hint)


def _unknown(key: object, hint: str | None, model: Model, mode: Mode) -> Problem:
    message = f"{model.id} in mode {mode.id} has no param {wording.name(key)}"
    path = wording.pointer("params", key)
    return Problem(path, "additionalProperties", _severity(mode.evidence), mode.evidence, message, hint)


def _severity(evidence: Evidence) -> Severity:
    """Only a documented fact makes a request invalid."""
    return "error" if evidence == "documented" else "warning"


_Fault = tuple[str, str, str, str | None]
"""Path below the param, code, message after the param's name, hint."""


def _value(param: Param, value: Any) -> Iterable[_Fault]:
    match param.type:
        case "string" if param.media:
            return () if values.is_media(value) else [_no_media(value, "")]
        case "string":
            return _text(param, value)
        case "number":
            return _number(param, value)
        case "boolean" if not isinstance(value, bool):
            return [("", "type", f"takes true or false, got {wording.kind(value)}", wording.as_flag(value))]
        case "array":
            return _array(param, value)
        case "string|object" if not (isinstance(value, str) and param.enum and value in param.enum):
            return _size(param, value)
        case _:
            return ()


def _text(param: Param, value: Any) -> Iterable[_Fault]:
    if not isinstance(value, str):
        return [("", "type", f"takes a string, got {wording.kind(value)}", wording.as_text(value, param.enum))]
    if param.enum and value not in param.enum:
        return [("", "enum", *wording.not_listed(value, param.enum))]
    return ()


def _number(param: Param, value: Any) -> Iterable[_Fault]:
    if not values.is_number(value):
        return [("", "type", f"takes a number, got {wording.kind(value)}", wording.as_number(value, param))]
    if param.min is not None and value < param.min:
        message = f"is {wording.number(value)}, below {wording.bounds(param)}"
        # Who sends the seed -1 wants a random one: none at all.
        return [("", "minimum", message, "leave it out" if param.name == "seed" else wording.beyond(param.min))]
    if param.max is not None and value > param.max:
        message = f"is {wording.number(value)}, above {wording.bounds(param)}"
        return [("", "maximum", message, wording.beyond(param.max))]
    return ()


def _no_media(value: object, path: str) -> _Fault:
    if not isinstance(value, str):
        return path, "type", f"takes a string, got {wording.kind(value)}", wording.as_one_media(value)
    return path, "media", "is neither an https URL nor an upload token", wording.as_media(value)


def _array(param: Param, value: Any) -> Iterator[_Fault]:
    if not values.is_array(value):
        yield "", "type", f"takes a list, got {wording.kind(value)}", wording.as_list(value)
        return
    if param.min_items is not None and len(value) < param.min_items:
        yield "", "minItems", f"has {len(value)} items; at least {param.min_items} is expected", None
    if param.max_items is not None and len(value) > param.max_items:
        yield "", "maxItems", f"has {len(value):,} items; at most {param.max_items} are taken", None
    others = ((item, f"/{index}") for index, item in enumerate(value) if not values.is_media(item))
    faults = (_no_media(item, path) for item, path in others)
    yield from islice(faults, MANY)
    for path, code, message, hint in islice(faults, 1):
        yield path, code, f"{message}; items after it are not told of", hint


def _size(param: Param, value: Any) -> Iterator[_Fault]:
    presets = param.enum or ()
    if isinstance(value, str):
        if value not in presets:
            message, _ = wording.not_listed(value, presets)
            yield "", "enum", message, wording.as_size(value, presets)
        return
    if not isinstance(value, Mapping):
        message = f"takes a preset's name or an object of width and height, got {wording.kind(value)}"
        yield "", "type", message, wording.as_size(value, presets)
        return
    others = [key for key in value if key not in SIDES]
    hints = {key: wording.side(key, value) for key in others[:FEW]}
    faults = [
        fault
        for side in SIDES
        if side in value or wording.did_you_mean(side) not in hints.values()
        for fault in _side(param, value, side)
    ]
    yield from faults
    both = all(side in value for side in SIDES)
    if both and not faults and not values.is_within_ratio(value["width"], value["height"], param.max_ratio or 1):
        ratio = param.max_ratio
        sides = " x ".join(wording.number(value[side]) for side in SIDES)
        yield "", "size", f"is {sides}; the ratio goes from 1:{ratio} to {ratio}:1", None
    for index, key in enumerate(others[: MANY + 1]):
        more = f"; and {len(others) - MANY - 1:,} more like it" if index == MANY and len(others) > MANY + 1 else ""
        message = f"has no member {wording.name(key)}; it has width and height{more}"
        yield wording.pointer(key), "additionalProperties", message, hints.get(key)


SIDES = ("width", "height")


def _side(param: Param, size: Mapping[Any, Any], side: str) -> Iterator[_Fault]:
    if side not in size:
        yield f"/{side}", "required", "is missing; a size has width and height", None
        return
    value, step = size[side], param.multiple_of or 1
    if not values.is_integer(value):
        yield f"/{side}", "type", f"takes an integer, got {wording.kind(value)}", wording.as_side(value, step)
    elif param.min is not None and value < param.min:
        message = f"is {wording.number(value)}, below {wording.bounds(param)}"
        yield f"/{side}", "minimum", message, wording.beyond(param.min)
    elif param.max is not None and value > param.max:
        message = f"is {wording.number(value)}, above {wording.bounds(param)}"
        yield f"/{side}", "maximum", message, wording.beyond(param.max)
    elif value % step:
        yield f"/{side}", "multipleOf", f"is {value}, no multiple of {step}", wording.multiple(value, step)

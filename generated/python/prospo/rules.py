"""Judges a request: fast (`is_valid`), or with every problem explained (`validate`).

The facts come from the catalog; the fast checks are generated. Here live the envelope's rules and the walk over a
mode's table. How a value is named in a message stands in `wording`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from . import values, wording
from .catalog import ENVELOPE, MODELS
from .checks import CHECKS
from .jsontext import parse
from .model import Evidence, Mode, Model, Param
from .problem import NotJSONError, Problem, Severity

FEW = 200
"""Params beyond which none is looked up for what it may have meant: that is no misspelling."""
_Found = TypeVar("_Found")
_Judged = tuple[_Found | None, list[Problem]]


def is_valid(request: Mapping[str, Any]) -> bool:
    """Whether the API would take this request, as far as documented facts tell. The same verdict as `validate`."""
    if not isinstance(request, Mapping) or not request.keys() <= ENVELOPE.keys():
        return False
    model, params = request.get("model"), request.get("params")
    if not isinstance(model, str) or not isinstance(params, Mapping):
        return False
    mode = request.get("mode", "")
    if not isinstance(mode, str) or ("mode" in request and not mode):
        return False
    check = CHECKS.get((model, mode))
    return (
        check is not None
        and check(params)
        and isinstance(request.get("webhook_url", ""), str)
        and isinstance(request.get("async", False), bool)
    )


def is_valid_json(data: bytes) -> bool:
    """`is_valid` of a request as bytes; False for what is not JSON."""
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
    model, problems = _model(request)
    mode, of_mode = _mode(request, model)
    problems += of_mode
    unlisted = [key for key in request if key not in ENVELOPE]
    table = {param.name for param in mode.params} if mode else set()
    if "params" not in request:
        beside = [key for key in unlisted if key in table]
        unlisted = [key for key in unlisted if key not in table]
        hint = f"{', '.join(beside)}: inside params, not beside model" if beside else None
        problems.append(_error("/params", "required", "params is missing: the object of the model's parameters", hint))
    elif not isinstance(request["params"], Mapping):
        problems.append(_error("/params", "type", f"params takes an object, got {wording.kind(request['params'])}"))
    elif model and mode:
        problems += _params(request["params"], model, mode)
    if not isinstance(request.get("webhook_url", ""), str):
        what = wording.kind(request["webhook_url"])
        problems.append(_error("/webhook_url", "type", f"webhook_url takes a string, got {what}"))
    if not isinstance(request.get("async", False), bool):
        problems.append(_error("/async", "type", f"async takes true or false, got {wording.kind(request['async'])}"))
    for key in unlisted:
        message = f"a request has no member {wording.name(key)}; it has {', '.join(ENVELOPE)}"
        hint = "inside params, not beside model" if key in table else wording.closest(key, ENVELOPE)
        problems.append(_error(wording.pointer(key), "additionalProperties", message, hint))
    return problems


def validate_json(data: bytes) -> list[Problem]:
    """`validate` of a request as bytes. What is not JSON is one problem, of code `json`."""
    try:
        request = parse(data)
    except NotJSONError as error:
        return [_error("", "json", f"not a JSON value: {error}")]
    return validate(request)


def _error(path: str, code: str, message: str, hint: str | None = None) -> Problem:
    return Problem(path, code, "error", "documented", message, hint)


def _model(request: Mapping[Any, Any]) -> _Judged[Model]:
    if "model" not in request:
        return None, [_error("/model", "required", "model is missing: the id of a model of the catalog")]
    id = request["model"]
    if not isinstance(id, str):
        return None, [_error("/model", "type", f"model takes a string, got {wording.kind(id)}")]
    model = MODELS.get(id)
    if model is None:
        message = f"the catalog has no model {wording.name(id)}"
        return None, [_error("/model", "model", message, wording.closest(id, MODELS))]
    return model, []


def _mode(request: Mapping[Any, Any], model: Model | None) -> _Judged[Mode]:
    if "mode" not in request:
        return None if model is None else model.mode(None), []
    id = request["mode"]
    if not isinstance(id, str):
        return None, [_error("/mode", "type", f"mode takes a string, got {wording.kind(id)}")]
    if model is None:
        return None, []
    mode = model.mode(id)
    ids = [mode.id for mode in model.modes]
    if mode is None:
        message = f"{model.id} has no mode {wording.name(id)}; it has {', '.join(ids)}"
        return None, [_error("/mode", "mode", message, wording.closest(id, ids))]
    if not mode.on_wire:
        message = f"{model.id} declares no mode: the id {mode.id} is ours, and the API may refuse it"
        return mode, [Problem("/mode", "mode", "warning", mode.evidence, message, "leave mode out")]
    return mode, []


def _params(params: Mapping[Any, Any], model: Model, mode: Mode) -> Iterator[Problem]:
    for param in mode.params:
        if param.name in params:
            found = _value(param, params[param.name])
        elif param.mandatory:
            found = iter([("", "required", f"is missing; {model.id} needs it in mode {mode.id}", None)])
        else:
            continue
        for path, code, message, hint in found:
            evidence = param.evidence_of(code)
            where = wording.pointer("params", param.name) + path
            whole = f"{param.name}{'' if code == 'additionalProperties' else path.replace('/', '.')} {message}"
            yield Problem(where, code, _severity(evidence), evidence, whole, hint)
    names = {param.name: None for param in mode.params}
    few = len(params) <= FEW
    for key in params:
        if key in names:
            continue
        message = f"{model.id} in mode {mode.id} has no param {wording.name(key)}"
        hint = wording.elsewhere(key, model, mode) or (wording.closest(key, names) if few else None)
        path = wording.pointer("params", key)
        yield Problem(path, "additionalProperties", _severity(mode.evidence), mode.evidence, message, hint)


def _severity(evidence: Evidence) -> Severity:
    """Only a documented fact makes a request invalid."""
    return "error" if evidence == "documented" else "warning"


_Fault = tuple[str, str, str, str | None]
"""Path below the param, code, message after the param's name, hint."""


def _value(param: Param, value: object) -> Iterator[_Fault]:
    match param.type:
        case "boolean":
            if not isinstance(value, bool):
                yield "", "type", f"takes true or false, got {wording.kind(value)}", wording.as_flag(value)
        case "number":
            yield from _number(param, value)
        case "string" if param.media:
            yield from _media(value, "")
        case "string":
            if not isinstance(value, str):
                hint = wording.as_text(value, param.enum)
                yield "", "type", f"takes a string, got {wording.kind(value)}", hint
            elif param.enum and value not in param.enum:
                yield "", "enum", *wording.not_listed(value, param.enum)
        case "array":
            yield from _array(param, value)
        case "string|object":
            yield from _size(param, value)


def _number(param: Param, value: Any) -> Iterator[_Fault]:
    if not values.is_number(value):
        yield "", "type", f"takes a number, got {wording.kind(value)}", wording.as_number(value)
    elif param.min is not None and value < param.min:
        yield "", "minimum", f"is {wording.number(value)}, below {wording.bounds(param)}", str(param.min)
    elif param.max is not None and value > param.max:
        yield "", "maximum", f"is {wording.number(value)}, above {wording.bounds(param)}", str(param.max)


def _media(value: object, path: str) -> Iterator[_Fault]:
    if not isinstance(value, str):
        yield path, "type", f"takes a string, got {wording.kind(value)}", None
    elif not values.is_media(value):
        yield path, "media", "is neither an https URL nor an upload token", wording.as_media(value)


def _array(param: Param, value: Any) -> Iterator[_Fault]:
    if not values.is_array(value):
        hint = "a list of one" if isinstance(value, str) else None
        yield "", "type", f"takes a list, got {wording.kind(value)}", hint
        return
    if param.min_items is not None and len(value) < param.min_items:
        yield "", "minItems", f"has {len(value)} items; at least {param.min_items} is expected", None
    if param.max_items is not None and len(value) > param.max_items:
        yield "", "maxItems", f"has {len(value)} items; at most {param.max_items} are taken", None
    for index, item in enumerate(value):
        yield from _media(item, f"/{index}")


def _size(param: Param, value: Any) -> Iterator[_Fault]:
    presets = param.enum or ()
    if isinstance(value, str):
        if value not in presets:
            yield "", "enum", *wording.not_listed(value, presets)
        return
    if not isinstance(value, Mapping):
        yield "", "type", f"takes a preset's name or an object of width and height, got {wording.kind(value)}", None
        return
    faults = [fault for side in ("width", "height") for fault in _side(param, value, side)]
    yield from faults
    if not faults and not values.is_within_ratio(value["width"], value["height"], param.max_ratio or 1):
        ratio = param.max_ratio
        yield "", "size", f"is {value['width']} x {value['height']}; the ratio goes from 1:{ratio} to {ratio}:1", None
    for key in value:
        if key not in ("width", "height"):
            message = f"has no member {wording.name(key)}; it has width and height"
            yield wording.pointer(key), "additionalProperties", message, None


def _side(param: Param, size: Mapping[Any, Any], side: str) -> Iterator[_Fault]:
    if side not in size:
        yield f"/{side}", "required", "is missing; a size has width and height", None
        return
    value, step = size[side], param.multiple_of or 1
    if not values.is_integer(value):
        yield f"/{side}", "type", f"takes an integer, got {wording.kind(value)}", None
    elif param.min is not None and value < param.min:
        yield f"/{side}", "minimum", f"is {wording.number(value)}, below {wording.bounds(param)}", None
    elif param.max is not None and value > param.max:
        yield f"/{side}", "maximum", f"is {wording.number(value)}, above {wording.bounds(param)}", None
    elif value % step:
        yield f"/{side}", "multipleOf", f"is {value}, no multiple of {step}", str(round(value / step) * step)

"""Where an implementation may differ, and what a difference is made of.

A fault and a variant are one thing to the server: a `Change`, which rewrites what passes at six seams. Here live that
type, the values that pass the seams, and the makers in which changes are written. Here live no fault, no variant and
nothing of the mock's own behaviour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from prospec.ir import Mode, Model, Spec
from prospec.schema import Schema

VIOLATION_HEADER = "X-Mock-Violation"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for what: all that admission is decided by."""

    endpoint: str
    """The operationId of openapi.yaml."""
    authorization: str | None
    keys: frozenset[str]
    """Every key that was issued."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is turned down, before it has become an answer."""

    status: int
    message: str
    keyword: str = ""
    """The JSON Schema keyword that was broken, or one of media, size, model, mode, json."""
    pointer: str = ""
    """JSON Pointer into the body."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out."""

    endpoint: str
    """The operationId of openapi.yaml; empty where no endpoint was met."""
    status: int
    body: object
    """A JSON value. Bytes go out as they are, under the content type of `headers`."""
    headers: Mapping[str, str]
    at: float
    """The server's clock."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is done otherwise at each seam. A seam that is left out stays as it is."""

    admits: Callable[[Caller, bool], bool] = lambda _caller, admitted: admitted
    """Lets in or keeps out, given the right decision. A caller without a genuine key acts for the first account."""
    request: Callable[[Spec, Any], Any] = lambda _spec, request: request
    """Reads a generate request as another one, before it is judged."""
    schema: Callable[[Model, Mode, Schema], None] = lambda _model, _mode, _schema: None
    """Edits, in place, the fresh schema by which the requests of one (model, mode) will be judged."""
    strict: bool = False
    """Judges by inferred and assumed rows too."""
    refusal: Callable[[Any, Refusal | None], Refusal | None] = lambda _request, refusal: refusal
    """Given a generate request and the verdict. It may drop a refusal of params, never one of model or mode."""
    identify: Callable[[str], str] = lambda id: id
    """Given the id of a new generation."""
    answer: Callable[[Answer], Answer] = lambda answer: answer


def combined(changes: Iterable[Change]) -> Change:
    """One change that makes all of them, one after the other."""
    return reduce(_both, changes, Change())


def _both(first: Change, then: Change) -> Change:
    def schema(model: Model, mode: Mode, fresh: Schema) -> None:
        first.schema(model, mode, fresh)
        then.schema(model, mode, fresh)

    return Change(
        admits=lambda caller, admitted: then.admits(caller, first.admits(caller, admitted)),
        request=lambda spec, request: then.request(spec, first.request(spec, request)),
        schema=schema,
        strict=first.strict or then.strict,
        refusal=lambda request, refusal: then.refusal(request, first.refusal(request, refusal)),
        identify=lambda id: then.identify(first.identify(id)),
        answer=lambda answer: then.answer(first.answer(answer)),
    )


def in_request(edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Change:
    """Reads each request that is an object as what `edit` makes of it."""
    return Change(request=lambda _spec, request: edit(request) if isinstance(request, dict) else request)


def in_params(edit: Callable[[str, Any], Any]) -> Change:
    """Reads each param's value as what `edit` makes of its name and value."""

    def read(request: dict[str, Any]) -> dict[str, Any]:
        params = request.get("params")
        if not isinstance(params, dict):
            return request
        return request | {"params": {name: edit(name, value) for name, value in params.items()}}

    return in_request(read)


def in_rows(edit: Callable[[Schema], object], model: str = "", mode: str = "", param: str = "") -> Change:
    """Edits the rows of that model, mode and param, or of any; only rows that bind, so that no other begins to."""

    def schema(of: Model, in_mode: Mode, fresh: Schema) -> None:
        if model in ("", of.id) and mode in ("", in_mode.id):
            for name, row in fresh["properties"]["params"]["properties"].items():
                if param in ("", name) and "x-expected" not in row:
                    edit(row)

    return Change(schema=schema)


def row(model: str, mode: str, param: str, **keywords: object) -> Change:
    """Sets keywords of one row; None takes a keyword away."""

    def edit(found: Schema) -> None:
        found.update(keywords)
        for name in [name for name, value in keywords.items() if value is None]:
            del found[name]

    return in_rows(edit, model, mode, param)


def refused(when: Callable[[dict[str, Any]], bool], keyword: str, pointer: str) -> Change:
    """Refuses, beside what is refused anyway, the requests of which `when` holds."""

    def refusal(request: Any, found: Refusal | None) -> Refusal | None:
        if found is None and when(request):
            return Refusal(400, f"{pointer} is not allowed here.", keyword, pointer)
        return found

    return Change(refusal=refusal)


def answered(status: int, when: Callable[[Refusal], bool]) -> Change:
    """Gives another status to the refusals of which `when` holds."""
    return Change(
        refusal=lambda _request, refusal: replace(refusal, status=status) if refusal and when(refusal) else refusal
    )


def breaks(keyword: str, pointer: str | None = None) -> Callable[[Refusal], bool]:
    """Tells the refusals of that keyword, and of that place if one is given."""
    return lambda refusal: refusal.keyword == keyword and pointer in (None, refusal.pointer)


def is_missing_param(refusal: Refusal) -> bool:
    return refusal.keyword == "required" and refusal.pointer.startswith("/params/") and refusal.pointer.count("/") == 2


def is_value(refusal: Refusal) -> bool:
    """Whether it is a param's value that was refused, which the documentation gives no status to (GAP-31)."""
    is_unknown = refusal.keyword == "additionalProperties" and refusal.pointer.count("/") == 2
    return refusal.pointer.startswith("/params/") and not is_missing_param(refusal) and not is_unknown


def is_error(answer: Answer) -> bool:
    return answer.status >= 400


def in_errors(edit: Callable[[Answer], Answer], endpoint: str = "", status: int = 0) -> Change:
    """Rewrites the error answers of that endpoint and status, or of any."""

    def answer(found: Answer) -> Answer:
        meant = is_error(found) and endpoint in ("", found.endpoint) and status in (0, found.status)
        return edit(found) if meant else found

    return Change(answer=answer)


def in_bodies(edit: Callable[[dict[str, Any]], object], when: Callable[[Answer], bool]) -> Change:
    """Rewrites the bodies, where they are objects, of the answers of which `when` holds."""

    def answer(found: Answer) -> Answer:
        return replace(found, body=edit(found.body)) if isinstance(found.body, dict) and when(found) else found

    return Change(answer=answer)


def in_generations(edit: Callable[[dict[str, Any]], dict[str, Any]], *statuses: str) -> Change:
    """Rewrites generations of those statuses, or of any, as `generate` and `getGeneration` show them."""

    def read(body: dict[str, Any]) -> dict[str, Any]:
        return edit(body) if not statuses or body.get("status") in statuses else body

    return in_bodies(read, lambda found: not is_error(found) and found.endpoint in ("generate", "getGeneration"))


def is_for(request: Mapping[str, Any], model: str, mode: str) -> bool:
    """Whether a valid request is one for that model and mode, the first of its model."""
    return bool(request["model"] == model and request.get("mode", mode) == mode)


def has_params(request: Mapping[str, Any], *names: str) -> bool:
    return all(name in request["params"] for name in names)


def without(mapping: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A copy that lacks those names."""
    return {name: value for name, value in mapping.items() if name not in names}

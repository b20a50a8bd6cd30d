"""ERR: what a refusal looks like, and that nothing malformed breaks the server."""

from __future__ import annotations

import copy
import json
from secrets import token_hex
from typing import Any

import schemathesis
from prospec.ir import Spec
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core import NotSet

from ..breaches import Breaches
from ..explore import explore
from ..generations import Generations
from ..implementation import Exchange, Implementation
from ..outcome import Inconclusive, Violation
from ..plugin import Run, fields, last, requirement
from ..probe import settle_inconclusive
from ..readings import endpoint

OPERATIONS = {"generate": ("POST", "/v1/generate"), "initiateUpload": ("POST", "/v1/uploads/initiate")}
"""Those that take a JSON body."""


@requirement("ERR-04")
@fields("not JSON", "cut off", "empty", "null", "a list", "a string", "a number")
def test_a_body_that_is_no_json_object_is_refused(current: Run, field: str) -> None:
    """Invalid request body: 400."""
    body = {
        "not JSON": b"model=seedance-2-fast",
        "cut off": b'{"model": "seedance-2-fast", "params": {',
        "empty": b"",
        "null": b"null",
        "a list": b"[]",
        "a string": b'"seedance-2-fast"',
        "a number": b"5",
    }[field]
    exchange = current.implementation.generate(body, expects_refusal=True)
    if exchange.status != 400:
        settle_inconclusive(exchange)
        raise Violation(f"answered {exchange.status}, expected 400", exchange)


@requirement("ERR-05")
def test_an_unknown_generation_is_not_found(implementation: Implementation, spec: Spec) -> None:
    """Generation not found: 404."""
    exchange = implementation.send("GET", f"/v1/generations/{spec.service.generation_prefix}{token_hex(12)}")
    if exchange.status != 404:
        if exchange.status != 403:  # polling costs nothing, so it is not about the balance
            settle_inconclusive(exchange)
        raise Violation(f"answered {exchange.status}, expected 404", exchange)


@requirement("ERR-06")
@fields(*OPERATIONS)
def test_no_malformed_body_breaks_the_server(current: Run, field: str) -> None:
    """500 is for unexpected server errors; an invalid request body is none.

    The bodies are schemathesis's negative data for the envelope. None can be valid: no model has the ids it draws.
    """
    if not current.examples:
        raise Inconclusive("needs --examples")
    method, path = OPERATIONS[field]
    operation = _envelope(current.spec)[path][method]

    def judge(case: Any) -> Violation | None:
        if isinstance(case.body, NotSet | bytes):
            return None
        return _broken_by(current.implementation, field, json.dumps(case.body).encode())

    negative = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    explore(negative, judge, count=3 * current.examples, seed_=current.seed)


_PLACES = ("model", "mode", "params", "webhook_url", "async")
_VALUES: dict[str, object] = {"null": None, "a number": 5, "a string": "x", "a list": [], "an object": {}, "true": True}
MALFORMED: dict[str, dict[str, object]] = {
    f"{place}: {name}": {"model": "no-such-model", "params": {}, place: value}
    for place in _PLACES
    for name, value in _VALUES.items()
}
"""Every member of the envelope as every JSON type. None names a model that exists."""


@requirement("ERR-06")
@fields(*MALFORMED)
def test_no_member_of_another_type_breaks_the_server(current: Run, field: str) -> None:
    """The same, place by place, so that no luck is needed to find one."""
    violation = _broken_by(current.implementation, "generate", json.dumps(MALFORMED[field]).encode())
    if violation is not None:
        raise violation


HOSTILE = {
    "nested deep": b'{"model": ' + b"[" * 200 + b"]" * 200 + b', "params": {}}',
    "not UTF-8": b'{"model": "\xff\xfe", "params": {}}',
    "a lone surrogate": b'{"model": "\\ud800", "params": {}}',
    "NaN": b'{"model": "no-such-model", "params": {"seed": NaN}}',
    "beyond a double": b'{"model": "no-such-model", "params": {"seed": 1e400}}',
    "a long integer": b'{"model": "no-such-model", "params": {"seed": ' + b"9" * 5000 + b"}}",
    "equal keys": b'{"model": "no-such-model", "model": 5, "params": {}}',
    "a byte order mark": b'\xef\xbb\xbf{"model": "no-such-model", "params": {}}',
    "a NUL": b'{"model": "no\\u0000model", "params": {}}',
}
"""Bodies that parsers stumble over. None names a model that exists."""


@requirement("ERR-08")
@fields(*HOSTILE)
def test_no_hostile_body_breaks_the_server(current: Run, field: str) -> None:
    """500 is for unexpected server errors."""
    violation = _broken_by(current.implementation, "generate", HOSTILE[field])
    if violation is not None:
        raise violation


def _broken_by(implementation: Implementation, field: str, body: bytes) -> Violation | None:
    exchange = _send_body(implementation, field, body)
    if exchange.status == 500:  # a single one may be a mishap
        exchange = _send_body(implementation, field, body)
    if exchange.status < 500 or exchange.status == 504:
        return None
    return Violation(f"answered {exchange.status}", exchange)


def _send_body(implementation: Implementation, field: str, body: bytes) -> Exchange:
    if field == "generate":
        return implementation.generate(body, expects_refusal=True)
    method, path = OPERATIONS[field]
    return implementation.send(method, path, sent=body)


def _envelope(spec: Spec) -> schemathesis.BaseSchema:
    """The document of the envelopes, without keys and query: a fault can then only be in the body.

    The configuration is given, or schemathesis would look for one in the user's folder.
    """
    document = copy.deepcopy(spec.openapi)
    document["security"] = []
    for _, path in OPERATIONS.values():
        document["paths"][path]["post"].pop("parameters", None)
    return schemathesis.openapi.from_dict(document, config=SchemathesisConfig())


def _errors(implementation: Implementation) -> list[Exchange]:
    errors = [exchange for exchange in implementation.exchanges if exchange.status >= 400]
    if not errors:
        raise Inconclusive("no error response was seen")
    return errors


def _all_errors_must(implementation: Implementation, what: str, fine: Any) -> None:
    broken = [exchange for exchange in _errors(implementation) if not fine(exchange)]
    if broken:
        statuses = ", ".join(map(str, sorted({exchange.status for exchange in broken})))
        raise Violation(f"{len(broken)} error responses without {what} (status {statuses})", broken[0])


@requirement("ERR-01")
@last
def test_every_error_has_a_json_object(implementation: Implementation) -> None:
    """All error responses include a JSON body."""
    _all_errors_must(implementation, "a JSON object", lambda exchange: isinstance(exchange.json, dict))


@requirement("ERR-02")
@last
def test_every_error_has_a_message(implementation: Implementation) -> None:
    """All error responses include a human-readable message; the sample has it under `detail`."""
    _all_errors_must(
        implementation,
        "a message",
        lambda exchange: any(_says(exchange.member(name)) for name in ("message", "detail", "error")),
    )


@requirement("ERR-03")
@last
def test_every_error_has_a_code(implementation: Implementation) -> None:
    """All error responses include a machine-readable code."""
    _all_errors_must(implementation, "a code", lambda exchange: _code(exchange) is not None)


def _says(value: Any) -> bool:
    return bool(value) and (isinstance(value, str | list) or (isinstance(value, dict) and _says(value.get("message"))))


def _code(exchange: Exchange) -> Any:
    code = exchange.member("code")
    error = exchange.member("error")
    return code if code is not None or not isinstance(error, dict) else error.get("code")


@requirement("ERR-07")
@last
def test_every_status_is_a_documented_one(implementation: Implementation, spec: Spec) -> None:
    """The table of statuses, and the 410 of the response table."""
    documented = {
        status
        for path in spec.openapi["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict)
        for status in operation.get("responses", ())
    }
    other = [exchange for exchange in _errors(implementation) if str(exchange.status) not in documented]
    if other:
        statuses = ", ".join(map(str, sorted({exchange.status for exchange in other})))
        raise Violation(f"answered {statuses}", other[0])


RESULTS = {
    "generate": "generation_id",
    "getGeneration": "generation_id",
    "initiateUpload": "token",
    "getBalance": "balance_usd",
}
"""The member without which an accepted answer of an endpoint is no result. What a PUT answers is not documented."""


@requirement("ERR-09")
@last
def test_no_success_holds_an_error(implementation: Implementation) -> None:
    """Errors return standard HTTP status codes."""
    for exchange in implementation.exchanges:
        body, result = exchange.json, RESULTS.get(endpoint(exchange))
        if not exchange.accepted or result is None or not isinstance(body, dict) or result in body:
            continue
        if any(_says(body.get(name)) for name in ("error", "message", "detail", "code")):
            raise Violation(f"answered {exchange.status} with an error in the place of {result}", exchange)


@requirement("ERR-16")
@last
def test_every_error_is_told_as_json(implementation: Implementation) -> None:
    """All error responses include a JSON body."""
    _all_errors_must(implementation, "a JSON content type", _is_json)


def _is_json(exchange: Exchange) -> bool:
    content_type = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
    return content_type == "application/json" or content_type.endswith("+json")


_ONE_CAUSE = ("required", "enum", "model", "mode")
"""Rules of which each can be broken in one way only, for one place of a request."""


@requirement("ERR-17")
@last
def test_one_cause_has_one_code(implementation: Implementation, spec: Spec) -> None:
    """A machine-readable code. The same fault, the same place, the same status."""
    seen: dict[tuple[Any, ...], Exchange] = {}
    compared, breaches = 0, Breaches(spec)
    for exchange in implementation.exchanges:
        cause, code = _cause(exchange, breaches), _code(exchange)
        if cause is None or code is None:
            continue
        first = seen.setdefault(cause, exchange)
        compared += first is not exchange
        if _code(first) != code:
            raise Violation(f"{_told(_code(first))} and {_told(code)} for the same cause", first, exchange)
    if not compared:
        raise Inconclusive("no two refusals for one cause have a code")


def _cause(exchange: Exchange, breaches: Breaches) -> tuple[Any, ...] | None:
    """Why a request was refused, as far as that is beyond doubt: it has one fault, and an answer that fits."""
    if exchange.status == 401 and "Authorization" not in exchange.sent_headers:
        return ("no key",)
    if exchange.status == 404 and endpoint(exchange) == "getGeneration":
        return ("no generation",)
    if endpoint(exchange) != "generate" or not exchange.refused or not isinstance(exchange.sent, dict):
        return None
    found = breaches.of(exchange.sent)
    if len(found) != 1:
        return None
    ((path, keyword),) = found
    return (exchange.status, keyword, path) if keyword in _ONE_CAUSE else None


def _told(code: Any) -> str:
    return repr(code)[:60]


@requirement("ERR-18")
@fields("refused all the same", "otherwise valid")
def test_no_unknown_member_breaks_the_server(current: Run, generations: Generations, field: str) -> None:
    """The table lists five members. Any other may be ignored, so the request has to be refused anyway, or paid for."""
    for value in _VALUES.values():
        if field == "otherwise valid":
            exchange = generations.start(generations.request(no_such_member=value)).started
        else:
            body = {"model": "no-such-model", "params": {}, "no_such_member": value}
            exchange = current.implementation.generate(body, expects_refusal=True)
        if exchange.status >= 500 and exchange.status != 504:
            raise Violation(f"with no_such_member {value!r}: answered {exchange.status}", exchange)
        if field == "otherwise valid":
            return


@requirement("ERR-19")
@fields("GET /v1/no-such-path", "POST /v1/no-such-path", "GET /v1", "GET /v1/generations", "GET /v1/balance/no-such")
def test_an_unknown_path_is_refused(implementation: Implementation, field: str) -> None:
    """Standard HTTP status codes."""
    method, _, path = field.partition(" ")
    exchange = implementation.send(method, path, sent={} if method == "POST" else None)
    if not 400 <= exchange.status < 500:
        raise Violation(f"answered {exchange.status}, expected a 4xx", exchange)

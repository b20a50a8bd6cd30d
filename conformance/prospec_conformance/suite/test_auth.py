"""AUTH: who is let in. Every request here is free, unless an implementation lets somebody in that it should not."""

from __future__ import annotations

from collections.abc import Mapping
from secrets import token_hex
from urllib.parse import quote

from prospec.example import example_request
from prospec.ir import Mode, Model

from ..generations import observed
from ..implementation import Exchange, Implementation
from ..outcome import Inconclusive, Violation
from ..plugin import ENDPOINTS, Run, fields, modes, requirement
from ..probe import Probe, settle_inconclusive
from ..samples import SAMPLES


def _knock(current: Run, endpoint: str, headers: Mapping[str, str]) -> Exchange:
    """One request that only its headers may keep from being accepted."""
    implementation = current.implementation
    match endpoint:
        case "generate":
            model, mode = current.modes()[0]
            body = example_request(current.spec, model, mode)
            return implementation.generate(body, expects_refusal=True, headers=headers)
        case "getGeneration":
            return implementation.send("GET", f"/v1/generations/{_generation(current)}", headers=headers)
        case "initiateUpload":
            content_type, file_name, _ = SAMPLES["image"]
            body = {"content_type": content_type, "file_name": file_name}
            return implementation.send("POST", "/v1/uploads/initiate", sent=body, headers=headers)
        case "putUpload":
            content_type, _, content = SAMPLES["image"]
            path = f"/v1/uploads/proxy/{_token(implementation)}"
            return implementation.send("PUT", path, sent=content, headers={**headers, "Content-Type": content_type})
        case _:
            return implementation.send("GET", "/v1/balance", headers=headers)


def _generation(current: Run) -> str:
    """A generation of ours. Whether 401 or 404 comes first for one that does not exist is not documented."""
    model, mode = current.modes()[0]
    return quote(observed(current.probe(model, mode).accepted_control()).id, safe="")


def _token(implementation: Implementation) -> str:
    content_type, file_name, _ = SAMPLES["image"]
    token = implementation.initiate(content_type, file_name).member("token")
    if not isinstance(token, str) or not token or not token.isprintable():
        raise Inconclusive("no upload token to put a file to")
    return quote(token, safe="")


def _must_be_401(current: Run, endpoint: str, headers: Mapping[str, str]) -> None:
    exchange = _knock(current, endpoint, headers)
    if exchange.status != 401:
        raise Violation(f"answered {exchange.status}, expected 401", exchange)


@requirement("AUTH-01")
@fields(*ENDPOINTS)
def test_a_request_without_a_key_is_refused(current: Run, field: str) -> None:
    """Missing API key: 401."""
    _must_be_401(current, field, {})


@requirement("AUTH-02")
@fields(*ENDPOINTS)
def test_a_key_that_was_never_issued_is_refused(current: Run, field: str) -> None:
    """Invalid API key: 401."""
    key = f"{current.spec.service.key_prefix}{token_hex(16)}"
    _must_be_401(current, field, current.implementation.bearer(key))


@requirement("AUTH-02")
@fields("a letter less", "a letter more", "another last letter", "another case")
def test_a_key_that_resembles_a_genuine_one_is_refused(current: Run, field: str) -> None:
    """A key is compared whole."""
    key = current.implementation.target.api_key
    other = "a" if key[-1] != "a" else "b"
    forged = {
        "a letter less": key[:-1],
        "a letter more": f"{key}{other}",
        "another last letter": f"{key[:-1]}{other}",
        "another case": key.swapcase(),
    }[field]
    if forged == key:
        raise Inconclusive("the key has no letters")
    _must_be_401(current, "getBalance", current.implementation.bearer(forged))


@requirement("AUTH-03")
@fields("the bare key", "Basic", "Token", "an empty Bearer")
def test_a_key_outside_a_bearer_token_is_refused(current: Run, field: str) -> None:
    """A Bearer token in the Authorization header is required."""
    key = current.implementation.target.api_key
    value = {"the bare key": key, "Basic": f"Basic {key}", "Token": f"Token {key}", "an empty Bearer": "Bearer"}[field]
    _must_be_401(current, "getBalance", {"Authorization": value})


@requirement("AUTH-04")
@fields(*ENDPOINTS)
def test_a_genuine_key_is_let_in(current: Run, field: str) -> None:
    """A key of the dashboard, as Bearer token, opens every endpoint."""
    if field == "generate":
        model, mode = current.modes()[0]
        exchange = current.probe(model, mode).control()
    else:
        exchange = _knock(current, field, current.implementation.bearer())
    if exchange.status == 401:
        raise Violation("answered 401", exchange)


@requirement("AUTH-05")
@modes(lambda model, mode: mode is model.modes[0])
def test_one_key_runs_every_model(current: Run, probe: Probe, pair: tuple[Model, Mode]) -> None:
    """One key, every frontier model."""
    if not current.implementation.balance().accepted:
        raise Inconclusive("the key opens nothing")
    exchange = probe.control()
    if exchange.status == 401:
        raise Violation("answered 401 to the key that other requests are let in with", exchange)
    if not exchange.accepted:
        raise Inconclusive(f"the control request was answered {exchange.status}")


@requirement("AUTH-07")
def test_the_key_has_the_documented_beginning(current: Run) -> None:
    """Authorization: Bearer prsp-..."""
    prefix = current.spec.service.key_prefix
    target = current.implementation.target
    if not all(key.startswith(prefix) for key in (target.api_key, target.second_api_key) if key):
        raise Violation(f"a key does not begin with {prefix}")


_UNKNOWN = "00000000000000000000000000000000"
FAULTY = {
    "generate: not JSON": ("POST", "/v1/generate", b"{"),
    "generate: no model": ("POST", "/v1/generate", b'{"params": {}}'),
    "generate: an unknown model": ("POST", "/v1/generate", b'{"model": "no-such-model", "params": {}}'),
    "polling: an unknown id": ("GET", f"/v1/generations/gen_{_UNKNOWN}", None),
    "initiate: not JSON": ("POST", "/v1/uploads/initiate", b"{"),
    "initiate: no content type": ("POST", "/v1/uploads/initiate", b'{"file_name": "image.png"}'),
    "put: an unknown token": ("PUT", f"/v1/uploads/proxy/pl-upload-{_UNKNOWN}", b"x"),
}
"""Requests that would be refused with a key, too. None names anything that exists."""


@requirement("AUTH-09")
@fields(*FAULTY)
def test_the_key_is_checked_first(current: Run, field: str) -> None:
    """Missing or invalid API key: 401."""
    method, path, body = FAULTY[field]
    forged = f"{current.spec.service.key_prefix}{token_hex(16)}"
    for headers in ({}, current.implementation.bearer(forged)):
        exchange = current.implementation.send(method, path, sent=body, headers=headers)
        settle_inconclusive(exchange, but=(401, 403))
        if exchange.status != 401:
            raise Violation(f"answered {exchange.status}, expected 401", exchange)


@requirement("AUTH-10")
@fields("X-API-Key", "Api-Key", "X-Auth-Token", "Cookie", "api_key in the query", "token in the query", "the body")
def test_a_key_in_another_place_is_refused(current: Run, field: str) -> None:
    """All API requests require a Bearer token in the Authorization header."""
    implementation, key = current.implementation, current.implementation.target.api_key
    match field.split():
        case [name, "in", "the", "query"]:
            exchange = implementation.send("GET", f"/v1/balance?{name}={quote(key, safe='')}", headers={})
        case ["the", "body"]:
            content_type, file_name, _ = SAMPLES["image"]
            body = {"content_type": content_type, "file_name": file_name, "api_key": key}
            exchange = implementation.send("POST", "/v1/uploads/initiate", sent=body, headers={})
        case _:
            value = f"api_key={key}" if field == "Cookie" else key
            exchange = implementation.send("GET", "/v1/balance", headers={field: value})
    settle_inconclusive(exchange, but=(401, 403))
    if exchange.status != 401:
        raise Violation(f"answered {exchange.status}, expected 401", exchange)

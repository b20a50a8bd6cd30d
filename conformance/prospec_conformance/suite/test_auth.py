"""AUTH: who is let in. Every request here is free, unless an implementation lets somebody in that it should not."""

from __future__ import annotations

from collections.abc import Mapping
from secrets import token_hex

from prospec.example import example_request

from ..implementation import Exchange, Implementation
from ..outcome import Inconclusive, Violation
from ..plugin import ENDPOINTS, Run, fields, requirement
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
    id = current.probe(model, mode).accepted_control().member("generation_id")
    if not isinstance(id, str):
        raise Inconclusive("no generation to ask for")
    return id


def _token(implementation: Implementation) -> str:
    content_type, file_name, _ = SAMPLES["image"]
    token = implementation.initiate(content_type, file_name).member("token")
    if not isinstance(token, str):
        raise Inconclusive("no upload token to put a file to")
    return token


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

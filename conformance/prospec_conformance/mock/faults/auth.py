"""Faults of admission: who is let in. Here live no others."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..changes import Caller, Change, Refusal
from .fault import Fault, fault

ENDPOINTS: Mapping[str, str] = {
    "generate": "generate",
    "getGeneration": "polling",
    "initiateUpload": "initiate",
    "putUpload": "put",
    "getBalance": "balance",
}
"""operationId -> what the endpoint is called in the id of a fault."""
ALSO_WITHOUT_KEY: Mapping[str, tuple[str, ...]] = {
    "generate": ("AUTH-09",),
    "getGeneration": ("AUTH-09",),
    "initiateUpload": ("AUTH-09", "AUTH-10"),
    "putUpload": ("AUTH-09", "UPLOAD-21"),
    "getBalance": ("AUTH-10",),
}
"""operationId -> what else is broken where that endpoint asks for no key."""


def _lets_in(who: Callable[[Caller], bool], endpoint: str = "") -> Change:
    return Change(admits=lambda caller, admitted: admitted or (endpoint in ("", caller.endpoint) and who(caller)))


def _keeps_out(endpoint: str) -> Change:
    return Change(admits=lambda caller, admitted: admitted and caller.endpoint != endpoint)


def _no_header(caller: Caller) -> bool:
    return caller.authorization is None


def _scheme_and_key(caller: Caller) -> tuple[str, str]:
    scheme, _, key = (caller.authorization or "").partition(" ")
    return scheme.lower(), key


def _any_bearer(caller: Caller) -> bool:
    scheme, key = _scheme_and_key(caller)
    return scheme == "bearer" and key != ""


def _basic(caller: Caller) -> bool:
    """The key as user or password of HTTP Basic, or just written after its name."""
    scheme, key = _scheme_and_key(caller)
    try:
        pair = base64.b64decode(key, validate=True).decode().split(":")
    except (binascii.Error, ValueError):
        pair = [key]
    return scheme == "basic" and not caller.keys.isdisjoint(pair)


def _needs_another_key(model: str) -> Change:
    def refusal(request: Any, found: Refusal | None) -> Refusal | None:
        meant = found is None and request["model"] == model
        return Refusal(401, f"{model} takes another key.") if meant else found

    return Change(refusal=refusal)


def _checks_key_last(endpoint: str) -> Change:
    return Change(checks_key_last=lambda asked: asked == endpoint)


def _under(name: str) -> Callable[[Caller], bool]:
    return lambda caller: caller.headers.get(name.lower()) in caller.keys


def _asked(name: str) -> Callable[[Caller], bool]:
    return lambda caller: caller.query.get(name) in caller.keys


def faults() -> Iterator[Fault]:
    for endpoint, name in ENDPOINTS.items():
        yield fault(
            f"AUTH-01-missing-key-let-in-{name}",
            f"{endpoint} asks for no key.",
            _lets_in(_no_header, endpoint),
            *ALSO_WITHOUT_KEY[endpoint],
        )
    yield fault("AUTH-02-any-key-let-in", "Any Bearer token is taken for a key.", _lets_in(_any_bearer), "AUTH-09")
    yield fault(
        "AUTH-02-any-key-let-in-balance",
        "getBalance takes any Bearer token for a key.",
        _lets_in(_any_bearer, "getBalance"),
    )
    yield fault(
        "AUTH-03-raw-key-let-in",
        "A key is let in without the word Bearer.",
        _lets_in(lambda caller: caller.authorization in caller.keys),
    )
    yield fault("AUTH-03-basic-let-in", "A key is let in as HTTP Basic.", _lets_in(_basic))
    yield fault(
        "AUTH-03-any-scheme-let-in",
        "A key is let in under any scheme.",
        _lets_in(lambda caller: _scheme_and_key(caller)[1] in caller.keys),
    )
    yield fault("AUTH-04-genuine-key-refused-balance", "getBalance lets nobody in.", _keeps_out("getBalance"), "BAL-04")
    yield fault("AUTH-04-genuine-key-refused-initiate", "initiateUpload lets nobody in.", _keeps_out("initiateUpload"))
    yield fault(
        "AUTH-04-genuine-key-refused-polling",
        "getGeneration lets nobody in.",
        _keeps_out("getGeneration"),
    )
    for model in ("kling-o3", "gpt-image-2"):
        yield fault(f"AUTH-05-{model}-asks-for-another-key", f"{model} takes no key.", _needs_another_key(model))
    yield fault(
        "AUTH-07-no-prefix", "Keys do not begin with prsp-.", Change(issues=lambda key: key.removeprefix("prsp-"))
    )
    yield fault("AUTH-07-another-prefix", "Keys begin with sk-.", Change(issues=lambda key: f"sk-{key}"))
    for endpoint, name in ENDPOINTS.items():
        if endpoint != "getBalance":
            yield fault(
                f"AUTH-09-key-last-{name}",
                f"{endpoint} checks the rest of a request before its key.",
                _checks_key_last(endpoint),
            )
    for name in ("X-API-Key", "Api-Key", "X-Auth-Token"):
        yield fault(
            f"AUTH-10-{name.lower()}-let-in",
            f"A key is let in as {name}.",
            _lets_in(_under(name)),
        )
    yield fault(
        "AUTH-10-cookie-let-in",
        "A key is let in as a cookie.",
        _lets_in(lambda caller: any(key in caller.headers.get("cookie", "") for key in caller.keys)),
    )
    for name in ("api_key", "token"):
        yield fault(
            f"AUTH-10-query-{name.replace('_', '-')}-let-in",
            f"A key is let in as {name} in the query.",
            _lets_in(_asked(name)),
        )

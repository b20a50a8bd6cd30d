"""Faults of admission: who is let in. Here live no others."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping

from ..changes import Caller, Change
from .fault import Fault, fault

ENDPOINTS: Mapping[str, str] = {
    "generate": "generate",
    "getGeneration": "polling",
    "initiateUpload": "initiate",
    "putUpload": "put",
    "getBalance": "balance",
}
"""operationId -> what the endpoint is called in the id of a fault."""


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


def faults() -> Iterator[Fault]:
    for endpoint, name in ENDPOINTS.items():
        yield fault(
            f"AUTH-01-missing-key-let-in-{name}", f"{endpoint} asks for no key.", _lets_in(_no_header, endpoint)
        )
    yield fault("AUTH-02-any-key-let-in", "Any Bearer token is taken for a key.", _lets_in(_any_bearer))
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
    yield fault("AUTH-04-genuine-key-refused-balance", "getBalance lets nobody in.", _keeps_out("getBalance"))
    yield fault("AUTH-04-genuine-key-refused-initiate", "initiateUpload lets nobody in.", _keeps_out("initiateUpload"))

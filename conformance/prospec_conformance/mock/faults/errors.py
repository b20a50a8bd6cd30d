"""Faults of error answers: their bodies, and the status of what is no request at all. Here live no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..changes import (
    VIOLATION_HEADER,
    Answer,
    Change,
    Refusal,
    answered,
    breaks,
    in_bodies,
    in_errors,
    is_error,
    is_value,
    without,
)
from .fault import Fault, fault

FAKE = {"generation_id": "gen_000000000000", "status": "queued", "model": "kling-o3", "mode": "text"}
"""What a server answers that never looked at the request."""


def _raw(content_type: str, body: bytes) -> Callable[[Answer], Answer]:
    return lambda answer: replace(answer, body=body, headers={**answer.headers, "Content-Type": content_type})


def _accepts_violation(violation: str) -> Change:
    """Answers as to an accepted request where exactly this violation was found."""

    def edit(answer: Answer) -> Answer:
        if answer.headers.get(VIOLATION_HEADER) != violation:
            return answer
        return replace(answer, status=200, body=FAKE, headers=without(answer.headers, VIOLATION_HEADER))

    return in_errors(edit, "generate", 400)


def _null_500(request: Any, refusal: Refusal | None) -> Refusal | None:
    return replace(refusal, status=500) if refusal and request is None else refusal


def faults() -> Iterator[Fault]:
    bodies: Mapping[str, tuple[str, Callable[[Answer], Answer]]] = {
        "empty": ("empty", _raw("application/json", b"")),
        "text": ("plain text", _raw("text/plain", b"Something went wrong.")),
        "html": ("HTML", _raw("text/html", b"<!doctype html><title>Error</title><h1>Error</h1>")),
    }
    for slug, (what, edit) in bodies.items():
        yield fault(f"ERR-01-{slug}", f"The body of an error is {what}.", in_errors(edit), "ERR-02", "ERR-03")
    yield fault(
        "ERR-01-list",
        "The body of an error is a JSON list.",
        in_bodies(lambda body: [body], is_error),
        "ERR-02",
        "ERR-03",
    )
    yield fault(
        "ERR-01-text-401",
        "The body of a 401 is plain text.",
        in_errors(_raw("text/plain", b"Unauthorized"), status=401),
        "ERR-02",
        "ERR-03",
    )
    yield fault(
        "ERR-02-no-message",
        "An error has no message.",
        in_bodies(lambda body: without(body, "message", "detail"), is_error),
    )
    yield fault(
        "ERR-02-empty-message",
        "An error's message is empty.",
        in_bodies(lambda body: body | {"message": "", "detail": ""}, is_error),
    )
    yield fault("ERR-03-no-code", "An error has no code.", in_bodies(lambda body: without(body, "code"), is_error))
    yield fault(
        "ERR-03-no-code-401",
        "A 401 has no code.",
        in_bodies(lambda body: without(body, "code"), lambda answer: answer.status == 401),
    )
    yield fault(
        "ERR-04-not-json-500",
        "A body that is not JSON is answered 500.",
        answered(500, breaks("json")),
        "ERR-06",
        "ERR-08",
    )
    yield fault("ERR-04-not-json-200", "A body that is not JSON is answered 200.", _accepts_violation("json"), "GEN-04")
    yield fault(
        "ERR-04-no-object-500", "JSON that is no object is answered 500.", answered(500, breaks("type", "")), "ERR-06"
    )
    yield fault("ERR-04-no-object-200", "JSON that is no object is answered 200.", _accepts_violation("type"), "GEN-04")
    yield fault(
        "ERR-05-unknown-400",
        "An unknown generation is answered 400.",
        in_errors(lambda answer: replace(answer, status=400), "getGeneration", 404),
    )
    yield fault(
        "ERR-05-unknown-200",
        "An unknown generation is answered as one that is queued.",
        in_errors(lambda answer: replace(answer, status=200, body=FAKE), "getGeneration", 404),
    )
    yield fault(
        "ERR-06-params-type-500",
        "Params that are no object are answered 500.",
        answered(500, breaks("type", "/params")),
        "GEN-13",
    )
    yield fault("ERR-04-null-500", "A body that is null is answered 500.", Change(refusal=_null_500), "ERR-06")
    yield fault(
        "ERR-08-deep-500",
        "A body that is nested too deep is answered 500.",
        answered(500, lambda refusal: refusal.keyword == "json" and "nested" in refusal.message),
    )
    yield fault("ERR-07-refused-value-418", "A refused value is answered 418.", answered(418, is_value), "PARAM-13")
    yield fault(
        "ERR-07-webhook-url-type-418",
        "A webhook_url of another type is answered 418.",
        answered(418, breaks("type", "/webhook_url")),
    )

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
        also = () if slug == "empty" else ("ERR-16",)
        yield fault(f"ERR-01-{slug}", f"The body of an error is {what}.", in_errors(edit), "ERR-02", "ERR-03", *also)
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
        "ERR-16",
    )
    yield fault(
        "ERR-02-no-message",
        "An error has no message.",
        in_bodies(lambda body: without(body, "message", "detail"), is_error),
        "ERR-15",
    )
    yield fault(
        "ERR-02-empty-message",
        "An error's message is empty.",
        in_bodies(lambda body: body | {"message": "", "detail": ""}, is_error),
    )
    yield fault(
        "ERR-03-no-code", "An error has no code.", in_bodies(lambda body: without(body, "code"), is_error), "ASYNC-27"
    )
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
        "ASYNC-28",
    )
    yield fault(
        "ERR-05-unknown-200",
        "An unknown generation is answered as one that is queued.",
        in_errors(lambda answer: replace(answer, status=200, body=FAKE), "getGeneration", 404),
        "ASYNC-28",
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
    yield from _looking_like_success()
    yield from _told_otherwise()


def _as_200(endpoint: str, status: int) -> Change:
    """The refusal of an endpoint, under the status of a success."""
    return in_errors(lambda answer: replace(answer, status=200), endpoint, status)


def _looking_like_success() -> Iterator[Fault]:
    yield fault(
        "ERR-09-unknown-generation-200", "A 404 comes as a 200.", _as_200("getGeneration", 404), "ERR-05", "ASYNC-28"
    )
    yield fault("ERR-09-no-key-200", "A 401 of getBalance comes as a 200.", _as_200("getBalance", 401), *_UNLOCKED)
    yield fault(
        "ERR-09-error-member-200",
        "An error of polling comes as a 200 with a member error.",
        in_errors(
            lambda answer: replace(answer, status=200, body={"error": {"message": "Not found."}}), "getGeneration", 404
        ),
        "ERR-05",
        "ASYNC-28",
    )


_UNLOCKED = ("AUTH-01", "AUTH-02", "AUTH-03", "AUTH-10")


def _typed(content_type: str) -> Callable[[Answer], Answer]:
    return lambda answer: replace(answer, headers={**answer.headers, "Content-Type": content_type})


def _numbered(answer: Answer) -> Answer:
    """Every error with a code of its own."""
    answer.memory["errors"] = number = answer.memory.get("errors", 0) + 1
    return _coded(answer, f"error_{number}")


def _coded(answer: Answer, code: str) -> Answer:
    return replace(answer, body=answer.body | {"code": code}) if isinstance(answer.body, dict) else answer


_LISTED = frozenset({"model", "mode", "params", "webhook_url", "async"})


def _unlisted(request: Any) -> list[Any]:
    return [value for name, value in request.items() if name not in _LISTED] if isinstance(request, dict) else []


def _breaks_on_member(request: Any, refusal: Refusal | None) -> Refusal | None:
    return Refusal(500, "Unexpected member.") if _unlisted(request) else refusal


def _breaks_on_flag(request: Any, refusal: Refusal | None) -> Refusal | None:
    return Refusal(500, "Unexpected member.") if any(value is True for value in _unlisted(request)) else refusal


def _breaks_on_valid(_request: Any, refusal: Refusal | None) -> Refusal | None:
    unlisted = refusal and refusal.keyword == "additionalProperties" and refusal.pointer.count("/") == 1
    return replace(refusal, status=500) if refusal and unlisted else refusal


def _told_otherwise() -> Iterator[Fault]:
    for slug, content_type in (("text", "text/plain"), ("html", "text/html"), ("none", "")):
        yield fault(
            f"ERR-16-{slug}", f"An error has the content type {content_type!r}.", in_errors(_typed(content_type))
        )
    yield fault(
        "ERR-16-text-404", "A 404 has the content type text/plain.", in_errors(_typed("text/plain"), status=404)
    )
    yield fault("ERR-17-numbered", "Every 400 has a code of its own.", in_errors(_numbered, status=400))
    yield fault(
        "ERR-17-by-endpoint",
        "The code of a 401 is that of its endpoint.",
        in_errors(lambda answer: _coded(answer, f"unauthorized_{answer.endpoint}"), status=401),
    )
    yield fault(
        "ERR-17-unknown-generation-numbered",
        "Every 404 of polling has a code of its own.",
        in_errors(_numbered, "getGeneration", 404),
    )
    yield fault("ERR-18-member-500", "A member that is not listed is answered 500.", Change(refusal=_breaks_on_member))
    yield fault(
        "ERR-18-flag-500", "A member that is not listed is answered 500 if it is true.", Change(refusal=_breaks_on_flag)
    )
    yield fault(
        "ERR-18-valid-500",
        "A request that has nothing wrong but a member too many is answered 500.",
        Change(refusal=_breaks_on_valid),
    )
    for status, what in ((200, "as a success"), (302, "as a redirection"), (500, "as a server error")):
        yield fault(
            f"ERR-19-unknown-path-{status}",
            f"An unknown path is answered {what}.",
            _nowhere(status),
            *(("ERR-07",) if status >= 400 else ()),
        )


def _nowhere(status: int) -> Change:
    """What a path is answered that is none of the documented."""

    def answer(found: Answer) -> Answer:
        return replace(found, status=status) if (found.endpoint, found.status) == ("", 404) else found

    return Change(answer=answer)

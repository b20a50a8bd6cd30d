"""Ways of conforming: what the documentation leaves open, done another way than the mock does it by itself.

Here live the variants alone. What breaks a promise is a fault and lives in faults/; the mechanics live in changes.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from types import MappingProxyType
from typing import Any

from prospec.ir import Evidence, Mode, Model
from prospec.schema import Schema

from .changes import (
    Answer,
    Change,
    Message,
    answered,
    combined,
    in_bodies,
    in_errors,
    in_events,
    in_generations,
    in_messages,
    in_params,
    in_request,
    in_rows,
    is_error,
    is_value,
    row,
    without,
)
from .terms import Terms
from .webhooks import sign


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of conforming."""

    id: str
    statement: str
    change: Change = field(repr=False, compare=False)


def _close_params(_model: Model, _mode: Mode, schema: Schema) -> None:
    schema["properties"]["params"]["additionalProperties"] = False


def _open(_model: Model, _mode: Mode, schema: Schema) -> None:
    """Takes `additionalProperties` from every object of the schema, so that unknown members pass."""
    pending: list[Any] = [schema]
    while pending:
        found = pending.pop()
        if isinstance(found, dict):
            found.pop("additionalProperties", None)
            pending += found.values()
        elif isinstance(found, list):
            pending += found


def _need_defaulted(_model: Model, mode: Mode, schema: Schema) -> None:
    marked = [param for param in mode.params if param.required and param.default is not None]
    documented = [param.name for param in marked if param.evidence is Evidence.DOCUMENTED]
    schema["properties"]["params"].setdefault("required", []).extend(documented)


def _whole_numbers(found: Schema) -> None:
    if found.get("type") == "number":
        found["type"] = "integer"


def _reset_as(spelt: Callable[[int], str]) -> Change:
    """Spells the moment at which the limit renews, given in seconds since the epoch."""

    def answer(found: Answer) -> Answer:
        name = "X-RateLimit-Reset"
        seconds = found.headers.get(name, "")
        if not seconds.isdigit() or len(seconds) > 4:  # another change has spelt it
            return found
        return replace(found, headers={**found.headers, name: spelt(int(found.at) + int(seconds))})

    return Change(answer=answer)


RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


def _spaced(answer: Answer) -> Answer:
    if isinstance(answer.body, bytes):
        return answer
    return replace(answer, body=json.dumps(answer.body, indent=2, sort_keys=True).encode())


def _accepted(answer: Answer) -> Answer:
    queued = answer.endpoint == "generate" and isinstance(answer.body, dict) and answer.body.get("status") == "queued"
    return replace(answer, status=202) if queued and answer.status == 200 else answer


def _problem_list(body: dict[str, Any]) -> dict[str, Any]:
    return {"detail": [{"loc": ["body"], "msg": body.get("message"), "type": body.get("code")}]}


def _failing_as(status: int) -> Change:
    def answer(found: Answer) -> Answer:
        if found.endpoint != "generate" or not isinstance(found.body, dict) or found.body.get("status") != "failed":
            return found
        return replace(found, status=status, body={"code": "failed", "message": "It failed.", "detail": "It failed."})

    return Change(answer=answer)


def _precise(body: dict[str, Any]) -> dict[str, Any]:
    return body | {"created_at": body["created_at"].replace("Z", "001+00:00")} if "created_at" in body else body


PROBLEM_JSON = "application/problem+json"


def _data(edit: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda event: event | {"data": edit(event["data"])}


def _is_failure(message: Message) -> bool:
    return message.event.get("event") == "generation.failed"


def _written(write: Callable[[Mapping[str, Any]], str]) -> Change:
    """Writes the JSON of events in another way, and signs that."""
    return in_messages(lambda message: replace(message, body=write(message.event).encode()))


def _exponents(event: Mapping[str, Any]) -> str:
    """Every number of the event as 1.5e1, which JSON.stringify would not leave so."""
    return re.sub(r"(?<=: )[0-9.]+(?=[,}])", lambda found: f"{float(found[0]):.3e}", json.dumps(event))


def _enveloped(message: Message) -> Message:
    """Headers as other senders have them, and the names of all in upper case."""
    signature = sign(message.body, message.secret)
    headers = {
        "CONTENT-TYPE": "application/json; charset=utf-8",
        "X-PROSPO-SIGNATURE": signature,
        "USER-AGENT": "Prospolabs-Webhooks/1.0",
        "X-PROSPO-EVENT": str(message.event["event"]),
    }
    return replace(message, headers=headers, spelt=lambda _signature: None)


def _later(terms: Terms) -> Terms:
    return replace(terms, event_delay_s=5.0, retry_after_s=tuple(wait_s + 0.5 for wait_s in terms.retry_after_s))


def _need_images(model: Model, mode: Mode, schema: Schema) -> None:
    if (model.id, mode.id) == ("seedance-2-fast", "reference"):
        schema["properties"]["params"].setdefault("required", []).append("image_urls")


def _null_dropped(request: dict[str, Any]) -> dict[str, Any]:
    params = request.get("params")
    if not isinstance(params, dict):
        return request
    return request | {"params": {name: value for name, value in params.items() if value is not None}}


LISTED_TYPES = frozenset(
    {"image/jpeg", "image/png", "image/webp", "video/mp4", "video/quicktime", "audio/mpeg", "audio/wav"}
)


def _with_status(status: int) -> Callable[[Answer], Answer]:
    return lambda answer: replace(answer, status=status)


def _token_not_found(answer: Answer) -> Answer:
    return replace(answer, status=404) if "is not an upload" in str(answer.body) else answer


def _file_token(answer: Answer) -> Answer:
    """Names every token of initiate in another way."""
    if answer.endpoint != "initiateUpload" or answer.status != 200 or not isinstance(answer.body, dict):
        return answer
    named = {name: value.replace("pl-upload-", "file_") for name, value in answer.body.items()}
    return replace(answer, body=named)


def _pl_upload(_name: str, value: Any) -> Any:
    """Reads such a token, or a list of them, as the mock's own."""
    if isinstance(value, list):
        return [_pl_upload(_name, each) for each in value]
    return re.sub("^file_", "pl-upload-", value) if isinstance(value, str) else value


_ALL = (
    Variant(
        "error-detail-only",
        "An error body is {detail}, as in the documentation's sample.",
        in_bodies(lambda body: without(body, "code", "message"), is_error),
    ),
    Variant(
        "error-code-and-message",
        "An error body is {code, message}, as in the documentation's prose.",
        in_bodies(lambda body: without(body, "detail"), is_error),
    ),
    Variant(
        "error-code-only",
        "An error body is {code}, as on a model's page.",
        in_bodies(lambda body: without(body, "message", "detail"), is_error),
    ),
    Variant(
        "error-detail-list",
        "An error body is {detail}, and detail a list of problems.",
        in_bodies(_problem_list, is_error),
    ),
    Variant(
        "error-problem-json",
        "An error body comes as application/problem+json.",
        in_errors(lambda answer: replace(answer, headers={**answer.headers, "Content-Type": PROBLEM_JSON})),
    ),
    Variant(
        "unknown-params-refused",
        "A param that no row lists is refused in every mode.",
        Change(schema=_close_params),
    ),
    Variant("unknown-params-ignored", "What no row lists is ignored.", Change(schema=_open)),
    Variant("async-202", "The asynchronous reply has the status 202.", Change(answer=_accepted)),
    Variant(
        "null-until-completed",
        "A generation that has not completed carries output_url null, cost_usd 0 and duration_ms null.",
        in_generations(
            lambda body: body | {"output_url": None, "cost_usd": 0, "duration_ms": None},
            "queued",
            "processing",
            "failed",
        ),
    ),
    Variant(
        "cost-while-queued",
        "A queued generation carries the cost that it was charged.",
        in_generations(lambda body: body | {"cost_usd": 0.1}, "queued"),
    ),
    Variant(
        "duration-null",
        "A completed generation has duration_ms null.",
        combined(
            [
                in_generations(lambda body: body | {"duration_ms": None}, "completed"),
                in_events(_data(lambda data: data | {"duration_ms": None} if "duration_ms" in data else data)),
            ]
        ),
    ),
    Variant(
        "extra-fields",
        "Every body has fields that the documentation does not name.",
        in_bodies(lambda body: body | {"request_id": "req_1", "extensions": {"region": None}}, lambda _answer: True),
    ),
    Variant("refused-values-422", "A refused value is answered 422.", answered(422, is_value)),
    Variant("reset-as-epoch", "X-RateLimit-Reset is a Unix time.", _reset_as(str)),
    Variant(
        "reset-as-milliseconds",
        "X-RateLimit-Reset is a Unix time in milliseconds.",
        _reset_as(lambda moment_s: f"{moment_s}000"),
    ),
    Variant(
        "reset-as-date",
        "X-RateLimit-Reset is a date, as in Date.",
        _reset_as(lambda moment_s: formatdate(moment_s, usegmt=True)),
    ),
    Variant(
        "rate-headers-where-let-in",
        "Refusals but the 429 have no headers of the rate limit.",
        in_errors(
            lambda answer: (
                answer if answer.status == 429 else replace(answer, headers=without(answer.headers, *RATE_HEADERS))
            )
        ),
    ),
    Variant(
        "limit-of-its-own",
        "The account has agreed on 600 requests a minute.",
        Change(terms=lambda terms: replace(terms, limit=600)),
    ),
    Variant("spaced-json", "JSON comes indented, its keys sorted.", Change(answer=_spaced)),
    Variant("strict", "Inferred and assumed rows are enforced as well.", Change(strict=True)),
    Variant(
        "defaulted-required",
        "A param that a page marks required may not be left out, though it has a default.",
        Change(schema=_need_defaulted),
    ),
    Variant(
        "reference-images-required",
        "seedance-2-fast refuses a reference request that has no image_urls.",
        Change(schema=_need_images),
    ),
    Variant("null-params-ignored", "A param that is null counts as left out.", in_request(_null_dropped)),
    Variant("fractions-refused", "A number with a fraction is refused.", in_rows(_whole_numbers)),
    Variant(
        "webhook-spaced",
        "The JSON of an event is indented, its keys sorted, and signed as it is.",
        _written(lambda event: json.dumps(event, indent=2, sort_keys=True) + "\n"),
    ),
    Variant(
        "webhook-escaped",
        "The JSON of an event has / escaped and numbers with exponents, and is signed as it is.",
        _written(lambda event: _exponents(event).replace("/", "\\/")),
    ),
    Variant(
        "webhook-extra-members",
        "An event has members that the documentation does not name.",
        in_events(lambda event: {"id": "evt_1", **event, "data": {**event["data"], "seed": 1}, "attempt": None}),
    ),
    Variant("webhook-headers", "The headers of an event are in upper case, and more.", in_messages(_enveloped)),
    Variant(
        "webhook-timestamp",
        "timestamp has microseconds and the offset +00:00.",
        in_events(lambda event: event | {"timestamp": event["timestamp"].replace("Z", "001+00:00")}),
    ),
    Variant(
        "webhook-failure-without-data",
        "The event of a failed generation has no data.",
        in_events(lambda event: without(event, "data"), _is_failure),
    ),
    Variant(
        "webhook-failure-null",
        "The event of a failed generation has null for data, and a reason.",
        in_events(lambda event: event | {"data": None, "error": {"code": "provider"}}, _is_failure),
    ),
    Variant(
        "webhook-late", "An event comes 5 s after the end, and each retry half a second late.", Change(terms=_later)
    ),
    Variant(
        "never-polled-queued",
        "A generation is processing as soon as it is polled.",
        Change(terms=lambda terms: replace(terms, queued_share=0)),
    ),
    Variant(
        "never-polled-processing",
        "A generation is queued until it ends.",
        Change(terms=lambda terms: replace(terms, queued_share=1)),
    ),
    Variant(
        "shown-after-its-output",
        "A generation is still shown once its output is gone.",
        Change(is_gone=lambda _generation, _gone: False),
    ),
    Variant("synchronous-failure-500", "A synchronous request that fails is answered 500.", _failing_as(500)),
    Variant("synchronous-failure-504", "A synchronous request that fails is answered 504.", _failing_as(504)),
    Variant(
        "created-at-offset",
        "created_at has microseconds and the offset +00:00.",
        in_generations(_precise, "queued"),
    ),
    Variant(
        "failure-costs-nothing",
        "A failed generation has the cost_usd 0, and says why it failed.",
        in_generations(lambda body: body | {"cost_usd": 0, "error": {"code": "provider"}}, "failed"),
    ),
    Variant(
        "upload-url-absolute",
        "upload_url has the host in it.",
        Change(upload_url=lambda base_url, path: base_url.rstrip("/") + path),
    ),
    Variant(
        "upload-tokens-opaque",
        "An upload token is file_ and a number in hexadecimal digits.",
        replace(
            in_params(_pl_upload),
            answer=_file_token,
            reads_token=lambda token, _minted: _pl_upload("", token),
        ),
    ),
    Variant(
        "upload-refused-at-put",
        "A type that cannot be uploaded is refused when the bytes are PUT.",
        Change(
            announces=lambda _type, _refusal: None,
            takes=lambda upload, _type, takes: takes and upload.content_type in LISTED_TYPES,
        ),
    ),
    Variant(
        "upload-refused-in-use",
        "A type that cannot be uploaded is refused when the token is used.",
        Change(
            announces=lambda _type, _refusal: None,
            redeems=lambda _account, upload, it: it and upload is not None and upload.content_type in LISTED_TYPES,
        ),
    ),
    Variant(
        "upload-type-415", "A PUT of another type is answered 415.", in_errors(_with_status(415), "putUpload", 400)
    ),
    Variant(
        "upload-foreign-403",
        "A PUT to a token that is not the caller's is answered 403.",
        in_errors(_with_status(403), "putUpload", 404),
    ),
    Variant(
        "upload-megabytes-of-2-20",
        "A megabyte of an upload has 2^20 bytes.",
        Change(max_bytes=lambda _type, max_bytes: (max_bytes // 1_000_000) << 20),
    ),
    Variant(
        "upload-any-type-put",
        "The content type of a PUT is not looked at.",
        Change(takes=lambda _upload, _type, _takes: True),
    ),
    Variant(
        "upload-by-any-account",
        "A PUT may have the key of any account.",
        Change(may_put=lambda account, upload, may: may or (upload is not None and upload.account is not account)),
    ),
    Variant(
        "upload-token-before-put",
        "A token is accepted before its bytes are there.",
        Change(
            redeems=lambda account, upload, it: (
                it or (upload is not None and upload.account is account and not upload.done)
            )
        ),
    ),
    Variant(
        "upload-token-404", "A token without a file is answered 404.", in_errors(_token_not_found, "generate", 400)
    ),
    Variant(
        "upload-name-optional",
        "An upload may be announced without file_name.",
        Change(announcement=lambda value: {"file_name": ""} | value if isinstance(value, dict) else value),
    ),
    Variant(
        "web-search-boolean",
        "enable_web_search may also be a boolean, as upstream.",
        row(
            "nano-banana-2",
            "generate",
            "enable_web_search",
            type=["string", "boolean"],
            enum=["false", "true", False, True],
        ),
    ),
)

VARIANTS: Mapping[str, Variant] = MappingProxyType({variant.id: variant for variant in _ALL})

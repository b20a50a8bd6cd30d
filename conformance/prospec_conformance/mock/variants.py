"""Ways of conforming: what the documentation leaves open, done another way than the mock does it by itself.

Here live the variants alone. What breaks a promise is a fault and lives in faults/; the mechanics live in changes.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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


def _reset_as_epoch(answer: Answer) -> Answer:
    name = "X-RateLimit-Reset"
    if name not in answer.headers:
        return answer
    return replace(answer, headers={**answer.headers, name: str(int(answer.at) + int(answer.headers[name]))})


def _spaced(answer: Answer) -> Answer:
    if isinstance(answer.body, bytes):
        return answer
    return replace(answer, body=json.dumps(answer.body, indent=2, sort_keys=True).encode())


def _accepted(answer: Answer) -> Answer:
    queued = answer.endpoint == "generate" and isinstance(answer.body, dict) and answer.body.get("status") == "queued"
    return replace(answer, status=202) if queued and answer.status == 200 else answer


def _problem_list(body: dict[str, Any]) -> dict[str, Any]:
    return {"detail": [{"loc": ["body"], "msg": body.get("message"), "type": body.get("code")}]}


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
    Variant("reset-as-epoch", "X-RateLimit-Reset is a Unix time.", Change(answer=_reset_as_epoch)),
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

"""Ways of conforming: what the documentation leaves open, done another way than the mock does it by itself.

Here live the variants alone. What breaks a promise is a fault and lives in faults/; the mechanics live in changes.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from prospec.ir import Evidence, Mode, Model
from prospec.schema import Schema

from .changes import (
    Answer,
    Change,
    answered,
    in_bodies,
    in_errors,
    in_generations,
    in_request,
    in_rows,
    is_error,
    is_value,
    row,
    without,
)


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
        in_generations(lambda body: body | {"duration_ms": None}, "completed"),
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

"""Faults of the generate request's envelope and of the generation in its answer. Params are not here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from prospec.ir import Mode, Model, Spec
from prospec.schema import Schema

from ..changes import (
    Answer,
    Change,
    answered,
    breaks,
    has_params,
    in_generations,
    in_request,
    is_for,
    refused,
    without,
)
from .fault import Fault, fault

FREE_MODEL = "kling-v3"
"""A model of which nothing is documented, so that any params pass once a request is read as one for it."""


def _has_token(request: Mapping[str, Any]) -> bool:
    urls = request["params"].get("image_urls")
    return isinstance(urls, list) and any(str(url).startswith("pl-upload-") for url in urls)


def _need_mode(_model: Model, mode: Mode, schema: Schema) -> None:
    if mode.on_wire:
        schema["required"] = ["model", "mode", "params"]


def _last_mode(spec: Spec, request: Any) -> Any:
    model = spec.model(str(request.get("model"))) if isinstance(request, dict) and "mode" not in request else None
    return request | {"mode": model.modes[-1].id} if model else request


def _no_unknown_mode(spec: Spec, request: Any) -> Any:
    model = spec.model(str(request.get("model"))) if isinstance(request, dict) else None
    unknown = model and isinstance(request.get("mode"), str) and model.mode(request["mode"]) is None
    return without(request, "mode") if unknown else request


def _no_unknown_model(spec: Spec, request: Any) -> Any:
    unknown = isinstance(request, dict) and isinstance(request.get("model"), str) and not spec.model(request["model"])
    return without(request, "mode") | {"model": FREE_MODEL} if unknown else request


def _some_model(request: dict[str, Any]) -> dict[str, Any]:
    return request if "model" in request else without(request, "mode") | {"model": FREE_MODEL}


def _some_params(request: dict[str, Any]) -> dict[str, Any]:
    return {"params": {"prompt": ""}} | request


def _params_of_list(request: dict[str, Any]) -> dict[str, Any]:
    return _some_params(without(request, "params")) if isinstance(request.get("params"), list) else request


def _mode_of_number(request: dict[str, Any]) -> dict[str, Any]:
    return without(request, "mode") if isinstance(request.get("mode"), int | float) else request


def _loose_webhook_url(request: dict[str, Any]) -> dict[str, Any]:
    return request if isinstance(request.get("webhook_url"), str) else without(request, "webhook_url")


def _loose_async(request: dict[str, Any]) -> dict[str, Any]:
    return request | {"async": bool(request["async"])} if isinstance(request.get("async"), str) else request


def _with(**fields: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda body: body | fields


def _lacking(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda body: without(body, *names)


def _processing(body: dict[str, Any]) -> dict[str, Any]:
    return without(body, "output_url", "cost_usd", "duration_ms") | {"status": "processing"}


def _still_processing(answer: Answer) -> Answer:
    if answer.endpoint == "generate" and isinstance(answer.body, dict) and answer.body.get("status") == "completed":
        return replace(answer, body=_processing(answer.body))
    return answer


def faults() -> Iterator[Fault]:
    yield fault(
        "GEN-01-kling-o3-text-refused",
        "kling-o3 refuses its mode text.",
        refused(lambda request: is_for(request, "kling-o3", "text"), "mode", "/mode"),
        "GEN-08",
        "PARAM-09",
        "PARAM-10",
        "PARAM-12",
        "PARAM-15",
    )
    yield fault(
        "GEN-02-quick-start-refused",
        "veo-3-1-lite takes resolution or generate_audio, not both.",
        refused(
            lambda request: request["model"] == "veo-3-1-lite" and has_params(request, "resolution", "generate_audio"),
            "enum",
            "/params/resolution",
        ),
        "PARAM-15",
    )
    yield fault(
        "GEN-02-upload-token-refused",
        "seedance-2 takes no upload token.",
        refused(
            lambda request: is_for(request, "seedance-2", "reference") and _has_token(request),
            "media",
            "/params/image_urls",
        ),
        "PARAM-12",
    )
    yield fault("GEN-03-id-without-prefix", "Ids lack gen_.", Change(identify=lambda id: id.removeprefix("gen_")))
    yield fault(
        "GEN-03-id-missing",
        "generation_id is missing from every answer.",
        in_generations(_lacking("generation_id")),
        "GEN-04",
    )
    yield fault("GEN-04-same-id-twice", "All generations have one id.", Change(identify=lambda _id: "gen_000000000000"))
    yield fault(
        "GEN-05-status-success",
        "A completed generation has the status success.",
        in_generations(_with(status="success"), "completed"),
        "GEN-09",
        "GEN-10",
    )
    yield fault(
        "GEN-05-status-pending",
        "A queued generation has the status pending.",
        in_generations(_with(status="pending"), "queued"),
    )
    yield fault(
        "GEN-06-display-name-echoed",
        "model is a name for people.",
        in_generations(lambda body: body | {"model": str(body.get("model")).title()}),
    )
    yield fault(
        "GEN-06-model-missing",
        "model is missing from every answer.",
        in_generations(_lacking("model")),
    )
    yield fault(
        "GEN-07-wrong-mode-echoed",
        "mode is always default.",
        in_generations(_with(mode="default")),
        "GEN-08",
    )
    yield fault(
        "GEN-07-mode-missing",
        "mode is missing from every answer.",
        in_generations(_lacking("mode")),
        "GEN-08",
    )
    yield fault("GEN-08-last-mode-taken", "Without mode, the last one is used.", Change(request=_last_mode))
    yield fault("GEN-08-omitted-mode-refused", "A request without mode is refused.", Change(schema=_need_mode))
    yield fault(
        "GEN-09-answers-queued",
        "A synchronous request is answered at once, queued.",
        in_request(lambda request: request | {"async": True}),
        "GEN-14",
    )
    yield fault(
        "GEN-09-answers-processing",
        "A synchronous request is answered as still processing.",
        Change(answer=_still_processing),
    )
    completed: Mapping[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
        "output-url-missing": ("lacks output_url", _lacking("output_url")),
        "output-url-relative": ("has an output_url without a host", _with(output_url="/results/gen_0.mp4")),
        "cost-missing": ("lacks cost_usd", _lacking("cost_usd")),
        "cost-string": ("has a string for cost_usd", _with(cost_usd="0.40")),
        "cost-negative": ("has a cost_usd below 0", _with(cost_usd=-0.4)),
        "duration-string": ("has a string for duration_ms", _with(duration_ms="28430")),
        "duration-missing": ("lacks duration_ms", _lacking("duration_ms")),
    }
    for slug, (what, edit) in completed.items():
        yield fault(f"GEN-10-{slug}", f"A completed generation {what}.", in_generations(edit, "completed"))
    for requirement, member in (("GEN-11", "model"), ("GEN-12", "params")):
        yield fault(
            f"{requirement}-missing-{member}-422",
            f"A request without {member} is answered 422.",
            answered(422, breaks("required", f"/{member}")),
            "ERR-07",
        )
    yield fault("GEN-11-missing-model-accepted", "Without model, some model is taken.", in_request(_some_model))
    yield fault("GEN-12-missing-params-accepted", "Without params, some are taken.", in_request(_some_params))
    yield fault(
        "GEN-13-model-number-500",
        "A model that is a number is answered 500.",
        answered(500, breaks("type", "/model")),
        "ERR-06",
        "ERR-08",
    )
    yield fault("GEN-13-mode-number-ignored", "A mode that is a number is ignored.", in_request(_mode_of_number))
    yield fault("GEN-13-params-list-accepted", "A list of params is taken for none.", in_request(_params_of_list))
    yield fault(
        "GEN-14-webhook-url-number-accepted", "A webhook_url of any type is accepted.", in_request(_loose_webhook_url)
    )
    yield fault("GEN-14-async-string-accepted", "A string is accepted for async.", in_request(_loose_async))
    yield fault(
        "GEN-15-unknown-model-404",
        "An unknown model id is answered 404.",
        answered(404, breaks("model")),
    )
    yield fault("GEN-15-unknown-model-accepted", "An unknown model id is accepted.", Change(request=_no_unknown_model))
    yield fault(
        "GEN-16-unknown-mode-422",
        "An unknown mode is answered 422.",
        answered(422, breaks("mode")),
        "ERR-07",
    )
    yield fault(
        "GEN-16-unknown-mode-ignored", "An unknown mode is read as the first one.", Change(request=_no_unknown_mode)
    )
